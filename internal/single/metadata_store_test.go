package single_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
)

// telling is an engine whose store tells about itself.
type telling struct {
	*mem.Engine
	silent atomic.Bool
}

func (e *telling) Report(context.Context) (kv.Report, error) {
	if e.silent.Load() {
		return kv.Report{}, errors.New("it does not tell")
	}
	two := int64(2)
	return kv.Report{
		Available: true, FaultTolerance: &two, LimitedBy: "something",
		Gauges: []kv.Gauge{{Name: "lag_seconds", Help: "How far behind.", Value: 0.5}},
	}, nil
}

// families are the metrics of a store, by name.
func families(t *testing.T, s *single.System) map[string]int {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := errors.Join(registry.Register(s.Collector()), registry.Register(s.JobCollector()), registry.Register(s.MetadataStoreCollector())); err != nil {
		t.Fatal(err)
	}
	found, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range found {
		out[f.GetName()] = len(f.GetMetric())
	}
	return out
}

func TestMetadataStoreAcrossANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &telling{Engine: mem.New(mem.Options{Remote: true})}
		c := testcluster.New(t, testcluster.Options{Edit: func(o *single.Options) {
			o.External = &single.External{Open: func(context.Context) (kv.Engine, error) { return engine, nil }, Place: "elsewhere"}
		}})
		if _, err := c.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "owner"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		st, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		store := st.Metadata.Store
		if store == nil || !store.Available || store.Commits == 0 || store.Report == nil || *store.Report.FaultTolerance != 2 || store.Report.LimitedBy != "something" {
			t.Errorf("got %+v", store)
		}
		got := families(t, c.System)
		for _, name := range []string{
			"view_seconds", "update_seconds", "update_read_seconds", "commit_seconds", "transactions_total", "transaction_attempts_total",
			"committed_bytes_total", "transaction_failures_total", "transactions_in_flight", "store_refused", "store_locked",
			"store_silence_seconds", "transactions_refused_total", "store_outages_total", "store_report_age_seconds", "cluster_lag_seconds",
		} {
			if got["undercroft_metadata_"+name] == 0 {
				t.Errorf("no metric %s", name)
			}
		}
		engine.silent.Store(true)
		<-time.After(time.Minute)
		if st, err = c.Status(t.Context()); err != nil || st.Metadata.Store.Report != nil || st.Metadata.Store.ReportError != "it does not tell" {
			t.Errorf("got %+v, %v", st.Metadata.Store, err)
		}
	})
}

func TestMetadataOnDisksHasNoStore(t *testing.T) {
	c := testcluster.New(t, testcluster.Options{Edit: func(o *single.Options) { o.External = nil }})
	st, err := c.Status(t.Context())
	if err != nil || st.Metadata.Store != nil || c.RemoteMetadata() {
		t.Errorf("got %+v, %v", st.Metadata.Store, err)
	}
	var names []string
	for name := range families(t, c.System) {
		if strings.HasPrefix(name, "undercroft_metadata_store") || strings.HasPrefix(name, "undercroft_metadata_transaction") {
			names = append(names, name)
		}
	}
	if slices.Sort(names); len(names) > 0 {
		t.Errorf("metrics %q of what is not there", names)
	}
}

// A process can be stopped whatever becomes of its metadata store, and that is no failure of it.
func TestStoreIsClosedWhileTheMetadataIsAway(t *testing.T) {
	for name, trouble := range map[string]mem.Trouble{"away": mem.Hanging, "locked": mem.Locked, "down": mem.Down} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var outage mem.Outage
				log := &lockedText{}
				c := testcluster.New(t, testcluster.Options{Unchecked: true, Edit: func(o *single.Options) {
					o.External = &single.External{Place: "elsewhere", Shared: true, Process: "test", Open: func(context.Context) (kv.Engine, error) {
						return mem.New(mem.Options{Remote: true, Outage: &outage}), nil
					}}
					o.Steward.Interval = time.Second
					o.Logger = slog.New(slog.NewTextHandler(log, nil))
				}})
				outage.Begin(trouble)
				<-time.After(2 * time.Second) // before it is known that nobody answers
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				if err := c.Close(ctx); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("took %v", took)
				}
				if text := log.String(); !strings.Contains(text, "level=WARN msg=\"the metadata store does not answer, and does not hear of the end") {
					t.Errorf("the log does not say so: %s", text)
				}
			})
		})
	}
}

// lockedText is what was written to it, also by goroutines that go on.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
