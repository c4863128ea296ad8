package single

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// Of the processes that share metadata, one has the data directories: disks are not
// served over the network yet, and to a second process those of the first would be lost
// ones, to be rebuilt. The row j of ownerRow says which process it is. Its stamp rises while it
// lives. Whoever holds the locks of all of its directories knows that it is dead; anybody
// else sees the stamp stand still, in transactions that write, so that nobody grows old
// while the metadata takes no writes.
//
// Two owners may still meet for a moment, after one was cut off. The owner is there to
// refuse what would be of no use; epochs and transactions make it safe.
const (
	ownerRow = "data-directories"
	// ownerBeat is how often the owner raises its stamp, and others look at it.
	ownerBeat = 5 * time.Second
	// ownerStill is in how many looks that follow each other the stamp has to stand still.
	ownerStill = 4
	// ownerDisks is how many disks the row names at most.
	ownerDisks = 64
)

// ErrOwned says that another process has the data directories of the store.
var ErrOwned = errors.New("another process serves the data directories of this store")

// owner is what a process knows of its claim to the data directories. The zero
// value has none.
type owner struct {
	token string
	lost  chan struct{} // closed when another process has taken them

	mu    sync.Mutex // guards cause
	cause error
}

func (o *owner) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}

func (o *owner) lose(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cause == nil {
		o.cause = cause
		close(o.lost)
	}
}

// claim is the owner as its row says it.
type claim struct {
	Token   string   `json:"token"`
	Stamp   uint64   `json:"stamp"`
	Asked   uint64   `json:"asked"` // how often others looked
	Process string   `json:"process"`
	Disks   []string `json:"disks"` // whose locks it holds
}

// own makes this process the owner of the data directories, or says who is.
func (s *System) own(ctx context.Context) error {
	if !s.opts.isShared() || s.opts.isGateway() {
		return nil
	}
	id := s.DB.NewHolderID()
	s.owner.token, s.owner.lost = hex.EncodeToString(id[:]), make(chan struct{})
	timer := time.NewTimer(0)
	defer timer.Stop()
	var seen claim
	for still := 0; ; {
		select {
		case <-timer.C:
			timer.Reset(ownerBeat)
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := s.claim(ctx, seen, still >= ownerStill)
		switch {
		case errors.Is(err, kv.ErrUnknownCommit):
			continue // the next look says
		case err != nil:
			return fmt.Errorf("claim the data directories: %w", err)
		case now.Token == s.owner.token:
			s.tasks.Go(func() { s.keepOwning(s.life) })
			return nil
		case now.Token != seen.Token:
			s.opts.Logger.WarnContext(ctx, "another process served the data directories of this store; waiting to see whether it lives", slog.String("process", now.Process))
			seen, still = now, 0
		case now.Stamp != seen.Stamp:
			return fmt.Errorf("%w: %s; stop it first, or start `undercroft gateway`, which needs none", ErrOwned, now.Process)
		}
		still++
	}
}

// claim writes this process into the row where there is no other, or that one is
// dead, and returns who is there now. Who was dead is seen once more in the transaction: it
// may have raised its stamp since the last look, and another process may be there instead.
func (s *System) claim(ctx context.Context, seen claim, dead bool) (now claim, err error) {
	here := s.lockedDisks()
	err = s.changeClaim(ctx, func(c *claim) bool {
		isElsewhere := func(id string) bool { return !slices.Contains(here, id) }
		still := dead && c.Token == seen.Token && c.Stamp == seen.Stamp
		gone := c.Token == "" || still || len(c.Disks) > 0 && !slices.ContainsFunc(c.Disks, isElsewhere)
		if gone {
			*c = claim{Token: s.owner.token, Process: s.opts.External.Process, Disks: here}
		}
		c.Asked++
		now = *c
		return true
	})
	return now, err
}

// lockedDisks are those whose directories this process has locked, as many as a row holds.
func (s *System) lockedDisks() (ids []string) {
	disks := s.roster.attached()
	for _, d := range disks[:min(len(disks), ownerDisks)] {
		ids = append(ids, d.ID().String())
	}
	return ids
}

// keepOwning raises the stamp until ctx ends.
func (s *System) keepOwning(ctx context.Context) {
	ticker := time.NewTicker(ownerBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		var now claim
		err := s.changeClaim(ctx, func(c *claim) bool {
			if now = *c; c.Token != s.owner.token {
				return false
			}
			c.Stamp++
			c.Disks = s.lockedDisks()
			return true
		})
		// Nobody else gets further while the metadata does not answer.
		if err == nil && now.Token != s.owner.token {
			s.owner.lose(fmt.Errorf("%w: %s", ErrOwned, now.Process))
			return
		}
	}
}

// disown lets the next process have the data directories at once.
func (s *System) disown(ctx context.Context) error {
	if s.owner.token == "" || s.owner.err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	err := s.changeClaim(ctx, func(c *claim) bool {
		if c.Token != s.owner.token {
			return false
		}
		*c = claim{}
		return true
	})
	if err != nil { // the next one holds the locks
		s.opts.Logger.InfoContext(ctx, "the claim to the data directories is left to run out", slog.Any("error", err))
	}
	return nil
}

// changeClaim changes the row in a transaction, if change says so.
func (s *System) changeClaim(ctx context.Context, change func(*claim) bool) error {
	return s.DB.Update(ctx, "owner", func(tx *metadata.Tx) error {
		row, err := tx.Job(ownerRow)
		if err != nil {
			return err
		}
		if row == nil {
			row = &metadata.Job{Name: ownerRow}
		}
		var c claim
		if len(row.Cursor) > 0 {
			if err := json.Unmarshal(row.Cursor, &c); err != nil {
				return fmt.Errorf("the row of who serves the data directories: %w", err)
			}
		}
		if !change(&c) {
			return nil
		}
		if row.Cursor, err = json.Marshal(c); err != nil {
			return err
		}
		return tx.PutJob(row)
	})
}
