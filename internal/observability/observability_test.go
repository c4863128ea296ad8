package observability

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestLoggerFormats(t *testing.T) {
	ctx := WithRequestID(t.Context(), "0123456789ABCDEF")
	var text bytes.Buffer
	logger := NewLogger(&text, slog.LevelWarn, Text)
	logger.InfoContext(ctx, "too quiet")
	logger.With(slog.String("part", "x")).WarnContext(ctx, "disk is slow", slog.Int("ms", 7))
	line := text.String()
	for _, want := range []string{"level=WARN", `msg="disk is slow"`, "part=x", "ms=7", "request_id=0123456789ABCDEF"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %s", line, want)
		}
	}
	if strings.Contains(line, "too quiet") {
		t.Errorf("%q holds a line below the level", line)
	}

	var record struct {
		Msg       string `json:"msg"`
		RequestID string `json:"request_id"`
	}
	var object bytes.Buffer
	NewLogger(&object, slog.LevelInfo, JSON).InfoContext(ctx, "hello")
	if err := json.Unmarshal(object.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if record.Msg != "hello" || record.RequestID != "0123456789ABCDEF" {
		t.Errorf("got %+v", record)
	}
}

func TestLinesWithoutRequestCarryNoID(t *testing.T) {
	var text bytes.Buffer
	NewLogger(&text, slog.LevelInfo, Text).InfoContext(context.Background(), "start")
	if strings.Contains(text.String(), "request_id") {
		t.Errorf("%q names a request", text.String())
	}
	if id := RequestID(t.Context()); id != "" {
		t.Errorf("RequestID of a bare context is %q", id)
	}
}

func TestRequestIDs(t *testing.T) {
	ids, err := NewRequestIDs(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	shape := regexp.MustCompile(`^[0-9A-F]{16}$`)
	const workers, each = 8, 500
	var mu sync.Mutex
	seen := make(map[string]bool)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				id := ids.NewID()
				if !shape.MatchString(id) {
					t.Errorf("id %q", id)
				}
				mu.Lock()
				if seen[id] {
					t.Errorf("%q came twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(seen) != workers*each {
		t.Errorf("%d ids, want %d", len(seen), workers*each)
	}
	if raw, err := base64.StdEncoding.DecodeString(ids.HostID()); err != nil || len(raw) != 48 {
		t.Errorf("host id %q: %v", ids.HostID(), err)
	}
	if _, err := NewRequestIDs(bytes.NewReader(make([]byte, 55))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short seed: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestTwoProcessesDiffer(t *testing.T) {
	a, errA := NewRequestIDs(rand.Reader)
	b, errB := NewRequestIDs(rand.Reader)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if id := a.NewID(); id == b.NewID() || a.HostID() == b.HostID() {
		t.Errorf("two generators began alike: %s %s", id, a.HostID())
	}
}

func TestRegistry(t *testing.T) {
	registry := NewRegistry(NewBuild(""))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, family := range families {
		found[family.GetName()] = true
		if family.GetName() != "undercroft_build_info" {
			continue
		}
		for _, label := range family.GetMetric()[0].GetLabel() {
			if label.GetName() == "version" && label.GetValue() != "dev" {
				t.Errorf("version %q, want dev", label.GetValue())
			}
		}
	}
	for _, want := range []string{"undercroft_build_info", "go_goroutines", "process_resident_memory_bytes"} {
		if !found[want] {
			t.Errorf("no metric %s", want)
		}
	}
	if _, err := NewRegistry(NewBuild("v1")).Gather(); err != nil {
		t.Errorf("a second registry in one process: %v", err)
	}
}

func BenchmarkRequestID(b *testing.B) {
	ids, err := NewRequestIDs(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ids.NewID()
	}
}
