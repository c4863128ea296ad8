package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keyring"
	"github.com/undercroft/undercroft/metadata"
)

// keyMetrics measures the key providers.
type keyMetrics struct {
	now      func() time.Time
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	up       prometheus.GaugeFunc
	health   *kmsHealth // of vault; nil: the keyring is always there
}

func newKeyMetrics(now func() time.Time) *keyMetrics {
	m := &keyMetrics{
		now: now,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "undercroft_kms_requests_total", Help: "Calls of key providers.",
		}, []string{"provider", "operation", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "undercroft_kms_request_duration_seconds", Help: "How long calls of key providers took.",
			Buckets: []float64{.0001, .001, .005, .02, .1, .5, 2, 10},
		}, []string{"provider", "operation"}),
	}
	m.up = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "undercroft_kms_up", Help: "Whether the configured key provider could be used when it was last asked.",
	}, func() float64 {
		if m.health != nil && m.health.known() != nil {
			return 0
		}
		return 1
	})
	return m
}

// register adds the metrics to a registry.
func (m *keyMetrics) register(r prometheus.Registerer) error {
	return errors.Join(r.Register(m.requests), r.Register(m.duration), r.Register(m.up))
}

// observe measures a provider.
func (m *keyMetrics) observe(name string, p keys.Provider) keys.Provider {
	o := &observed{name: name, next: p, metrics: m}
	if ring, ok := p.(*keyring.Keyring); ok {
		return observedRing{o, ring}
	}
	return o
}

// observedRing is a keyring that is measured: it still says what may be published.
type observedRing struct {
	*observed
	ring *keyring.Keyring
}

// List and Drop let the job rewrap end old versions.
func (o observedRing) List(ctx context.Context) ([]metadata.EncryptionKey, error) {
	return o.ring.List(ctx)
}

// Drop is that of the keyring.
func (o observedRing) Drop(ctx context.Context, name string, below uint32) (metadata.EncryptionKey, error) {
	return o.ring.Drop(ctx, name, below)
}

// SealedUnder is that of the keyring.
func (o observedRing) SealedUnder(x *metadata.Encryption) (name string, version uint32, ok bool) {
	return o.ring.SealedUnder(x)
}

// MayPublish is that of the keyring.
func (o observedRing) MayPublish(r *metadata.Reader, keyID string, sealed []byte) (bool, error) {
	return o.ring.MayPublish(r, keyID, sealed)
}

// observed measures the calls of a provider.
type observed struct {
	name    string
	next    keys.Provider
	metrics *keyMetrics
}

// count counts a call that ended.
func (o *observed) count(operation string, began time.Time, err error) {
	o.metrics.requests.WithLabelValues(o.name, operation, resultOf(err)).Inc()
	o.metrics.duration.WithLabelValues(o.name, operation).Observe(o.metrics.now().Sub(began).Seconds())
	if down := errors.Is(err, keys.ErrUnavailable); o.name == "vault" && (down || err == nil) {
		o.metrics.health.set(err)
	}
}

// resultOf is one word for an error.
func resultOf(err error) string {
	for word, known := range map[string]error{
		"no_key": keys.ErrNoKey, "disabled": keys.ErrDisabled, "unavailable": keys.ErrUnavailable,
		"denied": keys.ErrDenied, "invalid": keys.ErrInvalid, "canceled": context.Canceled,
	} {
		if errors.Is(err, known) {
			return word
		}
	}
	if err != nil {
		return "error"
	}
	return "ok"
}

// Generate implements [keys.Provider], as the methods below do theirs.
func (o *observed) Generate(ctx context.Context, keyID string, encCtx []byte) (keys.DataKey, []byte, error) {
	began := o.metrics.now()
	plain, sealed, err := o.next.Generate(ctx, keyID, encCtx)
	o.count("generate", began, err)
	return plain, sealed, err
}

// Unseal implements [keys.Provider].
func (o *observed) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	began := o.metrics.now()
	plain, err := o.next.Unseal(ctx, keyID, sealed, encCtx)
	o.count("unseal", began, err)
	return plain, err
}

// Rewrap implements [keys.Provider].
func (o *observed) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	began := o.metrics.now()
	fresh, err := o.next.Rewrap(ctx, keyID, sealed, encCtx)
	o.count("rewrap", began, err)
	return fresh, err
}

// Check implements [keys.Provider].
func (o *observed) Check(ctx context.Context, keyID string) error {
	began := o.metrics.now()
	err := o.next.Check(ctx, keyID)
	o.count("check", began, err)
	return err
}
