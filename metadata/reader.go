package metadata

import (
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Reader reads rows at one version. A row that is absent is nil, or the zero
// value where the result is no pointer, without an error. Results stay valid
// after the transaction.
//
// In an Update the Reader of the Tx itself is serializable, and that of
// Tx.Snapshot adds no conflicts. It is used by one goroutine at a time.
type Reader struct {
	keys keyspace
	kv   kv.Reader
}

// Generation is the stamp that changes with every change of a bucket's
// configuration; nil before the first.
func (r *Reader) Generation() ([]byte, error) {
	return r.kv.Generation().Wait()
}

func (r *Reader) get(key []byte) ([]byte, error) { return r.kv.Get(key).Wait() }

// each calls fn for the pairs of rng until fn returns false or limit pairs
// were read; limit 0 reads to the end.
func (r *Reader) each(rng kv.Range, limit int, fn func(kv.Pair) (bool, error)) error {
	it := r.kv.GetRange(rng, kv.RangeOptions{Limit: limit})
	defer it.Close()
	for it.Next() {
		more, err := fn(it.Pair())
		if err != nil || !more {
			return err
		}
	}
	return it.Err()
}

// empty says whether a range holds no row.
func (r *Reader) empty(rng kv.Range) (bool, error) {
	found := false
	err := r.each(rng, 1, func(kv.Pair) (bool, error) {
		found = true
		return false, nil
	})
	return !found, err
}

func (r *Reader) counter(key []byte) (int64, error) {
	v, err := r.get(key)
	if err != nil {
		return 0, err
	}
	return decodeCounter(v)
}

func decodeCounter(v []byte) (int64, error) {
	if len(v) > 8 {
		return 0, fmt.Errorf("%w: counter of %d bytes", ErrCorrupt, len(v))
	}
	var n uint64
	for i, c := range v {
		n |= uint64(c) << (8 * i)
	}
	return int64(n), nil
}

// decode turns the row of a Get into a record; an absent row is nil.
func decode[T any](r *Reader, key []byte, record func([]byte) (*T, error)) (*T, error) {
	v, err := r.get(key)
	if err != nil || v == nil {
		return nil, err
	}
	out, err := record(v)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", key, err)
	}
	return out, nil
}

// TokenSeen says whether an operation that leaves no row committed with token.
func (r *Reader) TokenSeen(token Token) (bool, error) {
	v, err := r.get(r.keys.token(token))
	return v != nil, err
}
