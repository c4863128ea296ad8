package disk

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	identityFile   = "undercroft.json"
	identityFormat = 1
	identityLimit  = 4096
)

// The errors of [Format] and [Open], beside those of the file system and
// [vfs.ErrLocked].
var (
	// ErrMissing: the directory is not there.
	ErrMissing = errors.New("disk: directory is missing")
	// ErrNotFormatted: the directory carries no identity. When it did before,
	// it is perhaps not mounted.
	ErrNotFormatted = errors.New("disk: directory has no identity")
	// ErrNotEmpty: a directory with files but without an identity is never
	// formatted, nor is one that has an identity.
	ErrNotEmpty = errors.New("disk: directory is not empty")
	// ErrWrongDisk: the directory holds another disk, or one of another
	// cluster.
	ErrWrongDisk = errors.New("disk: directory holds another disk")
)

// ClusterID is the random identity of a whole store.
type ClusterID [16]byte

// String returns the identity in hexadecimal.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// Identity says which disk a directory holds.
type Identity struct {
	Disk    blobd.DiskID
	Cluster ClusterID
	Created time.Time
}

// NewIdentity makes the identity of a new disk of a cluster.
func NewIdentity(cluster ClusterID, now time.Time) Identity {
	id := Identity{Cluster: cluster, Created: now.UTC().Truncate(time.Second)}
	_, _ = rand.Read(id.Disk[:]) // never fails
	return id
}

// State is what [Probe] finds.
type State int

// The states of a directory.
const (
	// Missing: there is no such directory.
	Missing State = iota
	// Empty: nothing is in it, or only what a formatting cut short left.
	Empty
	// Identified: it carries the identity of a disk.
	Identified
	// Foreign: it has no identity but holds something.
	Foreign
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Missing:
		return "missing"
	case Empty:
		return "empty"
	case Identified:
		return "identified"
	case Foreign:
		return "foreign"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// HasShards reports whether dir holds shards, with an identity or without one.
func HasShards(fsys vfs.FS, dir string) bool {
	names, err := fsys.List(fsys.PathJoin(dir, shardsDir))
	return err == nil && len(names) > 0
}

// Probe tells what is in dir, changing nothing. The identity is set when the
// state is [Identified]. An identity that cannot be read or understood is an
// error, and no reason to format.
func Probe(fsys vfs.FS, dir string) (State, Identity, error) {
	info, err := fsys.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Missing, Identity{}, nil
	}
	if err != nil {
		return 0, Identity{}, fmt.Errorf("probe %s: %w", dir, err)
	}
	if !info.IsDir() {
		return 0, Identity{}, fmt.Errorf("probe %s: not a directory", dir)
	}
	id, err := readIdentity(fsys, dir)
	if err == nil {
		return Identified, id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, Identity{}, fmt.Errorf("probe %s: %w", dir, err)
	}
	names, err := fsys.List(dir)
	if err != nil {
		return 0, Identity{}, fmt.Errorf("probe %s: %w", dir, err)
	}
	for _, name := range names {
		if name != "lost+found" && name != "LOCK" && !vfs.IsTemporary(name) {
			return Foreign, Identity{}, nil
		}
	}
	return Empty, Identity{}, nil
}

// Format makes an empty directory, created when it is missing, a disk with
// this identity, durably. Anything in it but lost+found is [ErrNotEmpty].
func Format(fsys vfs.FS, dir string, id Identity) (err error) {
	if id.Disk == (blobd.DiskID{}) {
		return fmt.Errorf("format %s: the identity is empty", dir)
	}
	if err := vfs.MkdirAll(fsys, dir, dirMode); err != nil {
		return fmt.Errorf("format %s: %w", dir, err)
	}
	lock, err := vfs.LockDir(fsys, dir, os.Getpid())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	state, _, err := Probe(fsys, dir)
	if err != nil {
		return err
	}
	if state != Empty {
		return fmt.Errorf("format %s: %w (%s)", dir, ErrNotEmpty, state)
	}
	// The identity is the first thing in the directory: whatever else is ever
	// found here, a disk was meant to be.
	return writeIdentity(fsys, dir, id)
}

type identityRecord struct {
	Format  int    `json:"format"`
	Disk    string `json:"disk"`
	Cluster string `json:"cluster"`
	Created string `json:"created"`
}

func writeIdentity(fsys vfs.FS, dir string, id Identity) error {
	data, err := json.MarshalIndent(identityRecord{
		Format:  identityFormat,
		Disk:    id.Disk.String(),
		Cluster: id.Cluster.String(),
		Created: id.Created.UTC().Format(time.RFC3339),
	}, "", "  ")
	if err != nil {
		return err
	}
	return vfs.WriteFile(fsys, fsys.PathJoin(dir, identityFile), vfs.AddSum(data), 0o640)
}

func readIdentity(fsys vfs.FS, dir string) (Identity, error) {
	data, err := vfs.ReadFile(fsys, fsys.PathJoin(dir, identityFile), identityLimit)
	if err != nil {
		return Identity{}, err
	}
	data, err = vfs.CutSum(data)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", identityFile, err)
	}
	var r identityRecord
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Identity{}, fmt.Errorf("%s: %w", identityFile, err)
	}
	if r.Format != identityFormat {
		return Identity{}, fmt.Errorf("%s: format %d is not known", identityFile, r.Format)
	}
	var id Identity
	if err := errors.Join(decodeID(id.Disk[:], r.Disk), decodeID(id.Cluster[:], r.Cluster)); err != nil {
		return Identity{}, fmt.Errorf("%s: %w", identityFile, err)
	}
	if id.Created, err = time.Parse(time.RFC3339, r.Created); err != nil {
		return Identity{}, fmt.Errorf("%s: %w", identityFile, err)
	}
	return id, nil
}

func decodeID(dst []byte, s string) error {
	if hex.DecodedLen(len(s)) != len(dst) {
		return fmt.Errorf("identity %q has not %d bytes", s, len(dst))
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}
