package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// external is the metadata that the configuration places elsewhere than on the data
// directories, nil where it does not.
func external(cfg config.Config, p parts) *single.External {
	switch m := cfg.Metadata; {
	case m.Embedded():
		return nil
	case m.Shared():
		return &single.External{
			Open:  func(context.Context) (kv.Engine, error) { return openFDB(m, p) },
			Place: "FoundationDB, prefix " + m.Prefix, Shared: true, Process: processName(),
		}
	default:
		return &single.External{
			Open:  func(context.Context) (kv.Engine, error) { return openPebble(m.Dir, p) },
			Place: m.String(), Process: processName(),
		}
	}
}

// openPebble opens the embedded engine in one directory.
func openPebble(dir string, p parts) (kv.Engine, error) {
	p.logger.Warn("the metadata is in one directory, without mirrors: whatever loses it loses every object", slog.String("directory", dir))
	e, err := pebble.Open(dir, pebble.Options{
		FS: vfs.Default(), Logger: p.logger, Now: p.now, CompactionDelay: compactionDelay, FreesSpace: single.FreesSpace,
	})
	if err != nil {
		return nil, err // not a nil engine in an interface
	}
	return e, nil
}

// openFDB joins the cluster of a cluster file.
func openFDB(m config.Metadata, p parts) (kv.Engine, error) {
	if !fdb.Available {
		return nil, fdb.ErrUnavailableHere
	}
	if err := checkClusterFile(m.ClusterFile); err != nil {
		return nil, err
	}
	e, err := fdb.Open(fdb.Options{ClusterFile: m.ClusterFile, Prefix: m.KeyPrefix(), Logger: p.logger, Now: p.now, Background: single.Background})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// checkClusterFile refuses a cluster file that the client could not keep up to date: it
// would lose the cluster once the coordinators have moved, and not before.
func checkClusterFile(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return fmt.Errorf("the cluster file: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("the cluster file %s is not a file", name)
	}
	for _, path := range []string{name, filepath.Dir(name)} {
		if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
			return fmt.Errorf("the cluster file %s: this user may not read and write %s: %w; FoundationDB's client replaces the file when the coordinators move",
				name, path, err)
		}
	}
	return nil
}

// processName names this process to people who look for it.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}
