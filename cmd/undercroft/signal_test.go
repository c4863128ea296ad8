package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// child is this test binary as a server process of its own.
type child struct {
	instance
	command *exec.Cmd
	data    string
}

func startChild(t *testing.T) *child {
	t.Helper()
	c := &child{data: t.TempDir()}
	c.command = exec.CommandContext(t.Context(), os.Args[0], "server", "--data="+c.data, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	c.command.Env = append(os.Environ(), childVariable+"=1")
	c.stderr = new(lines)
	c.command.Stderr = c.stderr
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	c.readBanner(t, stdout)
	return c
}

// halfRequest sends a request whose body lacks its second half.
func halfRequest(t *testing.T, endpoint string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	// The 100 proves that the handler reads the body: the request is in flight.
	if _, err := io.WriteString(conn, "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, reply); err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 100") {
		t.Fatalf("%q, %v", reply, err)
	}
	if _, err := io.WriteString(conn, "half"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// awaitDraining asks until readiness is gone.
func awaitDraining(t *testing.T, admin string) {
	t.Helper()
	for t.Context().Err() == nil {
		if code, body := get(t, admin+"/-/readyz"); code == http.StatusServiceUnavailable {
			if !strings.Contains(body, "not ready: draining before exit") {
				t.Errorf("readyz says %s", body)
			}
			return
		}
	}
}

func TestSIGTERMDrainsAndExitsZero(t *testing.T) {
	c := startChild(t)
	conn := halfRequest(t, c.endpoint)
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitDraining(t, c.admin)
	if _, err := io.WriteString(conn, "full"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK || string(body) != "halffull" {
		t.Errorf("the request in flight got %s %q, %v", response.Status, body, err)
	}
	if err := c.command.Wait(); err != nil {
		t.Errorf("the server ended with %v; log:\n%s", err, c.stderr)
	}
	if _, err := os.Stat(filepath.Join(c.data, "closed")); err != nil {
		t.Errorf("the store was not closed: %v", err)
	}
}

func TestSecondSignalKillsAtOnce(t *testing.T) {
	c := startChild(t)
	halfRequest(t, c.endpoint)
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitDraining(t, c.admin)
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := c.command.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("ended with %v, want death by a signal", err)
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want SIGTERM", exit)
	}
	if _, err := os.Stat(filepath.Join(c.data, "closed")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the store was closed in an orderly way: %v", err)
	}
}
