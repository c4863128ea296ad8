package metadata

import (
	"context"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// requestKey is the key of the request that a context belongs to.
type requestKey struct{}

// request is what the transactions of one request share.
type request struct {
	engine  kv.Engine
	session kv.Session
}

// BeginRequest returns the context of a request that begins now, in which
// ViewShared and UpdateShared share a read version. On local engines, where that
// would save nothing, it returns ctx.
func (db *DB) BeginRequest(ctx context.Context) context.Context {
	if !db.remote {
		return ctx
	}
	return context.WithValue(kv.WithBudget(ctx, requestBudget), requestKey{}, &request{engine: db.engine})
}

// session is that of the request which ctx belongs to, or nil.
func (db *DB) session(ctx context.Context) *kv.Session {
	if !db.remote {
		return nil
	}
	if r, ok := ctx.Value(requestKey{}).(*request); ok && r.engine == db.engine {
		return &r.session
	}
	return nil
}

// ViewShared is View at a version that the request of ctx has read before, where it
// has one that is young. It shows what was acknowledged before the request began
// and what the request wrote. Who has to see what another transaction of this
// process did since takes View.
func (db *DB) ViewShared(ctx context.Context, class string, fn func(*Reader) error) error {
	return db.view(ctx, kv.TxOptions{Class: class, Session: db.session(ctx)}, fn)
}

// UpdateShared is Update, of which the first attempt reads as ViewShared does.
func (db *DB) UpdateShared(ctx context.Context, class string, fn func(*Tx) error) error {
	session := db.session(ctx)
	defer session.Drop()
	return db.update(ctx, kv.TxOptions{Class: class, Session: session}, fn)
}

func (db *DB) view(ctx context.Context, o kv.TxOptions, fn func(*Reader) error) error {
	return db.engine.View(ctx, o, func(r kv.Reader) error {
		if db.remote {
			r = newAheadReader(r)
		}
		return fn(&Reader{keys: db.keys, kv: r})
	})
}

func (db *DB) update(ctx context.Context, o kv.TxOptions, fn func(*Tx) error) error {
	var lockBegan time.Time
	_, err := db.engine.Update(ctx, o, func(t kv.Tx) error {
		if db.remote {
			t = newAheadTx(t)
		}
		tx := &Tx{Reader: Reader{keys: db.keys, kv: t}, db: db, kv: t}
		if err := fn(tx); err != nil {
			return err
		}
		lockBegan = tx.lockBegan
		return tx.err
	})
	if err == nil {
		db.lockHasBegun(lockBegan)
	}
	return err
}
