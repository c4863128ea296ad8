package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// populated is a state with rows of most kinds on an engine: random operations, and
// each configuration of a bucket.
func populated(t *testing.T, e kv.Engine) *DB {
	t.Helper()
	s := newSimulation(t, e, 7)
	for range 300 {
		s.step()
	}
	b := newBucket(t, s.db, "configured")
	update(t, s.db, func(tx *Tx) error {
		for kind := ConfigACL; kind <= lastConfig; kind++ {
			if err := tx.PutBucketConfig(b, kind, bytes.Repeat([]byte{byte(kind)}, int(kind)*1000)); err != nil {
				return err
			}
		}
		return nil
	})
	return s.db
}

func exported(t *testing.T, db *DB) ([]byte, ExportTotals) {
	t.Helper()
	var out bytes.Buffer
	totals, err := db.Export(t.Context(), &out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), totals
}

func importOptions(db *DB) ImportOptions {
	return ImportOptions{Root: db.keys.root, Now: db.now}
}

// contents are all pairs of an engine, but for the id that tells an imported state from others.
func contents(t *testing.T, e kv.Engine) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := e.View(mem.Quiet(t.Context()), kv.TxOptions{}, func(r kv.Reader) error {
		it := r.GetRange(kv.Range{Begin: []byte{0}, End: []byte{0xff}}, kv.RangeOptions{})
		defer it.Close()
		for it.Next() {
			value := it.Pair().Value
			if bytes.HasSuffix(it.Pair().Key, keyspace{}.format()) {
				c, err := decodeCluster(value)
				if err != nil {
					return err
				}
				c.copy = [16]byte{}
				value = encodeCluster(c)
			}
			out[string(it.Pair().Key)] = string(value)
		}
		return it.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryTableIsExported: a row of each table, those of the row of the format
// included, is in an export as it is.
func TestEveryTableIsExported(t *testing.T) {
	db := newDB(t)
	for tag := range tables() {
		update(t, db, func(tx *Tx) error {
			tx.set(append(tx.keys.tag(tag, 0), "lock"...), []byte{recordVersion})
			return nil
		})
	}
	stream, _ := exported(t, db)
	o, target := importOptions(db), newEngine(t)
	o.AcceptProblems = true // the rows mean nothing
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), o); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(contents(t, db.engine), contents(t, target)); d != "" {
		t.Error(d)
	}
}

// plain is an engine that holds no version.
type plain struct{ kv.Engine }

// TestExportIntoOtherEngines: the state is the same on every engine, those of
// which no version can be held included.
func TestExportIntoOtherEngines(t *testing.T) {
	engines := map[string]func() kv.Engine{
		"mem": func() kv.Engine { return newEngine(t) }, "pebble": func() kv.Engine { return newPebble(t) },
		"plain": func() kv.Engine { return plain{newEngine(t)} },
	}
	for from, open := range engines {
		db := populated(t, open())
		stream, totals := exported(t, db)
		want := contents(t, db.engine)
		if int(totals.Rows) != len(want) || totals.Rows < 100 {
			t.Errorf("%d rows of %d are exported", totals.Rows, len(want))
		}
		for to, open := range engines {
			target := open()
			got, summary, err := Import(t.Context(), target, bytes.NewReader(stream), importOptions(db))
			if err != nil {
				t.Fatalf("%s into %s: %v", from, to, err)
			}
			if got != totals || !summary.Clean() || summary.Buckets == 0 {
				t.Errorf("%s into %s: %+v of %+v, %+v", from, to, got, totals, summary)
			}
			if d := cmp.Diff(want, contents(t, target)); d != "" {
				t.Errorf("%s into %s: %s", from, to, d)
			}
			again := newDBOn(t, target)
			if again.ClusterID() != db.ClusterID() {
				t.Errorf("%s into %s: another cluster", from, to)
			}
			clean(t, again)
			b := found(t, again, func(r *Reader) (*Bucket, error) { return r.BucketByName("configured") })
			configs := found(t, again, func(r *Reader) (map[ConfigKind][]byte, error) { return r.BucketConfigs(b.ID) })
			if len(configs) != int(lastConfig) || len(configs[ConfigWebsite]) != 11_000 {
				t.Errorf("%s into %s: %d configurations", from, to, len(configs))
			}
		}
	}
}

