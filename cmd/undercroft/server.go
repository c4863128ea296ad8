package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/internal/vfs"
)

// closeTimeout is what closing the store may take, at least.
const closeTimeout = 30 * time.Second

// serverCommand is `undercroft server` or `undercroft gateway`: it returns nil after a signal and a
// complete drain.
func serverCommand(ctx context.Context, p process, kind config.Kind, args []string) error {
	cfg, err := config.Load(config.Sources{Kind: kind, Args: args, Environ: p.environ, ReadFile: os.ReadFile})
	if errors.Is(err, config.ErrHelp) {
		return serverHelp(p.stdout, kind)
	}
	if err != nil {
		return err // it is one complete line already
	}
	s := newServer(p, cfg)
	limitMemory(cfg.BufferMemory, p.environ)
	s.guardMemory(ctx)
	s.logger.InfoContext(ctx, "starting", slog.String("version", s.build.Version), slog.Any("config", cfg))
	return s.run(ctx)
}

// guardMemory hides the keys that are in memory from now on.
func (s *server) guardMemory(ctx context.Context) {
	if s.process.hideMemory == nil || s.cfg.CoreDumps {
		return
	}
	if err := s.process.hideMemory(); err != nil {
		s.logger.WarnContext(ctx, "core files may show keys", slog.String("error", err.Error()))
	}
}

// server is the frame around a system: listeners, readiness, start and drain.
type server struct {
	process  process
	cfg      config.Config
	build    observability.Build
	logger   *slog.Logger
	registry *prometheus.Registry
	phase    phase
}

func newServer(p process, cfg config.Config) *server {
	build := observability.NewBuild(version)
	return &server{
		process:  p,
		cfg:      cfg,
		build:    build,
		logger:   observability.NewLogger(p.stderr, cfg.LogLevel, observability.Format(cfg.LogFormat)),
		registry: observability.NewRegistry(build),
	}
}

