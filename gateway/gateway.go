package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// Authenticator verifies signatures; [sigv4.Verifier] is one.
type Authenticator interface {
	Verify(r *http.Request) (*sigv4.Result, error)
	VerifyForm(ctx context.Context, f *sigv4.Form) (*sigv4.Result, error)
}

// Options configure a Gateway. Objects, Authenticator, Keyring, Accounts and Now are
// required; the other zero values are usable defaults.
type Options struct {
	Objects       objects.API
	Authenticator Authenticator
	Keyring       iam.Keyring
	// Accounts finds who owns and is granted what.
	Accounts iam.Accounts
	Now      func() time.Time
	// Region is what buckets are in; empty for us-east-1.
	Region string
	// ObjectOwnership is that of new buckets; empty for BucketOwnerEnforced.
	ObjectOwnership s3.ObjectOwnership
	// PublicAccess lets new buckets begin without a public access block; else
	// they have all of it.
	PublicAccess bool
	// MaxBuckets is how many buckets an owner may have; 0 is 10,000.
	MaxBuckets int
	// StorageClasses may be named besides STANDARD.
	StorageClasses []string
	// DefaultEncryption is that of objects in buckets which configure none: AES256,
	// or empty for none.
	DefaultEncryption s3.SSEAlgorithm
	// PlainKeys says from whom keys of SSE-C are taken without TLS.
	PlainKeys PlainKeys
	// Domains are the parent domains of virtual-host style requests, such as
	// s3.example.test for bucket.s3.example.test. Path style always works.
	Domains []string
	// WebsiteDomains are the parent domains of websites: bucket.DOMAIN. A bucket
	// named as the whole host of a request has its website there too. Empty: there
	// are no websites.
	WebsiteDomains []string
	// HostID is sent as x-amz-id-2.
	HostID string
	// NewRequestID makes the id of a request; nil for random ones.
	NewRequestID func() string
	// Logger gets failures of the server, and with AccessLog every request; a
	// request is else logged at debug level. Nil is silent.
	Logger    *slog.Logger
	AccessLog bool
	// Metrics registers the gateway's collectors; nil for none.
	Metrics prometheus.Registerer
	// MaxRequests bounds the requests in progress: more get 503 SlowDown. 0 is 4096.
	MaxRequests int
	// Activity rises when a request begins or moves bytes, so that background work
	// knows; nil: nobody looks.
	Activity *atomic.Int64
}

func (o *Options) defaults() {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.ObjectOwnership == "" {
		o.ObjectOwnership = s3.BucketOwnerEnforced
	}
	if o.NewRequestID == nil {
		o.NewRequestID = randomID
	}
	if o.HostID == "" {
		o.HostID = "undercroft"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxBuckets == 0 {
		o.MaxBuckets = 10_000
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = 4096
	}
	if o.Activity == nil {
		o.Activity = new(atomic.Int64)
	}
}

func (o *Options) validate() error {
	if o.Objects == nil || o.Authenticator == nil || o.Keyring == nil || o.Accounts == nil || o.Now == nil {
		return errors.New("gateway: Objects, Authenticator, Keyring, Accounts and Now are required")
	}
	switch {
	case o.DefaultEncryption != "" && o.DefaultEncryption != s3.SSES3:
		return errors.New("gateway: objects are encrypted with AES256 by default, or not")
	case o.PlainKeys != "" && o.PlainKeys != PlainKeysLoopback && o.PlainKeys != PlainKeysAlways && o.PlainKeys != PlainKeysNever:
		return errors.New("gateway: keys without TLS are taken on, off or loopback")
	}
	return nil
}

// Gateway is the S3 endpoint, an [http.Handler]. It sets no deadlines: whoever
// serves it ends connections that stand still, and a read deadline that passes
// is answered with RequestTimeout. It is safe for concurrent use
// and owns nothing of what its options name.
type Gateway struct {
	o        Options
	router   *router
	metrics  *metrics
	headers  map[string]headerRule
	steps    []func(*exchange) error
	hosts    hosts
	website  []func(*exchange) error               // the steps of requests to websites
	begin    func(context.Context) context.Context // of a request; nil: nothing needs to know
	buffers  sync.Pool                             // of *[]byte, for documents
	inFlight atomic.Int64
	// documents is what exchanges hold of large documents, in bytes.
	documents atomic.Int64
}

var _ http.Handler = (*Gateway)(nil)

// New returns a gateway, or an error when an option is missing or its metrics
// are registered already.
func New(o Options) (*Gateway, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.defaults()
	ops := Operations()
	m, err := newMetrics(o.Metrics, ops)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		o:       o,
		router:  newRouter(o.Domains, newTable(ops)),
		metrics: m,
		headers: headerRules(o.StorageClasses),
	}
	if objects, ok := o.Objects.(requests); ok {
		g.begin = objects.BeginRequest
	}
	g.hosts = newHosts(o.WebsiteDomains, o.Domains)
	g.website = []func(*exchange) error{g.enterWebsite, g.serveWebsite}
	g.steps = []func(*exchange) error{
		g.route,
		g.refuseHeaders,
		g.authenticate,
		g.authorize,
		func(x *exchange) error { return x.op.handle(g, x) },
	}
	return g, nil
}

