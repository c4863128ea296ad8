package metadata

import (
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// requestBudget is how long one request waits for an engine across a network, all its
// transactions together.
const requestBudget = 10 * time.Second

// Answers returns nil while the engine's store answers, as far as is known: what
// is written elsewhere now can be published soon. It costs nothing.
func (db *DB) Answers() error {
	if w, ok := kv.Find[kv.Watched](db.engine); ok {
		return w.Answers()
	}
	return nil
}
