package kvtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// patient waits as long as a busy machine needs.
func patient() kv.TxOptions { return kv.TxOptions{Class: "test", Timeout: time.Minute} }

func lostUpdates(t *testing.T, e kv.Engine) {
	const workers, rounds = 8, 25
	parallel(t, workers, func(ctx context.Context, _ int) error {
		for range rounds {
			_, err := e.Update(ctx, patient(), func(tx kv.Tx) error {
				v, err := tx.Get([]byte("n")).Wait()
				if err != nil {
					return err
				}
				n, _ := strconv.Atoi(string(v))
				tx.Set([]byte("n"), []byte(strconv.Itoa(n+1)))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	equal(t, "content", content(t, e), []string{"n=" + strconv.Itoa(workers*rounds)})
}

func writeSkew(t *testing.T, e kv.Engine) {
	update(t, e, func(tx kv.Tx) { set(tx, "on call a", "yes", "on call b", "yes") })
	err := once(t, e, func(tx kv.Tx) {
		if get(tx, "on call b") != "yes" {
			return
		}
		update(t, e, func(rival kv.Tx) {
			if get(rival, "on call a") == "yes" {
				set(rival, "on call b", "no")
			}
		})
		set(tx, "on call a", "no")
	})
	isError(t, "second to leave", err, kv.ErrConflict)
	equal(t, "content", content(t, e), []string{"on call a=yes", "on call b=no"})
}

func concurrentAdds(t *testing.T, e kv.Engine) {
	const workers, rounds = 8, 50
	parallel(t, workers, func(ctx context.Context, _ int) error {
		for range rounds {
			_, err := e.Update(ctx, kv.TxOptions{MaxRetries: -1}, func(tx kv.Tx) error {
				tx.Add([]byte("n"), 3)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	equal(t, "content", content(t, e), []string{"n=" + number(3*workers*rounds)})
}

// bank moves money between accounts, some of which come and go as rows, while
// views and updates add it all up.
func bank(t *testing.T, e kv.Engine) {
	const accounts, each, workers, rounds = 10, 100, 6, 40
	update(t, e, func(tx kv.Tx) {
		for i := range accounts {
			tx.Set(fmt.Appendf(nil, "account %d", i), []byte(strconv.Itoa(each)))
		}
	})
	parallel(t, workers, func(ctx context.Context, worker int) error {
		random := rand.New(rand.NewPCG(uint64(worker), 1))
		for range rounds {
			if err := transfer(ctx, e, random.IntN(accounts), random.IntN(accounts)); err != nil {
				return err
			}
			err := e.View(ctx, patient(), func(r kv.Reader) error { return total(r, accounts*each) })
			if err != nil {
				return err
			}
		}
		_, err := e.Update(ctx, patient(), func(tx kv.Tx) error { return total(tx, accounts*each) })
		return err
	})
}

func transfer(ctx context.Context, e kv.Engine, from, to int) error {
	_, err := e.Update(ctx, patient(), func(tx kv.Tx) error {
		for _, move := range []struct{ account, amount int }{{from, -7}, {to, 7}} {
			key := fmt.Appendf(nil, "account %d", move.account)
			v, err := tx.Get(key).Wait()
			if err != nil {
				return err
			}
			n, _ := strconv.Atoi(string(v))
			if n+move.amount == 0 {
				tx.Delete(key)
				continue
			}
			tx.Set(key, []byte(strconv.Itoa(n+move.amount)))
		}
		return nil
	})
	return err
}

func total(r kv.Reader, want int) error {
	it := r.GetRange(kv.PrefixRange([]byte("account ")), kv.RangeOptions{})
	defer it.Close()
	sum := 0
	for it.Next() {
		n, err := strconv.Atoi(string(it.Pair().Value))
		if err != nil {
			return err
		}
		sum += n
	}
	if err := it.Err(); err != nil {
		return err
	}
	if sum != want {
		return fmt.Errorf("sum of all accounts is %d, want %d", sum, want)
	}
	return nil
}

func generations(t *testing.T, e kv.Engine) {
	read := func() string {
		var stamp string
		view(t, e, func(r kv.Reader) {
			v, err := r.Generation().Wait()
			if err != nil {
				t.Errorf("generation: %v", err)
			}
			stamp = string(v)
		})
		return stamp
	}
	seen := map[string]bool{read(): true}
	for range 5 {
		update(t, e, func(tx kv.Tx) { set(tx, "a", "x") })
		if !seen[read()] {
			t.Error("generation changed without a bump")
		}
		update(t, e, func(tx kv.Tx) {
			before, err := tx.Generation().Wait()
			if err != nil || !seen[string(before)] {
				t.Errorf("before the bump: %x, %v", before, err)
			}
			tx.BumpGeneration()
			_, err = tx.Generation().Wait()
			isError(t, "read after the bump", err, kv.ErrUnreadable)
			_, err = tx.Snapshot().Generation().Wait()
			isError(t, "snapshot read after the bump", err, kv.ErrUnreadable)
		})
		now := read()
		if seen[now] {
			t.Errorf("generation %x was seen before", now)
		}
		seen[now] = true
	}
	equal(t, "content", content(t, e), []string{"a=x"})
	isError(t, "an aborted bump", func() error {
		_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			tx.BumpGeneration()
			return errAbort
		})
		return err
	}(), errAbort)
	if !seen[read()] {
		t.Error("an aborted bump changed the generation")
	}
}

func versionsGrow(t *testing.T, e kv.Engine) {
	var last uint64
	for range 20 {
		c := update(t, e, func(tx kv.Tx) {
			v, err := tx.ReadVersion()
			if err != nil || v < last {
				t.Errorf("read version %d, %v after commit %d", v, err, last)
			}
			set(tx, "a", "x")
		})
		if c.Version <= last || c.ReadOnly {
			t.Errorf("commit %+v after version %d", c, last)
		}
		last = c.Version
		view(t, e, func(r kv.Reader) {
			if v, err := r.ReadVersion(); err != nil || v < last {
				t.Errorf("view reads version %d, %v after commit %d", v, err, last)
			}
		})
	}
	// Versions of concurrent commits are unique.
	const workers, rounds = 8, 20
	versions := make([][]uint64, workers)
	parallel(t, workers, func(ctx context.Context, worker int) error {
		for range rounds {
			c, err := e.Update(ctx, patient(), func(tx kv.Tx) error {
				tx.Set(binary.BigEndian.AppendUint64(nil, uint64(worker)), []byte("x"))
				return nil
			})
			if err != nil {
				return err
			}
			versions[worker] = append(versions[worker], c.Version)
		}
		return nil
	})
	seen := map[uint64]bool{}
	for _, list := range versions {
		for _, v := range list {
			if seen[v] || v <= last {
				t.Errorf("version %d was used before", v)
			}
			seen[v] = true
		}
	}
}
