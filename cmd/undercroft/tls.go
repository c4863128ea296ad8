package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// reloadInterval is how often the files are looked at, at most, and only when
// a client connects.
const reloadInterval = time.Second

// certificates serves a certificate and its key, and reads them again when
// their files change. A pair that does not load leaves the old one in use:
// files are often replaced one after the other.
type certificates struct {
	certFile, keyFile string
	now               func() time.Time
	logger            *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	looked  time.Time
	seen    [2]fileStamp // of the files that were tried last
}

// fileStamp tells two states of a file apart; the zero value is a missing one.
type fileStamp struct {
	modified time.Time
	size     int64
}

func stampOf(name string) fileStamp {
	info, err := os.Stat(name)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime(), info.Size()}
}

// loadCertificates reads the first pair, which must be good.
func loadCertificates(certFile, keyFile string, now func() time.Time, logger *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, now: now, logger: logger}
	c.looked, c.seen = now(), c.stamps()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot use tls-cert %s with tls-key %s: %w", certFile, keyFile, err)
	}
	c.current = &pair
	return c, nil
}

// config returns a server configuration that follows the files.
func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// stamps looks at both files. It is called before they are read, so that a
// change in between is seen as one the next time.
func (c *certificates) stamps() [2]fileStamp {
	return [2]fileStamp{stampOf(c.certFile), stampOf(c.keyFile)}
}

// get returns the certificate for a new connection.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) < reloadInterval {
		return c.current, nil
	}
	c.looked = now
	stamps := c.stamps()
	if stamps == c.seen {
		return c.current, nil
	}
	c.seen = stamps
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.logger.ErrorContext(hello.Context(), "certificate not reloaded, the old one stays in use",
			slog.String("file", c.certFile), slog.String("error", err.Error()))
		return c.current, nil
	}
	c.logger.InfoContext(hello.Context(), "certificate reloaded", slog.String("file", c.certFile))
	c.current = &pair
	return c.current, nil
}
