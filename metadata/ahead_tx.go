package metadata

import "github.com/undercroft/undercroft/metadata/kv"

// aheadReader is a View's reader with reads that were sent ahead.
type aheadReader struct {
	kv.Reader
	ahead
}

func newAheadReader(r kv.Reader) *aheadReader {
	return &aheadReader{Reader: r, ahead: ahead{plain: r}}
}

// Get takes the read that was sent, or sends it.
func (r *aheadReader) Get(key []byte) kv.Future {
	if f := r.take(key); f != nil {
		return f
	}
	return r.Reader.Get(key)
}

// GetRange is as Get.
func (r *aheadReader) GetRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	if it := r.takeRange(rng, o); it != nil {
		return it
	}
	return r.Reader.GetRange(rng, o)
}

// aheadTx is an Update's transaction with reads that were sent ahead.
type aheadTx struct {
	kv.Tx
	ahead
}

func newAheadTx(t kv.Tx) *aheadTx {
	return &aheadTx{Tx: t, ahead: ahead{plain: t.Snapshot(), conflicts: t}}
}

// Get takes the read that was sent, or sends it.
func (t *aheadTx) Get(key []byte) kv.Future {
	if f := t.take(key); f != nil {
		return f
	}
	return t.Tx.Get(key)
}

// GetRange is as Get.
func (t *aheadTx) GetRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	if it := t.takeRange(rng, o); it != nil {
		return it
	}
	return t.Tx.GetRange(rng, o)
}

// Set writes key.
func (t *aheadTx) Set(key, value []byte) {
	t.wrote(key)
	t.Tx.Set(key, value)
}

// Delete removes key.
func (t *aheadTx) Delete(key []byte) {
	t.deleted(key)
	t.Tx.Delete(key)
}

// Add adds to the integer at key.
func (t *aheadTx) Add(key []byte, delta int64) {
	t.wrote(key)
	t.Tx.Add(key, delta)
}

// DeleteRange removes the keys of r.
func (t *aheadTx) DeleteRange(r kv.Range) {
	t.forget()
	t.Tx.DeleteRange(r)
}
