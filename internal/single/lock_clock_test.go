package single

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// TestLockClockJob: it records from the first lock on, and tells once that the
// clock disagrees.
func TestLockClockJob(t *testing.T) {
	engine := mem.New(mem.Options{})
	defer func() { _ = engine.Close() }()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	db, err := metadata.Open(engine, metadata.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	job := &lockClock{db: db, log: slog.New(slog.NewTextHandler(&log, nil))}
	step := func(want int) {
		t.Helper()
		if p, err := job.Step(t.Context()); err != nil || p.Done != want {
			t.Errorf("%+v, %v, want %d", p, err, want)
		}
	}
	now = now.Add(time.Hour)
	step(0)
	err = db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		return tx.CreateBucket(&metadata.Bucket{ID: 1, Name: "vault", Versioning: metadata.VersioningEnabled, ObjectLock: &metadata.ObjectLock{}})
	})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	step(1)
	step(0)
	if log.Len() != 0 {
		t.Error(log.String())
	}
	now = now.AddDate(1, 0, 0)
	if db, err = metadata.Open(engine, metadata.Options{Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	job.db = db
	for range 3 {
		now = now.Add(time.Hour)
		step(1)
	}
	if n := strings.Count(log.String(), "clock_ahead="); n != 1 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}
