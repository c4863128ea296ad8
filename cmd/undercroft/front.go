package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/admin"
)

// front is the listener that S3 clients talk to.
type front struct {
	http         *http.Server
	listener     net.Listener
	stall        time.Duration
	now          func() time.Time
	certificates *certificates // nil without TLS
	handler      atomic.Pointer[http.Handler]
	// hangups gets SIGHUP, which reads the certificates again. Without TLS it has its default meaning.
	hangups chan os.Signal
	// failed gets one error when the listener fails by itself.
	failed chan error
}

// newFront prepares the S3 server on listener: TLS, the limit of connections
// and all deadlines. It accepts nothing before serve.
func (s *server) newFront(listener net.Listener) (*front, error) {
	limited := newLimitListener(listener, s.cfg.MaxConnections)
	s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "undercroft_connections_open",
		Help: "Client connections that are open.",
	}, limited.open))
	f := &front{
		listener: limited,
		stall:    s.cfg.StallTimeout,
		now:      s.process.now,
		hangups:  make(chan os.Signal, 1),
		failed:   make(chan error, 1),
		http: &http.Server{
			ReadHeaderTimeout: s.cfg.HeaderTimeout,
			IdleTimeout:       s.cfg.IdleTimeout,
			MaxHeaderBytes:    int(s.cfg.MaxHeaderBytes),
			ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
			// S3 is HTTP/1.1, as AWS speaks it, with TLS too.
			Protocols: new(http.Protocols),
			// OPTIONS is CORS, and S3's own to answer.
			DisableGeneralOptionsHandler: true,
		},
	}
	f.http.Protocols.SetHTTP1(true)
	if s.cfg.TLS() {
		certificates, err := loadCertificates(s.cfg.TLSCerts, s.cfg.TLSKeys, s.process.now, s.logger)
		if err != nil {
			return nil, err
		}
		f.certificates = certificates
		f.listener = tls.NewListener(f.listener, certificates.config())
		if s.process.notifyHangup != nil {
			s.process.notifyHangup(f.hangups)
		}
	}
	return f, nil
}

// serve begins to accept connections for handler, or has it answer from now on.
func (f *front) serve(handler http.Handler) {
	if f.handler.Swap(&handler) != nil {
		return
	}
	current := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*f.handler.Load()).ServeHTTP(w, r) })
	f.http.Handler = stallGuard{next: current, limit: f.stall, now: f.now}
	go func() {
		if err := f.http.Serve(f.listener); !errors.Is(err, http.ErrServerClosed) {
			f.failed <- fmt.Errorf("serving S3: %w", err)
		}
	}()
}

// drain stops accepting, waits for the requests in flight and cuts those that
// are still there after the timeout.
func (f *front) drain(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := f.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests in flight were cut after %s: %w", timeout, err), f.http.Close())
	}
	return nil
}

// close gives the address back when the server never came to serve a system.
func (f *front) close() error {
	if f.handler.Load() != nil {
		return f.http.Close()
	}
	if err := f.listener.Close(); err != nil {
		return fmt.Errorf("closing the listener: %w", err)
	}
	return nil
}

// administration is the admin listener, which answers from the first moment
// and shows more once there is a system.
type administration struct {
	http    *http.Server
	handler atomic.Pointer[http.Handler]
}

// serveAdmin starts the admin listener with what there is before a system:
// health, metrics, profiles, and a readiness that says "starting".
func (s *server) serveAdmin(listener net.Listener) *administration {
	a := new(administration)
	a.show(admin.Options{
		Conditions: []admin.Condition{{Name: "serving", Check: s.phase.check}},
		Metrics:    s.registry,
		Logger:     s.logger,
	})
	a.http = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.handler.Load()).ServeHTTP(w, r) }),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := a.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.logger.Error("admin listener failed", slog.String("error", err.Error()))
		}
	}()
	return a
}

// show replaces what the listener answers with.
func (a *administration) show(o admin.Options) {
	handler := admin.NewHandler(o)
	a.handler.Store(&handler)
}

// close ends the listener and its requests: a check or a profile that runs
// while the server stops is cut.
func (a *administration) close() error {
	if err := a.http.Close(); err != nil {
		return fmt.Errorf("closing the admin listener: %w", err)
	}
	return nil
}