// TestExportIsOfOneVersion writes between the pages of an export.
func TestExportIsOfOneVersion(t *testing.T) {
	pinners := map[string]kv.Engine{"mem": closing(t, mem.New(mem.Options{})), "pebble": newPebble(t)}
	for name, engine := range pinners {
		db := chunked(t, engine)
		want := contents(t, engine)
		out := &interfering{change: func(n int) { newBucket(t, db, "later-"+strconv.Itoa(n)) }}
		if _, err := db.Export(t.Context(), out, nil); err != nil || out.writes < 5 {
			t.Fatalf("%s: %v after %d writes", name, err, out.writes)
		}
		target := newEngine(t)
		if _, _, err := Import(t.Context(), target, &out.Buffer, importOptions(db)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, contents(t, target)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	// An engine that holds no version says so, in place of mixing two.
	db := chunked(t, plain{newEngine(t)})
	out := &interfering{change: func(n int) { newBucket(t, db, "later-"+strconv.Itoa(n)) }}
	if _, err := db.Export(t.Context(), out, nil); !errors.Is(err, ErrUnsteady) {
		t.Errorf("%v", err)
	}
	if _, _, err := Import(t.Context(), newEngine(t), &out.Buffer, importOptions(db)); !errors.Is(err, ErrNoExport) {
		t.Errorf("an export without its end: %v", err)
	}
}

// interfering changes the state with each write to it.
type interfering struct {
	bytes.Buffer
	writes int
	change func(n int)
}

func (i *interfering) Write(p []byte) (int, error) {
	i.writes++
	i.change(i.writes)
	return i.Buffer.Write(p)
}

// chunked is a state whose export has many chunks.
func chunked(t *testing.T, e kv.Engine) *DB {
	t.Helper()
	db := newDBOn(t, e)
	b := newBucket(t, db, "big")
	for i := range 60 {
		key := string(rune('A' + i))
		update(t, db, func(tx *Tx) error {
			return tx.PutObject(b.ID, nil, inlineObject(db, key, bytes.Repeat([]byte{byte(i)}, 60_000), Ord(i+1)), bytes.Repeat([]byte{byte(i)}, 60_000))
		})
	}
	return db
}

// TestImportGoesOn: an import that was cut anywhere leaves a state that nobody
// opens, and ends with the same stream.
func TestImportGoesOn(t *testing.T) {
	db := chunked(t, newEngine(t))
	stream, totals := exported(t, db)
	target := newEngine(t)
	var written int64
	for cut := 1; cut < len(stream); cut += len(stream) / 7 {
		_, _, err := Import(t.Context(), target, bytes.NewReader(stream[:cut]), importOptions(db))
		if !errors.Is(err, ErrNoExport) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		rows := contents(t, target)
		if len(rows) == 0 {
			continue
		}
		if _, err := Open(target, Options{Root: db.keys.root, Now: db.now}); !errors.Is(err, ErrImporting) {
			t.Fatalf("cut at %d: open: %v", cut, err)
		}
		written = max(written, int64(len(rows)))
	}
	if written < totals.Rows/2 {
		t.Errorf("only %d of %d rows were written by the runs that were cut", written, totals.Rows)
	}
	// Another export does not take the beginning over.
	other, _ := exported(t, db)
	if _, _, err := Import(t.Context(), target, bytes.NewReader(other), importOptions(db)); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("%v", err)
	}
	var steps int
	o := importOptions(db)
	o.Progress = func(ExportTotals) { steps++ }
	got, _, err := Import(t.Context(), target, bytes.NewReader(stream), o)
	if err != nil || got != totals || steps < 5 {
		t.Fatalf("%+v, %v after %d steps", got, err, steps)
	}
	if d := cmp.Diff(contents(t, db.engine), contents(t, target)); d != "" {
		t.Error(d)
	}
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), importOptions(db)); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a whole state: %v", err)
	}
}

// TestImportNeedsAnOverride: what is there is deleted only where that is said.
func TestImportNeedsAnOverride(t *testing.T) {
	db := populated(t, newEngine(t))
	stream, _ := exported(t, db)
	target := newEngine(t)
	there := newDBOn(t, target)
	newBucket(t, there, "there")
	before := contents(t, target)
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), importOptions(db)); !errors.Is(err, ErrNotEmpty) {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, contents(t, target)); d != "" {
		t.Error(d)
	}
	o := importOptions(db)
	o.Replace = true
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), o); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(contents(t, db.engine), contents(t, target)); d != "" {
		t.Error(d)
	}
}