// requests is what objects are as well that want to know which calls belong together.
type requests interface {
	BeginRequest(ctx context.Context) context.Context
}

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	continueEmpty(w, r)
	x := &exchange{gateway: g, w: w, started: g.o.Now(), requestID: g.o.NewRequestID()}
	ctx := observability.WithRequestID(r.Context(), x.requestID)
	if g.begin != nil {
		ctx = g.begin(ctx)
	}
	x.r = r.WithContext(ctx)
	x.set(s3.HeaderRequestID, x.requestID)
	x.set(s3.HeaderHostID, g.o.HostID)
	x.set("Server", "Undercroft")
	g.inFlight.Add(1)
	g.o.Activity.Add(1)
	defer func() {
		g.inFlight.Add(-1)
		g.documents.Add(-x.hoarded)
		x.wipeKeys()
	}()
	x.err = g.run(x) //nolint:contextcheck // the exchange has the request, and with it the context
	if x.err != nil {
		g.fail(x)
	}
	g.observe(x) //nolint:contextcheck // the exchange has the request, and with it the context
	if x.cut {
		panic(http.ErrAbortHandler) // the client must not take the answer for a whole one
	}
}

// continueEmpty answers Expect: 100-continue of a request that declares no body.
// net/http does so only when a body is read; botocore sends the header with
// empty bodies too and then loses track of the connection's answers.
func continueEmpty(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue)
	}
}

// run takes the request through the steps, up to the first error. A panic is
// an error too.
func (g *Gateway) run(x *exchange) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	if err := g.admit(x); err != nil {
		return err
	}
	steps := g.steps
	if x.onWebsite = g.visits(x); x.onWebsite {
		steps = g.website
	}
	for _, step := range steps {
		if err := step(x); err != nil {
			return err
		}
	}
	return nil
}

// admit refuses early what would only wait.
func (g *Gateway) admit(*exchange) error {
	if g.inFlight.Load() > int64(g.o.MaxRequests) {
		return s3.NewError(s3.SlowDown)
	}
	return nil
}

// withDocument calls build with an empty buffer of the pool and answers with
// what it returns.
func (g *Gateway) withDocument(x *exchange, build func([]byte) []byte) error {
	p, ok := g.buffers.Get().(*[]byte)
	if !ok {
		p = new([]byte)
	}
	doc := build((*p)[:0])
	err := x.document(http.StatusOK, doc)
	if cap(doc) <= maxPooledDocument {
		*p = doc
		g.buffers.Put(p)
	}
	return err
}

// maxPooledDocument is the largest buffer that is kept for later.
const maxPooledDocument = 1 << 20
