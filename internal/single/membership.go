package single

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	metadataDir     = "metadata"
	membershipFile  = "membership.json"
	membershipLimit = 64 << 10
	membershipNow   = 1 // format
)

// membership says, in a file in every directory, which directories hold the
// metadata engine's files. The one with the highest epoch counts.
type membership struct {
	Format int    `json:"format"`
	Epoch  uint64 `json:"epoch"`
	// Initialised: the engine has had a state since; it is never created
	// again.
	Initialised bool     `json:"initialised"`
	Members     []member `json:"members"`
}

type member struct {
	Disk string `json:"disk"`
	Path string `json:"path"` // where it was last seen; for people
}

func newMembership(dir *directory) membership {
	return membership{
		Format: membershipNow, Epoch: 1,
		Members: []member{{Disk: dir.identity.Disk.String(), Path: dir.path}},
	}
}

// metadata is the disk whose directory holds the engine's files.
func (m *membership) metadata() (id blobd.DiskID) {
	raw, err := hex.DecodeString(m.Members[0].Disk)
	if err == nil && len(raw) == len(id) {
		copy(id[:], raw)
	}
	return id
}

// readMembership returns the newest record of all directories.
func (d *directories) readMembership(fsys vfs.FS) (newest membership, found bool, err error) {
	for _, dir := range d.all {
		if dir.problem != nil || dir.state != disk.Identified {
			continue
		}
		m, err := readMembershipFile(fsys, dir.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return newest, false, fmt.Errorf("%s: %w", fsys.PathJoin(dir.path, membershipFile), err)
		}
		if !found || m.Epoch > newest.Epoch || m.Epoch == newest.Epoch && m.Initialised {
			newest, found = m, true
		}
	}
	return newest, found, nil
}

func readMembershipFile(fsys vfs.FS, dir string) (m membership, err error) {
	data, err := vfs.ReadFile(fsys, fsys.PathJoin(dir, membershipFile), membershipLimit)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, err
	}
	if m.Format != membershipNow || len(m.Members) == 0 {
		return m, fmt.Errorf("format %d with %d members is not known to this program", m.Format, len(m.Members))
	}
	return m, nil
}

// writeMembership writes the record to every directory in service, durably.
func (d *directories) writeMembership(fsys vfs.FS, m membership) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	for _, dir := range d.all {
		if dir.problem != nil || dir.state != disk.Identified {
			continue
		}
		if err := vfs.WriteFile(fsys, fsys.PathJoin(dir.path, membershipFile), append(data, '\n'), 0o640); err != nil {
			return err
		}
	}
	return nil
}
