package metadata

import (
	"fmt"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Pages that are checked at the same time see each row once, and tell of them in order.
func TestRowsAreWalkedApartOnce(t *testing.T) {
	db := newDB(t)
	const rows = 100
	update(t, db, func(tx *Tx) error {
		for i := range rows {
			tx.kv.Set(tx.keys.object(1, fmt.Sprintf("key-%03d", i)), nil)
		}
		return nil
	})
	engine := db.engine
	walk := func(c *checker, by func(*checker) func(rowCheck) error) (out []string, counted int64) {
		c.db, c.report = db, func(Problem) {}
		c.looked = func(n int64) { counted = n }
		err := by(c)(func(page *pageCheck, p kv.Pair) error {
			row := string(p.Key)
			if v, err := page.get(p.Key); err != nil || v == nil {
				return fmt.Errorf("row %q: %q, %w", p.Key, v, err)
			}
			page.then(func() { out = append(out, row) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out, counted
	}
	all := db.keys.all(tagObject)
	want, n := walk(&checker{page: checkPage}, func(c *checker) func(rowCheck) error {
		return func(check rowCheck) error { return c.walk(t.Context(), all, check) }
	})
	if len(want) != rows || n != rows {
		t.Fatalf("%d rows, %d counted", len(want), n)
	}
	for _, page := range []int{1, 3, 7, 50, checkPage} {
		for _, width := range []int{1, 2, 3, checkWidth} {
			for _, most := range []int{0, 4} { // rows that a transaction may read
				if db.engine = engine; most > 0 {
					db.engine = &tired{Engine: engine, rows: most}
				}
				got, n := walk(&checker{page: page, width: width}, func(c *checker) func(rowCheck) error {
					return func(check rowCheck) error { return c.walkApart(t.Context(), all, check) }
				})
				if !slices.Equal(got, want) || n != rows {
					t.Errorf("pages of %d, %d at a time, %d rows at most: %d rows, %d counted", page, width, most, len(got), n)
				}
			}
		}
	}
	db.engine = engine
}
