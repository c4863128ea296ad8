package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// statusClasses are the values of the label class: the first digit of the
// status, and "gone" for clients that left.
const statusClasses = 6

// metrics holds the collectors. Those of an operation are looked up once, so
// that a request costs an atomic addition or two.
type metrics struct {
	byName   map[string]*operationMetrics
	unrouted *operationMetrics
	received prometheus.Counter
	sent     prometheus.Counter
}

type operationMetrics struct {
	requests [statusClasses]prometheus.Counter
	seconds  prometheus.Observer
}

func newMetrics(reg prometheus.Registerer, ops []Operation) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "undercroft_s3_requests_total",
		Help: "Requests answered, by operation and class of status.",
	}, []string{"operation", "class"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "undercroft_s3_request_seconds",
		Help:    "Time from the arrival of a request's header to the end of its response.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}, []string{"operation"})
	received := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "undercroft_s3_received_bytes_total", Help: "Bytes read of request bodies.",
	})
	sent := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "undercroft_s3_sent_bytes_total", Help: "Bytes written of response bodies.",
	})
	if reg != nil {
		for _, c := range []prometheus.Collector{requests, seconds, received, sent} {
			if err := reg.Register(c); err != nil {
				return nil, fmt.Errorf("gateway: %w", err)
			}
		}
	}
	of := func(name string) *operationMetrics {
		m := &operationMetrics{seconds: seconds.WithLabelValues(name)}
		for class := range m.requests {
			label := "gone"
			if class > 0 {
				label = string(rune('0'+class)) + "xx"
			}
			m.requests[class] = requests.WithLabelValues(name, label)
		}
		return m
	}
	m := &metrics{byName: make(map[string]*operationMetrics, len(ops)), unrouted: of("none"), received: received, sent: sent}
	for i := range ops {
		if ops[i].Implemented() {
			m.byName[ops[i].Name] = of(ops[i].Name)
		}
	}
	return m, nil
}

// of returns the metrics of an exchange's operation. Those that are not
// implemented count as none, so that scanners make no series.
func (m *metrics) of(x *exchange) *operationMetrics {
	if x.op != nil {
		if om := m.byName[x.op.Name]; om != nil {
			return om
		}
	}
	return m.unrouted
}

// observe counts and logs a request that has been answered.
func (g *Gateway) observe(x *exchange) {
	took := g.o.Now().Sub(x.started)
	om := g.metrics.of(x)
	class := x.status / 100
	if x.status == statusClientGone || class <= 0 || class >= statusClasses {
		class = 0
	}
	om.requests[class].Inc()
	om.seconds.Observe(took.Seconds())
	g.metrics.received.Add(float64(x.taken))
	g.metrics.sent.Add(float64(x.sent))
	g.log(x, took)
}

func (g *Gateway) log(x *exchange, took time.Duration) {
	level := g.level(x)
	ctx := context.WithoutCancel(x.r.Context()) // the client may be gone, the log is not
	if !g.o.Logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs, slog.String("method", x.r.Method))
	if x.op != nil {
		attrs = append(attrs, slog.String("operation", x.op.Name))
	}
	if x.bucket != "" {
		attrs = append(attrs, slog.String("bucket", string(x.bucket)))
	}
	if x.key != "" {
		attrs = append(attrs, slog.String("key", string(x.key)))
	}
	if x.auth != nil && x.auth.AccessKey != "" {
		attrs = append(attrs, slog.String("access_key", x.auth.AccessKey))
	}
	attrs = append(attrs,
		slog.Int("status", x.status), slog.Int64("received", x.taken), slog.Int64("sent", x.sent),
		slog.Duration("took", took), slog.String("remote", x.r.RemoteAddr))
	if x.err != nil {
		attrs = append(attrs, slog.String("code", string(answerOf(x.err).Code)), slog.String("error", x.err.Error()))
	}
	if x.cut {
		g.o.Logger.LogAttrs(ctx, level, "request cut off", attrs...)
		return
	}
	g.o.Logger.LogAttrs(ctx, level, "request", attrs...)
}

// level is debug for what went as it should, clients' mistakes included, and
// higher for what an operator has to know.
func (g *Gateway) level(x *exchange) slog.Level {
	_, panicked := errors.AsType[*panicError](x.err)
	code := s3.CodeOf(x.err)
	switch {
	case panicked, x.status == http.StatusInternalServerError:
		return slog.LevelError
	case x.cut && code == s3.InternalError && x.r.Context().Err() == nil:
		return slog.LevelError
	case x.status >= http.StatusInternalServerError && code != s3.NotImplemented && !objects.IsAway(x.err):
		return slog.LevelWarn
	case g.o.AccessLog, isDenial(x.err):
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// isDenial reports whether a request was refused for want of permission, which
// the log shows with the statement that decided.
func isDenial(err error) bool {
	_, ok := errors.AsType[*denial](err)
	return ok
}

// randomID returns 16 characters as AWS's request ids are.
func randomID() string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var id [16]byte
	a, b := rand.Uint64(), rand.Uint64() //nolint:gosec // an id, not a secret
	for i := range 8 {
		id[i], id[i+8] = alphabet[a&31], alphabet[b&31]
		a, b = a>>5, b>>5
	}
	return string(id[:])
}
