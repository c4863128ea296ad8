package single

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/breaker"
	"github.com/undercroft/undercroft/metadata/kv/meter"
	"github.com/undercroft/undercroft/objects"
)

const (
	// awayAfter is how long the metadata store may not have answered while requests
	// are still sent here.
	awayAfter = 10 * time.Second
	// reportInterval is the time between looks at what the store tells of itself,
	// and reportTimeout bounds one.
	reportInterval = 20 * time.Second
	reportTimeout  = 15 * time.Second
)

// metadataStore is what is known of a store of metadata that is reached over a
// network.
type metadataStore struct {
	breaker  *breaker.Engine
	meter    *meter.Engine
	reporter kv.Reporter // nil: it does not tell
	now      func() time.Time
	log      *slog.Logger
	told     atomic.Pointer[told]
}

// told is a report and when it came.
type told struct {
	kv.Report
	at  time.Time
	err error // why there is none
}

// guarded is an engine that does not keep anybody waiting for a store that is away.
// One whose reads cross no network is as it was.
func (s *System) guarded(e kv.Engine) kv.Engine {
	if !kv.IsRemote(e) {
		return e
	}
	m := &metadataStore{now: s.opts.Now, log: s.opts.Logger}
	m.meter = meter.New(e, time.Now) // durations, by a clock that no test moves
	m.breaker = breaker.New(m.meter, breaker.Options{Logger: s.opts.Logger})
	if reporter, ok := kv.Find[kv.Reporter](e); ok {
		m.reporter = reporter
		s.tasks.Go(func() { m.listen(s.life) })
	}
	s.remote = m
	return m.breaker
}

// listen asks the store about itself from time to time.
func (m *metadataStore) listen(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		m.ask(ctx)
		timer.Reset(reportInterval*3/4 + rand.N(reportInterval/2)) //nolint:gosec // so that not all ask at once
	}
}

func (m *metadataStore) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	r, err := m.reporter.Report(ctx)
	before := m.told.Swap(&told{Report: r, at: m.now(), err: err})
	if err != nil && ctx.Err() == nil && (before == nil || before.err == nil) {
		m.log.WarnContext(ctx, "the metadata store does not tell about itself", slog.Any("error", err))
	}
}

// ready answers why no requests should be sent here.
func (m *metadataStore) ready() error {
	if m == nil {
		return nil
	}
	st := m.breaker.Status()
	if st.Locked {
		return kv.ErrLocked
	}
	if st.Silence > awayAfter {
		return fmt.Errorf("the metadata store has not answered for %s: %s", st.Silence.Round(time.Second), cmp.Or(st.Reason, "no reason is known"))
	}
	return nil
}

// RemoteMetadata reports whether the metadata is reached over a network, so that
// requests may have to wait for it.
func (s *System) RemoteMetadata() bool { return s.remote != nil }

// unlessAway is the error of what is written at the end, but where the metadata store is away
// or locked: what it should have heard runs out by itself, and nobody can do better by trying again.
func (s *System) unlessAway(ctx context.Context, err error) error {
	if s.remote == nil || !objects.Passes(err) {
		return err
	}
	s.opts.Logger.WarnContext(ctx, "the metadata store does not answer, and does not hear of the end of this process: its leases run out by themselves", slog.Any("error", err))
	return nil
}

// MetadataStoreStatus describes a metadata store that is reached over a network.
type MetadataStoreStatus struct {
	Available bool `json:"available"`
	// Silence is for how long it has not answered.
	Silence  float64 `json:"silence_seconds"`
	Reason   string  `json:"reason,omitempty"` // why it is thought to be away
	Locked   bool    `json:"locked"`
	InFlight int64   `json:"transactions_in_flight"`
	// Commits and the others count transactions of this process since its start.
	Commits   uint64 `json:"commits"`
	Conflicts uint64 `json:"conflicts"`
	TooOld    uint64 `json:"too_old"`
	Unknown   uint64 `json:"unknown_commits"`
	Timeouts  uint64 `json:"timeouts"`
	Refused   uint64 `json:"refused"` // without being asked, while it was away
	Outages   uint64 `json:"outages"`
	// Report is what the store tells of itself, and ReportAge how old that is.
	Report      *kv.Report `json:"report,omitempty"`
	ReportAge   float64    `json:"report_age_seconds,omitempty"`
	ReportError string     `json:"report_error,omitempty"`
}

// status is nil for metadata that is here.
func (m *metadataStore) status() *MetadataStoreStatus {
	if m == nil {
		return nil
	}
	st := m.breaker.Status()
	out := &MetadataStoreStatus{
		Available: !st.Open, Silence: st.Silence.Seconds(), Reason: st.Reason, Locked: st.Locked, InFlight: st.InFlight,
		Refused: st.Refused, Outages: st.Opened,
	}
	for _, c := range m.meter.Counts() {
		out.Commits += c.Commits.Count
		out.Conflicts += c.Outcomes[meter.Conflicts]
		out.TooOld += c.Outcomes[meter.TooOld]
		out.Unknown += c.Outcomes[meter.Unknown]
		out.Timeouts += c.Outcomes[meter.TimedOut]
	}
	if t := m.told.Load(); t != nil {
		out.ReportAge = m.now().Sub(t.at).Seconds()
		if out.Report = &t.Report; t.err != nil {
			out.Report, out.ReportError = nil, t.err.Error()
		}
		out.Locked = out.Locked || t.Locked
	}
	return out
}

// isWhole says that the store is there, takes writes and has all its copies.
func (m *MetadataStoreStatus) isWhole() bool {
	if m == nil {
		return true
	}
	return m.Available && !m.Locked && (m.Report == nil || m.Report.Available && (m.Report.Healthy == nil || *m.Report.Healthy))
}
