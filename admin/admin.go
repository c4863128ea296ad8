// Package admin serves health, metrics and administration on a listener of its
// own, apart from S3.
//
// Everything it shows is handed to it as functions and interfaces by cmd: it
// reaches into no other package, so a slow or broken part shows as a failing
// condition and never takes the listener with it. All paths begin with /-/,
// which no bucket is named.
//
//	GET  /-/healthz   200 while the process answers at all
//	GET  /-/readyz    200 when every condition holds, else 503; JSON
//	GET  /-/metrics   Prometheus text
//	GET  /-/status    what the running system says of itself; JSON
//	POST /-/check     runs the whole-state checker and streams what it finds
//	     /-/jobs      background jobs: how far they are, pause, resume, run; JSON
//	     /-/accounts  accounts and their users; JSON
//	     /-/keys      access keys; JSON
//	     /-/disks     disks; JSON
//	     /-/encryption-keys, /-/master-key   keys of server-side encryption; JSON
//	GET  /-/debug/pprof/…
//
// Jobs, disks, accounts and keys need a token, that of the root credentials or one that only
// who can read the data directories knows. Whoever reaches the listener is trusted
// with the rest, which is why it listens on the loopback address by default.
// Requests that a web page makes are refused, whether it is of another origin or
// has made a name of its own point here.
//
// The package imports the vocabulary of iam and nothing else of ours; only cmd may
// import it.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The paths that the handler serves and [Client] asks for.
const (
	pathHealth  = "/-/healthz"
	pathReady   = "/-/readyz"
	pathMetrics = "/-/metrics"
	pathStatus  = "/-/status"
	pathCheck   = "/-/check"
	pathPprof   = "/-/debug/pprof/"
)

// readyTimeout bounds one look at all conditions, so that a probe is answered
// before the prober gives up.
const readyTimeout = 2 * time.Second

// ErrNotReady is a condition that does not hold for a reason of its own.
var ErrNotReady = errors.New("not ready")

// Condition is one thing that must hold for the server to be ready.
type Condition struct {
	// Name is a short lowercase word: "metadata", "disks", "serving".
	Name string
	// Check returns nil when the condition holds, else why not. It is called
	// by many goroutines and should answer from memory; it gives up when ctx ends.
	Check func(ctx context.Context) error
	// Advisory says that the server is ready all the same when it does not hold.
	Advisory bool
}

// Checker goes through the whole state and reports what does not fit.
type Checker interface {
	// Check writes one line for each finding to w, and progress where it takes
	// long. It returns nil when it saw everything and found nothing wrong.
	Check(ctx context.Context, w io.Writer) error
}

// Options is what the handler shows. A nil field is answered 404.
type Options struct {
	Conditions []Condition
	Metrics    prometheus.Gatherer
	// Status returns a value that encodes to JSON.
	Status  func(ctx context.Context) (any, error)
	Checker Checker
	// BackupMetadata writes a copy of the metadata into a directory that does
	// not exist, for requests with one of the Tokens.
	BackupMetadata func(ctx context.Context, directory string) error
	// ExportMetadata writes all of the metadata to w, for such requests too.
	ExportMetadata func(ctx context.Context, w io.Writer) error
	// Directory and JobDirectory are shown to requests with one of the Tokens.
	Directory    Directory
	JobDirectory JobDirectory
	// DiskDirectory is shown likewise.
	DiskDirectory DiskDirectory
	// EncryptionKeyDirectory is shown likewise.
	EncryptionKeyDirectory EncryptionKeyDirectory
	Tokens                 []string
	// Logger gets what a client cannot be told any more. Nil discards it.
	Logger *slog.Logger
}

// handler answers the administration requests.
type handler struct {
	Options
	// checking holds one token while no check runs: a check reads everything,
	// and two at a time only slow each other down.
	checking chan struct{}
}

// NewHandler returns the handler of the admin listener.
func NewHandler(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{Options: o, checking: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathHealth, h.health)
	mux.HandleFunc("GET "+pathReady, h.ready)
	if o.Metrics != nil {
		mux.Handle("GET "+pathMetrics, promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	}
	if o.Status != nil {
		mux.HandleFunc("GET "+pathStatus, h.status)
	}
	if o.Checker != nil {
		mux.HandleFunc("POST "+pathCheck, h.check)
	}
	if o.BackupMetadata != nil {
		mux.Handle("POST "+pathMetadataBackup, h.trusted(h.metadataBackup))
	}
	if o.ExportMetadata != nil {
		mux.Handle("GET "+pathMetadataExport, h.trusted(h.metadataExport))
	}
	if o.Directory != nil {
		h.handleDirectory(mux)
	}
	if o.JobDirectory != nil {
		h.handleJobs(mux)
	}
	if o.DiskDirectory != nil {
		h.handleDisks(mux)
	}
	if o.EncryptionKeyDirectory != nil {
		h.handleEncryptionKeys(mux)
	}
	mux.Handle("GET "+pathPprof, http.StripPrefix("/-", h.profiles()))
	return addressed(http.NewCrossOriginProtection().Handler(mux))
}

// profiles serves net/http/pprof, whose own paths begin with /debug/pprof/.
// The command line may hold secrets.
func (h *handler) profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.Handle("/debug/pprof/cmdline", h.trusted(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := io.WriteString(w, "ok\n"); err != nil {
		h.gone(r, err)
	}
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	status, err := h.Status(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	h.writeJSON(w, r, http.StatusOK, status)
}

// writeJSON answers with an indented document, for people read it too.
func (h *handler) writeJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "encoding the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if _, err := w.Write(append(body, '\n')); err != nil {
		h.gone(r, err)
	}
}

// gone notes a client that went away before it had its answer.
func (h *handler) gone(r *http.Request, err error) {
	h.Logger.DebugContext(r.Context(), "admin client went away", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
}
