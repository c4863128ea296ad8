package main

import (
	"errors"
	"net"
	"runtime/debug"
	"testing"

	"github.com/undercroft/undercroft/internal/config"
)

func TestLimitListener(t *testing.T) {
	inner := &pipeListener{conns: make(chan net.Conn, 4), closed: make(chan struct{})}
	listener := newLimitListener(inner, 2)
	for range 3 {
		_, end := net.Pipe()
		inner.conns <- end
	}
	first, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Accept(); err != nil {
		t.Fatal(err)
	}
	third := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		third <- err
	}()
	if n := listener.open(); n != 2 || len(inner.conns) != 1 {
		t.Errorf("%v connections open, %d waiting; want 2 and 1", n, len(inner.conns))
	}
	for range 2 { // net/http may close twice; one slot comes back
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-third; err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		waiting <- err
	}()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("an Accept that waited for a slot: %v", err)
	}
	if n := listener.open(); n != 2 {
		t.Errorf("%v connections open, want 2", n)
	}
}

// halfConn notes that its half was closed, as a TCP connection can.
type halfConn struct {
	net.Conn
	closed bool
}

func (c *halfConn) CloseWrite() error { c.closed = true; return nil }

func TestLimitedConnectionClosesItsHalf(t *testing.T) {
	inner := &pipeListener{conns: make(chan net.Conn, 2), closed: make(chan struct{})}
	listener := newLimitListener(inner, 2)
	_, end := net.Pipe()
	half := &halfConn{Conn: end}
	inner.conns <- half
	inner.conns <- end
	for range 2 { // a connection that has no halves ends as a whole, later
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		closer, ok := conn.(interface{ CloseWrite() error })
		if !ok {
			t.Fatal("net/http cannot close one half of the connection")
		}
		if err := closer.CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	if !half.closed {
		t.Error("the half of the connection stayed open")
	}
}

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	limitMemory(192*config.MiB, []string{"GOMEMLIMIT=1GiB"})
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("the operator's limit was replaced by %d", got)
	}
	limitMemory(192*config.MiB, nil)
	if got := debug.SetMemoryLimit(-1); got != 320<<20 {
		t.Errorf("limit %d, want 320 MiB", got)
	}
}
