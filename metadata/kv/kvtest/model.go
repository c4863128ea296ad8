package kvtest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

type verb int

const (
	verbGet verb = iota
	verbScan
	verbSweep // reads a range and deletes each row
	verbSet
	verbDelete
	verbClear
	verbAdd
	verbSnapshotScan
	verbs
)

// step is one call of a random transaction.
type step struct {
	verb       verb
	key, end   string
	value      string
	delta      int64
	limit      int
	reverse    bool
	closeAfter int // pairs after which the iterator is closed; 0 goes on
}

func (s step) String() string {
	return fmt.Sprintf("{%d %q..%q value %q delta %d limit %d reverse %v close %d}",
		s.verb, s.key, s.end, s.value, s.delta, s.limit, s.reverse, s.closeAfter)
}

func randomKey(r *rand.Rand) string {
	const letters = "abcdef"
	key := string(letters[r.IntN(len(letters))])
	if r.IntN(2) == 0 {
		key += string(letters[r.IntN(len(letters))])
	}
	return key
}

// program makes a random transaction. Snapshot reads are left out where the
// result has to be serializable.
func program(r *rand.Rand, last verb) []step {
	steps := make([]step, 1+r.IntN(8))
	for i := range steps {
		s := step{
			verb: verb(r.IntN(int(last))), key: randomKey(r), end: randomKey(r),
			value: fmt.Sprintf("%d", r.IntN(1000)), delta: r.Int64N(100) - 50,
			limit: max(0, r.IntN(8)-3), reverse: r.IntN(2) == 0, closeAfter: max(0, r.IntN(8)-4),
		}
		if s.key > s.end && r.IntN(10) > 0 {
			s.key, s.end = s.end, s.key
		}
		steps[i] = s
	}
	return steps
}

// runReal runs a program on an engine and returns what it read.
func runReal(tx kv.Tx, steps []step) ([]string, error) {
	var out []string
	for _, s := range steps {
		switch s.verb {
		case verbGet:
			v, err := tx.Get([]byte(s.key)).Wait()
			if err != nil {
				return nil, err
			}
			out = append(out, orAbsent(v))
		case verbScan, verbSweep, verbSnapshotScan:
			got, err := realScan(tx, s)
			if err != nil {
				return nil, err
			}
			out = append(out, got)
		case verbSet:
			tx.Set([]byte(s.key), []byte(s.value))
		case verbDelete:
			tx.Delete([]byte(s.key))
		case verbClear:
			tx.DeleteRange(rng(s.key, s.end))
		case verbAdd:
			tx.Add([]byte(s.key), s.delta)
		case verbs:
		}
	}
	return out, nil
}

func orAbsent(v []byte) string {
	if v == nil {
		return absent
	}
	return string(v)
}

func realScan(tx kv.Tx, s step) (string, error) {
	r := kv.Reader(tx)
	if s.verb == verbSnapshotScan {
		r = tx.Snapshot()
	}
	it := r.GetRange(rng(s.key, s.end), kv.RangeOptions{Limit: s.limit, Reverse: s.reverse})
	defer it.Close()
	var out strings.Builder
	for n := 1; it.Next(); n++ {
		p := it.Pair()
		fmt.Fprintf(&out, "%s=%q ", p.Key, p.Value)
		if s.verb == verbSweep {
			tx.Delete(p.Key)
		}
		if n == s.closeAfter {
			break
		}
	}
	return out.String(), it.Err()
}

// runModel runs a program on a map and returns what it read.
func runModel(m map[string]string, steps []step) []string {
	var out []string
	for _, s := range steps {
		switch s.verb {
		case verbGet:
			v, ok := m[s.key]
			if !ok {
				v = absent
			}
			out = append(out, v)
		case verbScan, verbSweep, verbSnapshotScan:
			out = append(out, modelScan(m, s))
		case verbSet:
			m[s.key] = s.value
		case verbDelete:
			delete(m, s.key)
		case verbClear:
			maps.DeleteFunc(m, func(k, _ string) bool { return s.key <= k && k < s.end })
		case verbAdd:
			var b [8]byte
			copy(b[:], m[s.key])
			m[s.key] = number(int64(binary.LittleEndian.Uint64(b[:])) + s.delta)
		case verbs:
		}
	}
	return out
}

func modelScan(m map[string]string, s step) string {
	var keys []string
	for k := range m {
		if s.key <= k && k < s.end {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if s.reverse {
		slices.Reverse(keys)
	}
	if s.limit > 0 {
		keys = keys[:min(s.limit, len(keys))]
	}
	if s.closeAfter > 0 {
		keys = keys[:min(s.closeAfter, len(keys))]
	}
	var out strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&out, "%s=%q ", k, m[k])
		if s.verb == verbSweep {
			delete(m, k)
		}
	}
	return out.String()
}

func modelContent(m map[string]string) []string {
	out := []string{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}

func serialModel(t *testing.T, e kv.Engine) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	m := map[string]string{}
	for n := range 400 {
		steps := program(r, verbs)
		abort := r.IntN(8) == 0
		after := maps.Clone(m)
		want := runModel(after, steps)
		_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			got, err := runReal(tx, steps)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("read %q, want %q", got, want)
			}
			if abort {
				return errAbort
			}
			return nil
		})
		if abort {
			isError(t, "abort", err, errAbort)
			continue
		}
		if err != nil {
			t.Fatalf("transaction %d, %v: %v", n, steps, err)
		}
		m = after
	}
	equal(t, "content", content(t, e), modelContent(m))
}

// outcome is what a committed random transaction did and saw.
type outcome struct {
	commit kv.Commit
	steps  []step
	got    []string
}

// concurrentModel runs random transactions at once and then replays them one by
// one in the order of their versions: each must have read what it would have
// read alone.
func concurrentModel(t *testing.T, e kv.Engine) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const workers, rounds = 8, 80
	var mu sync.Mutex
	var all []outcome
	parallel(t, workers, func(ctx context.Context, worker int) error {
		r := rand.New(rand.NewPCG(seed, uint64(worker)))
		for range rounds {
			o := outcome{steps: program(r, verbSnapshotScan)}
			var err error
			o.commit, err = e.Update(ctx, patient(), func(tx kv.Tx) error {
				var err error
				o.got, err = runReal(tx, o.steps)
				return err
			})
			if err != nil {
				return err
			}
			mu.Lock()
			all = append(all, o)
			mu.Unlock()
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b outcome) int {
		if c := cmp.Compare(a.commit.Version, b.commit.Version); c != 0 {
			return c
		}
		// What only read at a version comes after the commit of that version.
		switch {
		case a.commit.ReadOnly == b.commit.ReadOnly:
			return 0
		case b.commit.ReadOnly:
			return -1
		default:
			return 1
		}
	})
	m := map[string]string{}
	for _, o := range all {
		if want := runModel(m, o.steps); !slices.Equal(o.got, want) {
			t.Fatalf("commit %+v %v read %q, in serial order it reads %q", o.commit, o.steps, o.got, want)
		}
	}
	equal(t, "content", content(t, e), modelContent(m))
}
