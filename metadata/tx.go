package metadata

import (
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Tx is one attempt of an Update: serializable reads, and writes that take
// effect together at the commit. Its reads see its own writes. Methods that
// write never read unless they say so; their error is ErrInvalid where a record
// breaks a limit, and ErrLocked where a locked version would go: then the
// Update fails even if its function returns nil.
type Tx struct {
	Reader
	db  *DB
	kv  kv.Tx
	err error // the first invalid write
	// bypass is the key whose governance mode counts for nothing; nil for none.
	bypass *bypass
	// lockBegan is where this transaction begins the lock time; zero: it does not.
	lockBegan time.Time
}

// Snapshot reads the same version, own writes included, without adding
// conflicts.
func (t *Tx) Snapshot() *Reader { return &Reader{keys: t.keys, kv: t.kv.Snapshot()} }

// Attempt is 0 in the first run of the function and grows by one each time.
func (t *Tx) Attempt() int { return t.kv.Attempt() }

// Size is the size of the transaction in bytes; it fails above kv.MaxTx.
func (t *Tx) Size() int { return t.kv.Size() }

func (t *Tx) set(key, value []byte) { t.kv.Set(key, value) }

func (t *Tx) add(key []byte, delta int64) {
	if delta != 0 {
		t.kv.Add(key, delta)
	}
}

func (t *Tx) invalid(format string, args ...any) {
	if t.err == nil {
		t.err = fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
}

// MarkToken records that the operation of token committed. Operations that
// leave a row with their token in it need none.
func (t *Tx) MarkToken(token Token) error {
	t.set(t.keys.token(token), []byte{})
	return t.err
}

// NoTokens says whether there is no token made before the minute of before.
func (r *Reader) NoTokens(before time.Time) (bool, error) {
	return r.empty(r.keys.tokensBefore(before))
}

// ClearTokens forgets the tokens made before the minute of before.
func (t *Tx) ClearTokens(before time.Time) error {
	t.kv.DeleteRange(t.keys.tokensBefore(before))
	return t.err
}