// run starts everything, serves until ctx ends or a listener fails, and drains.
// Both addresses are taken before the store is opened: a port in use is found
// out at once, and health can be asked while a long recovery runs.
func (s *server) run(ctx context.Context) (err error) {
	adminListener, err := listen(ctx, "admin-listen", s.cfg.AdminListen)
	if err != nil {
		return err
	}
	administration := s.serveAdmin(adminListener)
	defer func() { err = errors.Join(err, administration.close()) }()

	listener, err := listen(ctx, "listen", s.cfg.Listen)
	if err != nil {
		return err
	}
	front, err := s.newFront(listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	sys, root, err := s.open(ctx, front)
	if err != nil {
		return errors.Join(startError(ctx, err), front.close())
	}
	administration.show(s.adminOptions(sys, root))
	front.serve(sys.S3)
	s.phase.set(phaseServing)
	banner := bannerText(s.cfg, listener.Addr(), adminListener.Addr(), root)
	if err := write(s.process.stdout, banner); err != nil {
		s.logger.WarnContext(ctx, "banner not printed", slog.String("error", err.Error()))
	}
	s.logger.InfoContext(ctx, "serving", slog.String("s3", listener.Addr().String()), slog.String("admin", adminListener.Addr().String()))
	return s.wait(ctx, front, sys)
}

// startError returns nil for a start that a signal ended: nothing went wrong.
func startError(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// wait serves until ctx ends, or until the listener or the store fails, then
// drains and closes.
// Readiness goes first, so that a load balancer stops sending.
func (s *server) wait(ctx context.Context, front *front, sys *system) error {
	failure := s.awaitEnd(ctx, front, sys)
	// Who sees the drain can rely on the next signal to kill.
	s.process.restoreSignals()
	s.phase.set(phaseDraining)
	// The drain outlives the signal that began it.
	ctx = context.WithoutCancel(ctx)
	s.logger.InfoContext(ctx, "draining", slog.Duration("timeout", s.cfg.ShutdownTimeout))
	drained := front.drain(ctx, s.cfg.ShutdownTimeout)
	// A disk that does not answer does not keep the process.
	closing, cancel := context.WithTimeout(ctx, max(s.cfg.ShutdownTimeout, closeTimeout))
	defer cancel()
	closed := sys.Close(closing)
	if closed != nil {
		closed = fmt.Errorf("closing the store: %w", closed)
	}
	s.logger.InfoContext(ctx, "stopped")
	return errors.Join(failure, drained, closed)
}

// awaitEnd waits for the end of ctx, or for a failure.
func (s *server) awaitEnd(ctx context.Context, front *front, sys *system) error {
	for {
		select {
		case failure := <-front.failed:
			return failure
		case <-sys.Failed:
			return fmt.Errorf("the store failed: %w", sys.Err())
		case <-front.hangups:
			front.certificates.reload(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// open finds the root credentials and the master key, assembles the system and
// keeps what was newly made in its directories before anybody can use it.
func (s *server) open(ctx context.Context, front *front) (*system, rootCredentials, error) {
	root, err := findRoot(vfs.Default(), s.cfg, rand.Reader)
	if err != nil {
		return nil, rootCredentials{}, err
	}
	master, err := findMasterKey(vfs.Default(), s.cfg, rand.Reader)
	if err != nil {
		return nil, rootCredentials{}, err
	}
	previous, err := previousMasterKey(s.cfg)
	if err != nil {
		return nil, rootCredentials{}, err
	}
	ids, err := observability.NewRequestIDs(rand.Reader)
	if err != nil {
		return nil, rootCredentials{}, fmt.Errorf("starting: %w", err)
	}
	sys, err := s.assemble(ctx, front, parts{
		logger:            s.logger,
		registry:          s.registry,
		root:              root,
		masterKey:         master.key,
		previousMasterKey: previous,
		requestIDs:        ids,
		now:               s.process.now,
		random:            rand.Reader,
	})
	if err != nil {
		return nil, rootCredentials{}, fmt.Errorf("opening the store: %w", master.explain(err))
	}
	if root, err = s.keep(ctx, sys, root, master); err != nil {
		return nil, rootCredentials{}, errors.Join(err, sys.Close(context.WithoutCancel(ctx)))
	}
	return sys, root, nil
}

// keep writes what was made at this start into the data directories. No secret is
// sealed under the master key before it is kept.
func (s *server) keep(ctx context.Context, sys *system, root rootCredentials, master masterKey) (rootCredentials, error) {
	files := vfs.Default()
	if root.origin != originConfigured {
		var err error
		if root, err = keepRoot(files, sys.Directories, root); err != nil {
			return root, err
		}
	}
	if master.origin == originConfigured {
		return root, nil
	}
	if err := keepMasterKey(files, sys.Directories, master); err != nil {
		return root, err
	}
	if master.origin == originGenerated {
		s.logger.InfoContext(ctx, "master key made; keep a copy elsewhere, for without it the secrets of access keys and all that is encrypted with the store's keys are lost",
			slog.String("file", masterKeyFile().path(sys.Directories[0])))
	}
	return root, nil
}

// adminOptions is what the admin listener shows of a running system.
func (s *server) adminOptions(sys *system, root rootCredentials) admin.Options {
	token := makeToken(vfs.Default(), sys.Directories, s.logger)
	return admin.Options{
		Directory:              sys.Directory,
		JobDirectory:           sys.Jobs,
		DiskDirectory:          sys.Disks,
		EncryptionKeyDirectory: sys.Keys,
		Tokens:                 []string{token, admin.RootToken(root.AccessKey, string(root.SecretKey))},
		Conditions:             append([]admin.Condition{{Name: "serving", Check: s.phase.check}}, sys.Conditions...),
		Metrics:                s.registry,
		Status:                 sys.Status,
		Checker:                sys.Checker,
		BackupMetadata:         sys.BackupMetadata,
		ExportMetadata:         sys.ExportMetadata,
		Logger:                 s.logger,
	}
}

// listen takes an address, and names the setting it came from when it cannot.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s %s: %w", setting, address, reason(err))
	}
	return listener, nil
}

// reason strips what [listen] says itself from a network error.
func reason(err error) error {
	if opErr, ok := errors.AsType[*net.OpError](err); ok {
		err = opErr.Err
	}
	if sysErr, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sysErr.Err
	}
	return err
}
