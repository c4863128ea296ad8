package main

import (
	"cmp"
	"context"
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

// certificates serves the certificate for the name that a client asks for, and
// reads the pairs again when their files change. A pair that does not load leaves
// the old one in use: files are often replaced one after the other.
type certificates struct {
	now    func() time.Time
	logger *slog.Logger

	mu     sync.Mutex // guards what follows
	pairs  []*keyPair
	looked time.Time
}

// keyPair is a certificate chain and its key, in two files.
type keyPair struct {
	certFile, keyFile string
	current           *tls.Certificate
	seen              [2]fileStamp // of the files that were tried last
	// failed is why they could not be used, empty where they are: they are tried
	// again though they look the same, since the reason may be another's.
	failed string
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

// loadCertificates reads the first of all pairs, which must be good. The key of a
// certificate has its place in the list.
func loadCertificates(certFiles, keyFiles []string, now func() time.Time, logger *slog.Logger) (*certificates, error) {
	c := &certificates{now: now, logger: logger, looked: now()}
	for i, certFile := range certFiles {
		p := &keyPair{certFile: certFile, keyFile: keyFiles[i]}
		p.seen = p.stamps()
		if err := p.load(); err != nil {
			return nil, err
		}
		c.pairs = append(c.pairs, p)
	}
	return c, nil
}

// config returns a server configuration that follows the files.
func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// stamps looks at both files. It is called before they are read, so that a
// change in between is seen as one the next time.
func (p *keyPair) stamps() [2]fileStamp {
	return [2]fileStamp{stampOf(p.certFile), stampOf(p.keyFile)}
}

func (p *keyPair) load() error {
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("cannot use tls-cert %s with tls-key %s: %w", p.certFile, p.keyFile, err)
	}
	p.current = &pair
	return nil
}

// get returns the certificate for a new connection: the first that is valid for
// the name and the ciphers of the client and not expired, one that is where there is no
// other, or the first of all, which a client that sends no name, or one that
// nobody has, gets too.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) >= reloadInterval {
		c.looked = now
		c.refreshLocked(hello.Context())
	}
	best := c.pairs[0].current
	if len(c.pairs) == 1 {
		return best, nil
	}
	var expired *tls.Certificate
	for _, p := range c.pairs {
		switch {
		case hello.SupportsCertificate(p.current) != nil:
		case !now.After(p.current.Leaf.NotAfter):
			return p.current, nil
		case expired == nil:
			expired = p.current
		}
	}
	return cmp.Or(expired, best), nil
}

// reload reads every pair again, whether its files have changed or not.
// Connections that are open keep what they began with.
func (c *certificates) reload(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pairs {
		p.failed = "" // who asks is told again
		c.replaceLocked(ctx, p, p.stamps())
	}
}

// refreshLocked reads the pairs whose files have changed, or could not be used.
func (c *certificates) refreshLocked(ctx context.Context) {
	for _, p := range c.pairs {
		if stamps := p.stamps(); stamps != p.seen || p.failed != "" {
			c.replaceLocked(ctx, p, stamps)
		}
	}
}

func (c *certificates) replaceLocked(ctx context.Context, p *keyPair, stamps [2]fileStamp) {
	changed := p.seen != stamps
	p.seen = stamps
	if err := p.load(); err != nil {
		if text := err.Error(); changed || text != p.failed {
			p.failed = text
			c.logger.ErrorContext(ctx, "certificate not reloaded, the old one stays in use",
				slog.String("file", p.certFile), slog.String("error", text))
		}
		return
	}
	p.failed = ""
	c.logger.InfoContext(ctx, "certificate reloaded", slog.String("file", p.certFile))
}
