package mirror

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	witnessFile  = "witness.json"
	witnessLimit = 64 << 10
)

// ErrForeignWitness says that the directory of the witness is another store's,
// or holds something else.
var ErrForeignWitness = errors.New("the directory of the metadata's witness is not this store's")

// witnessed is what makes a directory a witness: whose, and which.
type witnessed struct {
	Store string `json:"store"`
	ID    string `json:"id"`
	Sum   string `json:"sum"` // CRC32C of the two
}

func (w witnessed) sum() string { return sumText([]byte(w.Store + "\n" + w.ID)) }

// openWitness makes the witness that the options name a node, and the directory
// a witness where it is new. One that cannot be reached is only a vote that is
// missing.
func (s *Set) openWitness() error {
	path := s.opts.Witness
	if path == "" {
		return nil
	}
	probe := s.newNode(Dir{Path: path})
	id, err := within(probe, s.opts.Stall, func() (string, error) { return s.claimWitness(path) }, nil)
	if errors.Is(err, ErrForeignWitness) {
		return err
	}
	if err != nil {
		err = fmt.Errorf("witness of the metadata: %w", err)
		s.witness.Store(&err)
		s.opts.Logger.Error("witness of the metadata cannot be used", slog.String("directory", path), slog.Any("error", err))
		return nil
	}
	n := s.newNode(Dir{Disk: "witness-" + id, Path: path})
	n.witness = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = append(s.nodes, n)
	return nil
}

// claimWitness reads the identity of the witness in a directory, and makes one
// in an empty one.
func (s *Set) claimWitness(path string) (id string, err error) {
	w, err := s.readWitness(path)
	if err == nil {
		return w.ID, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := vfs.MkdirAll(s.base, path, 0o750); err != nil {
		return "", err
	}
	names, err := s.base.List(path)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if !slices.Contains([]string{"lost+found", recordFile, guardFile}, name) && !vfs.IsTemporary(name) {
			return "", fmt.Errorf("%w: %s holds %s", ErrForeignWitness, path, name)
		}
	}
	if err := vfs.Remove(s.base, s.base.PathJoin(path, recordFile)); err != nil { // of who knows which store
		return "", err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	w = witnessed{Store: s.opts.Store, ID: hex.EncodeToString(random[:])}
	w.Sum = w.sum()
	data, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	return w.ID, vfs.WriteFile(s.base, s.base.PathJoin(path, witnessFile), append(data, '\n'), 0o640)
}

func (s *Set) readWitness(path string) (w witnessed, err error) {
	data, err := vfs.ReadFile(s.base, s.base.PathJoin(path, witnessFile), witnessLimit)
	if err != nil {
		return w, err
	}
	if err := json.Unmarshal(data, &w); err != nil || w.Sum != w.sum() {
		return w, fmt.Errorf("%s in %s is damaged: remove the directory's content to make a new witness of it", witnessFile, path)
	}
	if w.Store != s.opts.Store {
		return w, fmt.Errorf("%w: %s is a witness of another one", ErrForeignWitness, path)
	}
	return w, nil
}

// verify reports whether a node still is the directory that it was.
func (s *Set) verify(n *node) error {
	if !n.witness {
		return s.opts.Verify(n.Dir)
	}
	w, err := s.readWitness(n.Path)
	if err == nil && "witness-"+w.ID != n.Disk {
		err = fmt.Errorf("%s is another witness now", n.Path)
	}
	return err
}

// Witness is the state of the directory that votes and holds no files.
type Witness struct {
	Path    string
	Problem string // empty: it has the record
}

// witnessStatusLocked describes the witness, nil if there is to be none.
func (s *Set) witnessStatusLocked(rec *Record) *Witness {
	if s.opts.Witness == "" {
		return nil
	}
	w := &Witness{Path: s.opts.Witness}
	problem := s.witness.Load()
	for _, n := range s.nodes {
		if !n.witness {
			continue
		}
		if p := n.problem.Load(); p != nil {
			problem = p
		}
		if problem == nil && !has(rec.Voters, n.Disk) {
			w.Problem = "it does not have the record"
		}
	}
	if problem != nil {
		w.Problem = (*problem).Error()
	}
	return w
}
