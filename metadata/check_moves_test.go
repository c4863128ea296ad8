package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// between is an engine that calls a function before each View, except those of
// the function itself.
type between struct {
	kv.Engine
	before func(view int)
	views  int
	inside bool
}

func (e *between) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if !e.inside {
		e.views++
		e.inside = true
		e.before(e.views)
		e.inside = false
	}
	return e.Engine.View(ctx, o, fn)
}

// checkBetween runs the part of Check that takes several read versions, and
// calls change before each of them. It returns how many there were.
func checkBetween(t *testing.T, db *DB, page int, change func(view int)) (problems []Problem, views int) {
	t.Helper()
	engine := db.engine
	e := &between{Engine: engine, before: change}
	db.engine = e
	defer func() { db.engine = engine }()
	c := &checker{db: db, report: func(p Problem) { problems = append(problems, p) }, maxHomes: maxHomes, page: page}
	if err := c.homes(t.Context()); err != nil {
		t.Fatal(err)
	}
	return problems, e.views
}

// lives is what happens to some data, by name: each step is one transaction and
// leaves a consistent state, the last one that of before the first.
func lives(t *testing.T, db *DB, b *Bucket, p *Partition) map[string][]func() {
	t.Helper()
	return map[string][]func(){
		"an object that carries its extents": objectLife(t, db, b, p, 2),
		"an object with rows of extents":     objectLife(t, db, b, p, 5),
		"an upload":                          uploadLife(t, db, b, p),
	}
}

// objectLife is a version that is demoted, promoted, copied and deleted.
func objectLife(t *testing.T, db *DB, b *Bucket, p *Partition, extents int) []func() {
	t.Helper()
	var o, dst *Object
	tx := func(fn func(*Tx) error) func() {
		return func() { update(t, db, fn) }
	}
	toggle := []func(){
		tx(func(tx *Tx) error { return errors.Join(tx.Demote(b.ID, o), tx.SetNull(b.ID, o.Key, o.Ord)) }),
		tx(func(tx *Tx) error { return errors.Join(tx.Promote(b.ID, o), tx.ClearNull(b.ID, o.Key)) }),
	}
	return slices.Concat(
		[]func(){func() { o = storedObject(t, db, b, "k", placeExtents(p, 0, extents, 10)) }},
		toggle, toggle,
		[]func(){
			func() { dst = share(t, db, b, o, "copy") },
			tx(func(tx *Tx) error { return tx.DeleteObject(b.ID, o) }),
			func() { collect(t, db) },
			tx(func(tx *Tx) error { return tx.DeleteObject(b.ID, dst) }),
			func() { collect(t, db) },
			func() { o = storedObject(t, db, b, "k", placeExtents(p, 0, extents, 10)) },
			tx(func(tx *Tx) error { return tx.DeleteObject(b.ID, o) }),
			func() { collect(t, db) },
		})
}

// uploadLife is an upload that is completed, with a part left out, and the
// object then deleted.
func uploadLife(t *testing.T, db *DB, b *Bucket, p *Partition) []func() {
	t.Helper()
	var u *testUpload
	var o *Object
	return []func(){
		func() { u = newUpload(t, db, b, "k") },
		func() { u.put(t, 1, placeExtents(p, 0, 2, 10)) },
		func() { u.put(t, 2, placeExtents(p, 5, 2, 10)) },
		func() { o = complete(t, db, b, u, func(n int) bool { return n == 1 }) },
		func() { collect(t, db) },
		func() {
			update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, o) })
		},
		func() { collect(t, db) },
	}
}

