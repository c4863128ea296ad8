package fdbcluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience bounds the wait for a cluster: it may share a machine with much else.
const patience = 3 * time.Minute

// Cluster is a database of fdbserver processes.
type Cluster struct {
	Shape
	programs  Programs
	dir       string
	launcher  launcher
	addresses []string
	processes []*process
	janitor   io.Closer // removes dir when it is closed
	removed   <-chan struct{}
}

// Start starts a cluster for one test, which ends it.
func Start(tb testing.TB, s Shape) *Cluster {
	tb.Helper()
	c, err := start(tb.Context(), programs(tb), s)
	if err != nil {
		tb.Fatalf("start FoundationDB: %v", err)
	}
	tb.Cleanup(c.Stop)
	return c
}

func start(ctx context.Context, p Programs, s Shape) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "undercroft-fdb-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Shape: s, programs: p, dir: dir, launcher: newLauncher()}
	c.janitor, c.removed, err = janitor(dir)
	if err == nil {
		err = c.create(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Output())
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) create(ctx context.Context) error {
	addresses, err := freeAddresses(c.Processes)
	if err != nil {
		return err
	}
	c.addresses = addresses
	id := make([]byte, 8)
	_, _ = rand.Read(id) // which never fails
	content := []byte(connection(hex.EncodeToString(id), addresses))
	for _, file := range []string{c.ClusterFile(), c.file("cli.cluster"), c.file("server.cluster")} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	for i, address := range addresses {
		dir := c.file(fmt.Sprintf("process%d", i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		p := &process{
			program: c.programs.Server, args: serverArgs(dir, c.file("server.cluster"), address, i), output: filepath.Join(dir, "output"),
		}
		if err := p.start(c.launcher); err != nil {
			return err
		}
		c.processes = append(c.processes, p)
	}
	if _, err := c.CLI(ctx, c.configure()); err != nil {
		return err
	}
	if err := c.Await(ctx); err != nil || c.Processes == 1 {
		return err
	}
	return c.settle(ctx)
}

// freeAddresses are addresses of this machine that nobody listened on a moment ago.
func freeAddresses(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it answers at once
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at the end, so that they differ
		out = append(out, l.Addr().String())
	}
	return out, nil
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// ClusterFile is the cluster file of clients, which write it when the coordinators change.
func (c *Cluster) ClusterFile() string { return c.file("client.cluster") }

// Address is where a process listens.
func (c *Cluster) Address(i int) string { return c.addresses[i] }

// Stop ends the cluster and removes it.
func (c *Cluster) Stop() {
	for _, p := range c.processes {
		p.kill()
	}
	if c.launcher != nil {
		close(c.launcher)
		c.launcher = nil
	}
	if c.janitor != nil {
		_ = c.janitor.Close() // the directory is left, if it cannot be closed
		<-c.removed
		c.janitor = nil
	}
}

// Kill ends a process as kill -9 does.
func (c *Cluster) Kill(i int) { c.processes[i].kill() }

// Restart starts a process that was killed.
func (c *Cluster) Restart(i int) error { return c.processes[i].start(c.launcher) }

// Pause stops a process without ending it: its connections stay, and nobody answers on them.
func (c *Cluster) Pause(i int) error { return c.processes[i].signal(syscall.SIGSTOP) }

// Resume lets a process go on that was paused.
func (c *Cluster) Resume(i int) error { return c.processes[i].signal(syscall.SIGCONT) }

// Output is the end of what the processes wrote.
func (c *Cluster) Output() string {
	const most = 4 << 10
	var out []byte
	for i, p := range c.processes {
		content, _ := os.ReadFile(p.output)
		out = fmt.Appendf(out, "process %d: %s\n", i, content[max(0, len(content)-most):])
	}
	return string(out)
}
