package single

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// home is what a data directory remembers of where the metadata is that it was last
// used with, where that is not on the data directories: other metadata would have it
// collect what they do not know. It is the file .undercroft/metadata-home.
type home struct {
	Format int    `json:"format"`
	Place  string `json:"place"`
	// Copy is the copy id of the metadata: two places may have one name, and metadata that was
	// imported is not that from which it was exported. Older programs did not write it.
	Copy string `json:"copy,omitempty"`
}

const (
	homeFormat  = 1
	homeMost    = 4 << 10 // bytes of the file
	homeOnDisks = "the data directories themselves"
)

func (s *System) homePath(dir string) string {
	return s.opts.FS.PathJoin(dir, ".undercroft", "metadata-home")
}

// homeOf is what a directory remembers, zero for nothing. A file that cannot be read, or
// not understood, is as good as none: the others have it too.
func (s *System) homeOf(dir string) home {
	text, err := vfs.ReadFile(s.opts.FS, s.homePath(dir), homeMost)
	if err == nil {
		text, err = vfs.CutSum(text)
	}
	var h home
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.opts.Logger.Warn("a directory does not say where its metadata is", slog.String("path", dir), slog.Any("error", err))
	}
	return h
}

// checkHomes refuses directories that were last used with other metadata.
func (s *System) checkHomes(dirs *directories) error {
	place := ""
	if s.opts.External != nil {
		place = s.opts.External.Place
	}
	for _, dir := range dirs.all {
		if dir.problem != nil || dir.state != disk.Identified {
			continue
		}
		was := s.homeOf(dir.path).Place
		if was == "" && place != "" && s.holdsMetadata(dirs) {
			was = homeOnDisks
		}
		if was == "" || was == place {
			continue
		}
		if s.opts.AcceptLoss {
			s.opts.Logger.Warn("a directory was last used with other metadata", slog.String("path", dir.path), slog.String("metadata", was))
			continue
		}
		if place == "" {
			place = homeOnDisks
		}
		return fmt.Errorf("%s was last used with metadata in %s, not in %s: with older metadata, what was written since would be lost; "+
			"give the right --metadata, or import the metadata here (docs/operations/foundationdb.md)", dir.path, was, place)
	}
	return nil
}

// checkCopies refuses directories that were last used with metadata which is another copy of
// the store than what was opened in the same place.
func (s *System) checkCopies(dirs *directories) error {
	if s.opts.External == nil {
		return nil
	}
	for _, path := range dirs.identified() {
		was := s.homeOf(path)
		if was.Copy == "" || was.Place != s.opts.External.Place || was.Copy == s.copyID() {
			continue
		}
		if s.opts.AcceptLoss {
			s.opts.Logger.Warn("a directory was last used with another copy of the metadata", slog.String("path", path), slog.String("copy", was.Copy))
			continue
		}
		return fmt.Errorf("%s was last used with another copy of the metadata in %s than is there now: is this another cluster, or was the metadata imported without this directory? "+
			"With older metadata, what was written since would be lost; give the right --metadata, or import the metadata here (docs/operations/foundationdb.md)", path, s.opts.External.Place)
	}
	return nil
}

// copyID is that of the metadata that is open, empty where it has none yet.
func (s *System) copyID() string {
	id := s.DB.CopyID()
	if id == ([16]byte{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// holdsMetadata reports whether there is embedded metadata on the directories.
func (s *System) holdsMetadata(dirs *directories) bool {
	r, err := mirror.Find(s.mirrorOptions(dirs))
	return err == nil && r.Initialised
}

// keepHomes has directories remember where their metadata is. One that cannot is gone by
// the others.
func (s *System) keepHomes(dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		if err := s.keepHome(dir); err != nil {
			errs = append(errs, err)
			s.opts.Logger.Warn("a directory does not keep where its metadata is", slog.String("path", dir), slog.Any("error", err))
		}
	}
	if len(errs) > 0 && len(errs) == len(dirs) {
		return fmt.Errorf("keep where the metadata is: %w", errs[0])
	}
	return nil
}

// remember is keepHomes for a directory that comes while the store runs: without it the next
// start would take it for one of the metadata that it had before.
func (s *System) remember(ctx context.Context, dir string) {
	if err := s.answers(ctx, dir, func() error { return s.keepHome(dir) }); err != nil {
		s.opts.Logger.WarnContext(ctx, "a directory does not keep where its metadata is", slog.String("path", dir), slog.Any("error", err))
	}
}

func (s *System) keepHome(dir string) error {
	path := s.homePath(dir)
	if s.opts.External == nil {
		if _, err := s.opts.FS.Stat(path); err == nil { // else there is nothing, or the disk fails: a start goes on
			return s.opts.FS.Remove(path)
		}
		return nil
	}
	here := home{homeFormat, s.opts.External.Place, s.copyID()}
	if s.homeOf(dir) == here {
		return nil
	}
	text, err := json.MarshalIndent(here, "", "  ")
	if err != nil {
		return err
	}
	if err := vfs.MkdirAll(s.opts.FS, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return vfs.WriteFile(s.opts.FS, path, vfs.AddSum(text), 0o600)
}