// TestImportIsChecked: a state that does not fit together is not opened, unless
// that is accepted.
func TestImportIsChecked(t *testing.T) {
	db := populated(t, newEngine(t))
	b := found(t, db, func(r *Reader) (*Bucket, error) { return r.BucketByName("configured") })
	update(t, db, func(tx *Tx) error {
		tx.kv.Delete(tx.keys.bucketName(b.Name))
		return nil
	})
	stream, _ := exported(t, db)
	target := newEngine(t)
	var told []Problem
	o := importOptions(db)
	o.Report = func(p Problem) { told = append(told, p) }
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), o); !errors.Is(err, ErrProblems) || len(told) == 0 {
		t.Fatalf("%v, %v", err, told)
	}
	if _, err := Open(target, Options{Root: db.keys.root, Now: db.now}); !errors.Is(err, ErrImporting) {
		t.Errorf("open: %v", err)
	}
	o.AcceptProblems = true
	if _, _, err := Import(t.Context(), target, bytes.NewReader(stream), o); err != nil {
		t.Fatal(err)
	}
	newDBOn(t, target)
}

// TestImportRefusesDamage changes every byte of a stream, one at a time.
func TestImportRefusesDamage(t *testing.T) {
	db := newDB(t)
	newBucket(t, db, "b")
	stream, _ := exported(t, db)
	for i := range stream {
		damaged := slices.Clone(stream)
		damaged[i] ^= 0x10
		target := mem.New(mem.Options{})
		_, _, err := Import(t.Context(), target, bytes.NewReader(damaged), importOptions(db))
		if err == nil {
			t.Errorf("byte %d: no error", i)
		}
		if err := target.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, s := range map[string][]byte{"nothing": nil, "more": append(slices.Clone(stream), 0), "twice": append(slices.Clone(stream), stream...), "text": []byte("hello, world: this is not an export")} {
		if _, _, err := Import(t.Context(), newEngine(t), bytes.NewReader(s), importOptions(db)); !errors.Is(err, ErrNoExport) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestImportRefusesWhatItDoesNotKnow: a stream, or a state, of a later program.
func TestImportRefusesWhatItDoesNotKnow(t *testing.T) {
	db := newDB(t)
	for what, header := range map[string]ExportHeader{
		"stream": {Version: exportVersion + 1, Format: Format, ID: "00112233445566778899aabbccddeeff"},
		"state":  {Version: exportVersion, Format: Format + 1, ID: "00112233445566778899aabbccddeeff"},
	} {
		text, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := newChunkWriter(&out)
		if err := errors.Join(w.begin(text), w.end(ExportTotals{})); err != nil {
			t.Fatal(err)
		}
		target := newEngine(t)
		if _, _, err := Import(t.Context(), target, &out, importOptions(db)); !errors.Is(err, ErrFormat) || len(contents(t, target)) != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestImportUnderFaults: commits whose outcome is unknown, conflicts and expiry.
func TestImportUnderFaults(t *testing.T) {
	db := chunked(t, newEngine(t))
	stream, totals := exported(t, db)
	for seed := range uint64(10) {
		target := closing(t, mem.New(mem.Options{Faults: mem.Faults{
			Seed: seed, CommitUnknownLost: 0.2, CommitUnknownApplied: 0.2, CommitConflict: 0.2, CommitTooOld: 0.1, ReadTooOld: 0.01, ReadUnavailable: 0.0005,
		}}))
		got, _, err := Import(t.Context(), target, bytes.NewReader(stream), importOptions(db))
		for tries := 0; err != nil && tries < 50; tries++ {
			got, _, err = Import(t.Context(), target, bytes.NewReader(stream), importOptions(db))
		}
		if err != nil || got != totals {
			t.Fatalf("seed %d: %+v, %v", seed, got, err)
		}
		if d := cmp.Diff(contents(t, db.engine), contents(t, target)); d != "" {
			t.Errorf("seed %d: %s", seed, d)
		}
	}
}

// TestExportEndsWithItsContext: who does not read any more does not keep it.
func TestExportEndsWithItsContext(t *testing.T) {
	db := chunked(t, newEngine(t))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := db.Export(ctx, io.Discard, func(ExportTotals) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
