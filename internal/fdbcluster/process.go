package fdbcluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

// launcher starts processes on one thread, which lives as long as they shall:
// the system kills them when it ends.
type launcher chan func()

func newLauncher() launcher {
	l := make(launcher)
	ready := make(chan struct{})
	go l.run(ready)
	<-ready
	return l
}

func (l launcher) run(ready chan struct{}) {
	runtime.LockOSThread() // and never unlocks it: the thread ends with the goroutine
	if onMainThread() {    // which does not end: another one is found while this one is taken
		go l.run(ready)
		<-ready
		runtime.UnlockOSThread()
		return
	}
	close(ready)
	for start := range l {
		start()
	}
}

func (l launcher) start(cmd *exec.Cmd) error {
	done := make(chan error)
	l <- func() { done <- cmd.Start() }
	return <-done
}

// process is one fdbserver, which may be started again and again.
type process struct {
	program string
	args    []string
	output  string // a file

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd  // nil while it does not run
	done chan struct{}
}

var errRunning = errors.New("fdbcluster: the process runs already")

func (p *process) start(l launcher) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return errRunning
	}
	out, err := os.OpenFile(p.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own descriptor
	//nolint:noctx // it outlives every context, and ends with the thread
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.SysProcAttr = out, out, filepath.Dir(p.output), attributes()
	if err := l.start(cmd); err != nil {
		return fmt.Errorf("start fdbserver: %w", err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait() // it is killed, or its output says why it ended
		close(done)
	}()
	return nil
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // or it has ended by itself
	<-p.done
	p.cmd = nil
}

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return os.ErrProcessDone
	}
	return p.cmd.Process.Signal(s)
}

// janitor removes a directory once its standard input ends, which the end of
// this program does in whatever way it comes. done is closed after that.
func janitor(dir string) (input io.Closer, done <-chan struct{}, err error) {
	const script = `cat >/dev/null; for i in 1 2 3 4 5; do rm -rf "$0" && exit; sleep 1; done`
	//nolint:noctx // it outlives this program
	cmd := exec.Command("/bin/sh", "-c", script, dir)
	cmd.SysProcAttr = apart()
	input, err = cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the directory is gone or it is not
		close(gone)
	}()
	return input, gone, nil
}
