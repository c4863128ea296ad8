package main

import (
	"net"
	"sync"
	"sync/atomic"
)

// limitListener accepts a bounded number of connections at a time; the others
// wait in the kernel's queue, which is bounded too.
type limitListener struct {
	net.Listener
	slots  chan struct{} // holds a token for each open connection and each Accept
	conns  atomic.Int64
	closed chan struct{}
	once   sync.Once
}

func newLimitListener(l net.Listener, limit int) *limitListener {
	return &limitListener{Listener: l, slots: make(chan struct{}, limit), closed: make(chan struct{})}
}

// open returns the number of open connections, for the gauge.
func (l *limitListener) open() float64 { return float64(l.conns.Load()) }

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err // net/http tells temporary errors by their type
	}
	l.conns.Add(1)
	return &limitedConn{Conn: conn, release: sync.OnceFunc(func() {
		l.conns.Add(-1)
		<-l.slots
	})}, nil
}

// Close implements net.Listener, and ends an Accept that waits for a slot.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close() // the caller names the listener
}

// limitedConn gives its slot back when it is closed.
type limitedConn struct {
	net.Conn
	release func()
}

// CloseWrite ends the server's half: net/http does that after an answer that it
// gives before it has read everything, so that a reset does not destroy it on
// the way.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() // net/http handles it
	}
	return nil
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close() // net/http handles it
}