// TestCheckBetweenMoves takes two consecutive steps of a life at any two read
// versions of a check, at one, or the second one after the check.
func TestCheckBetweenMoves(t *testing.T) {
	db := newDB(t)
	for name, steps := range lives(t, db, newBucket(t, db, "b"), newPartition(t, db)) {
		t.Run(name, func(t *testing.T) {
			for first := range len(steps) - 1 {
				for i, views := 1, 1; i <= views; i++ {
					for j := i; j <= views+1; j++ {
						problems, n := checkDuring(t, db, steps, map[int]int{first: i, first + 1: j})
						for _, p := range problems {
							t.Errorf("steps %d and %d at views %d and %d: %v", first, first+1, i, j, p)
						}
						views = max(views, n)
					}
				}
			}
			clean(t, db)
		})
	}
}

// checkDuring goes through a life and checks before the first step of at, which
// says at which views of the check its steps are taken.
func checkDuring(t *testing.T, db *DB, steps []func(), at map[int]int) (problems []Problem, views int) {
	t.Helper()
	next := 0
	for ; at[next] == 0; next++ {
		steps[next]()
	}
	problems, views = checkBetween(t, db, checkPage, func(view int) {
		for ; at[next] == view; next++ {
			steps[next]()
		}
	})
	for ; next < len(steps); next++ {
		steps[next]()
	}
	return problems, views
}

// TestCheckOfARestlessVersion demotes and promotes versions before every read
// of the checker, so that a walk of one table after the other would find them
// in neither, however often it is repeated.
func TestCheckOfARestlessVersion(t *testing.T) {
	for _, page := range []int{1, 2, checkPage} {
		for phase := range 2 {
			db := newDB(t)
			b, p := newBucket(t, db, "b"), newPartition(t, db)
			var objects []*Object
			for i, key := range []string{"a", "a\x00", "b"} {
				objects = append(objects, storedObject(t, db, b, key, placeExtents(p, 10*i, 5, 10)))
			}
			problems, _ := checkBetween(t, db, page, func(view int) {
				update(t, db, func(tx *Tx) (err error) {
					for _, o := range objects {
						if view%2 == phase {
							err = errors.Join(err, tx.Demote(b.ID, o))
						} else if view > 1 {
							err = errors.Join(err, tx.Promote(b.ID, o))
						}
					}
					return err
				})
			})
			for _, problem := range problems {
				t.Errorf("pages of %d, phase %d: %v", page, phase, problem)
			}
		}
	}
}

// TestVersionsAreWalkedOnce holds the walk of both tables of versions against
// one walk of each, with keys and values that do not decode among the rows.
func TestVersionsAreWalkedOnce(t *testing.T) {
	db := newDB(t)
	update(t, db, func(tx *Tx) error {
		for _, key := range []string{"", "a", "a\x00", "a\x00\x01", "a\x00\xff", "ab", "b", "\xff"} {
			for id := range BucketID(2) {
				tx.kv.Set(tx.keys.object(id, key), []byte(key))
				tx.kv.Set(tx.keys.inBucket(tagVersion, id, 0), nil)
				tx.kv.Set(append(tx.keys.inBucket(tagVersion, id, 0), key...), nil) // not escaped
				for ord := range Ord(4) {
					tx.kv.Set(tx.keys.version(id, key, ord), nil)
				}
			}
			tx.kv.Set(append(tx.keys.tag(tagObject, 0), key...), nil) // no bucket
			tx.kv.Set(append(tx.keys.tag(tagVersion, 0), key...), nil)
		}
		return nil
	})
	walk := func(page int, by func(*checker, rowCheck) error) (rows []string) {
		err := by(&checker{db: db, page: page}, func(c *pageCheck, p kv.Pair) error {
			row := fmt.Sprintf("%q", p.Key)
			c.then(func() { rows = append(rows, row) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		return rows
	}
	want := walk(checkPage, func(c *checker, check rowCheck) error {
		return errors.Join(c.walk(t.Context(), db.keys.all(tagObject), check), c.walk(t.Context(), db.keys.all(tagVersion), check))
	})
	for _, page := range []int{1, 2, 3, 7, checkPage} {
		got := walk(page, func(c *checker, check rowCheck) error { return c.walkVersions(t.Context(), check) })
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d rows, want %d", page, len(got), len(want))
		}
	}
}
