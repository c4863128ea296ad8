package pebble

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Backup writes a consistent copy of the state into dir, which must not exist,
// while the engine runs. Everything acknowledged before the call is in it, and
// it is durable when Backup returns. [Open] opens it like any other.
func (e *Engine) Backup(dir string) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.Done()
	if err := e.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("backup into %s: %w", dir, err)
	}
	return nil
}
