package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
	"github.com/undercroft/undercroft/steward"
)

// frail is a gateway over a store whose metadata is across a network and may be
// unwell.
type frail struct {
	*testcluster.Cluster
	t       *testing.T
	gateway *Gateway
	outage  mem.Outage
	fault   atomic.Pointer[func(mem.Point) mem.Fault]
	log     syncBuffer
}

// withFrail runs a test of a frail store in a bubble. It has a bucket, and in it an
// object.
func withFrail(t *testing.T, test func(f *frail), edits ...func(*single.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &frail{t: t}
		engine := mem.New(mem.Options{Remote: true, Outage: &f.outage, Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
			if fault := f.fault.Load(); fault != nil {
				return (*fault)(p)
			}
			return mem.None
		}}})
		logger := observability.NewLogger(&f.log, slog.LevelInfo, observability.Text)
		f.Cluster = testcluster.New(t, testcluster.Options{Edit: func(o *single.Options) {
			o.External = &single.External{Open: func(context.Context) (kv.Engine, error) { return engine, nil }, Place: "elsewhere"}
			o.Logger, o.Capacity = logger, 1<<30 // no upload needs a new partition
			for _, edit := range edits {
				edit(o)
			}
		}})
		who, err := directory.Open(t.Context(), f.DB, directory.Options{RootAccessKey: testAccessKey, RootSecret: testSecret, MasterKey: directory.MasterKey{1}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		f.gateway, err = New(Options{
			Objects: f.Objects, Keyring: who, Accounts: who, Now: time.Now, Logger: logger,
			Authenticator: &sigv4.Verifier{Region: "us-east-1", Now: time.Now, Secret: func(ctx context.Context, key string) (string, error) {
				c, err := who.Lookup(ctx, key)
				if errors.Is(err, iam.ErrNoSuchKey) {
					err = sigv4.ErrUnknownAccessKey
				}
				return c.Secret, err
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		f.want(http.StatusOK, f.send(http.MethodPut, "/bucket", nil))
		f.want(http.StatusOK, f.send(http.MethodPut, "/bucket/key", strings.NewReader("body")))
		test(f)
		f.outage.End()
		<-time.After(time.Second)
	})
}

// send sends a signed request and returns the whole answer.
func (f *frail) send(method, target string, body io.Reader) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), method, "http://s3.test"+target, body)
	if s, ok := body.(sized); ok {
		r.ContentLength = s.size()
	}
	r.Header.Set(s3.HeaderContentLength, strconv.FormatInt(r.ContentLength, 10))
	const unsigned = "UNSIGNED-PAYLOAD"
	hash := unsigned
	if body == nil {
		sum := sha256.Sum256(nil)
		hash = hex.EncodeToString(sum[:])
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: testAccessKey, SecretAccessKey: testSecret}
	if err := signer.SignHTTP(f.t.Context(), creds, r, hash, "s3", "us-east-1", time.Now()); err != nil {
		f.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	f.gateway.ServeHTTP(w, r)
	return w
}

func (f *frail) want(status int, w *httptest.ResponseRecorder) {
	f.t.Helper()
	if w.Code != status {
		f.t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

// wantAway wants an answer that asks to come back, within the budget of a request.
func (f *frail) wantAway(what string, w *httptest.ResponseRecorder, took time.Duration) {
	f.t.Helper()
	after, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != http.StatusServiceUnavailable || err != nil || after < 1 || after > maxRetryAfter {
		f.t.Errorf("%s: status %d, Retry-After %q: %s", what, w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if took > 10*time.Second {
		f.t.Errorf("%s was answered after %v", what, took)
	}
	var answer failure
	if w.Body.Len() > 0 && (xml.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Code != s3.SlowDown && answer.Code != s3.ServiceUnavailable) {
		f.t.Errorf("%s: %s", what, w.Body)
	}
}

// sized is a body that says how long it is.
type sized interface{ size() int64 }

// trickle is a long body of which a piece comes every second.
type trickle struct {
	left, piece int64
	taken       int64
}

func (b *trickle) size() int64 { return b.left }

// Read implements io.Reader.
func (b *trickle) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.taken%b.piece == 0 {
		<-time.After(time.Second)
	}
	n := min(int64(len(p)), b.left, b.piece-b.taken%b.piece)
	clear(p[:n])
	b.taken += n
	b.left -= n
	return int(n), nil
}

func TestRequestsWhileTheMetadataIsAway(t *testing.T) {
	for name, trouble := range map[string]mem.Trouble{"hanging": mem.Hanging, "down": mem.Down, "timing out": mem.TimingOut} {
		t.Run(name, func(t *testing.T) {
			withFrail(t, func(f *frail) {
				f.outage.Begin(trouble)
				for round := range 3 {
					for _, request := range []string{
						"GET /bucket/key", "HEAD /bucket/key", "PUT /bucket/new", "DELETE /bucket/key", "GET /bucket?list-type=2", "PUT /other", "GET /",
						"POST /bucket/key?uploads", "GET /bucket?policy", "GET /nobucket/key", "DELETE /bucket",
					} {
						method, target, _ := strings.Cut(request, " ")
						start := time.Now()
						f.wantAway(fmt.Sprint(round, " ", request), f.send(method, target, nil), time.Since(start))
					}
					body := &trickle{left: 1 << 30, piece: 1 << 20}
					start := time.Now()
					f.wantAway("a large body", f.send(http.MethodPut, "/bucket/large", body), time.Since(start))
					if body.taken > 0 {
						f.t.Errorf("%d bytes of a body were taken that nobody could publish", body.taken)
					}
				}
				f.outage.End()
				<-time.After(time.Second)
				f.want(http.StatusOK, f.send(http.MethodGet, "/bucket/key", nil))
				f.want(http.StatusOK, f.send(http.MethodPut, "/bucket/new", strings.NewReader("new")))
				f.want(http.StatusNotFound, f.send(http.MethodGet, "/bucket/large", nil))
			})
		})
	}
}

func TestReadinessWhileTheMetadataIsAway(t *testing.T) {
	withFrail(t, func(f *frail) {
		f.outage.Begin(mem.Hanging)
		<-time.After(9 * time.Second)
		if err := f.Ready(f.t.Context()); err != nil {
			f.t.Errorf("not ready after 9 seconds: %v", err)
		}
		<-time.After(3 * time.Second)
		if err := f.Ready(f.t.Context()); err == nil {
			f.t.Error("ready after 12 seconds")
		}
		if st, err := f.Status(f.t.Context()); err != nil || st.Healthy || st.Metadata.Store.Available {
			f.t.Errorf("status: %+v, %v", st.Metadata.Store, err)
		}
		if err := f.Err(); err != nil {
			f.t.Errorf("the store has failed: %v", err)
		}
		f.outage.End()
		<-time.After(time.Second)
		if err := f.Ready(f.t.Context()); err != nil {
			f.t.Errorf("not ready after the outage: %v", err)
		}
		if st, err := f.Status(f.t.Context()); err != nil || !st.Metadata.Store.Available || st.Metadata.Store.Outages != 1 {
			f.t.Errorf("status: %+v, %v", st.Metadata.Store, err)
		}
	})
}

func TestUploadUnderWayWhenTheMetadataGoesAway(t *testing.T) {
	withFrail(t, func(f *frail) {
		time.AfterFunc(20*time.Second, func() { f.outage.Begin(mem.Hanging) })
		body := &trickle{left: 1 << 30, piece: 1 << 20}
		start := time.Now()
		w := f.send(http.MethodPut, "/bucket/large", body)
		took := time.Since(start)
		f.wantAway("an upload", w, 0)
		if took < 20*time.Second || took > 40*time.Second || body.taken > 40<<20 {
			f.t.Errorf("ended after %v with %d bytes taken", took, body.taken)
		}
	})
}

func TestLockedMetadata(t *testing.T) {
	withFrail(t, func(f *frail) {
		f.outage.Begin(mem.Locked)
		f.wantAway("a write", f.send(http.MethodPut, "/bucket/new", strings.NewReader("new")), 0)
		f.wantAway("a read", f.send(http.MethodGet, "/bucket/key", nil), 0)
		if err := f.Ready(f.t.Context()); !errors.Is(err, kv.ErrLocked) {
			f.t.Errorf("ready, with %v", err)
		}
		f.outage.End()
		<-time.After(time.Second)
		f.want(http.StatusOK, f.send(http.MethodPut, "/bucket/new", strings.NewReader("new")))
		f.want(http.StatusOK, f.send(http.MethodGet, "/bucket/key", nil))
		if err := f.Ready(f.t.Context()); err != nil {
			f.t.Errorf("not ready: %v", err)
		}
	})
}

// Whether a write took effect that nobody can ask about is never guessed.
func TestUnknownCommitsWhileTheMetadataIsAway(t *testing.T) {
	requests := []string{
		"PUT /bucket/new", "PUT /other", "DELETE /bucket/key", "POST /bucket/key?uploads", "PUT /bucket/key?tagging", "PUT /bucket?versioning",
	}
	bodies := map[string]string{
		"PUT /bucket/key?tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
		"PUT /bucket?versioning":  "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
	}
	for _, fault := range []mem.Fault{mem.UnknownApplied, mem.UnknownLost} {
		for _, request := range requests {
			t.Run(fmt.Sprint(request, " ", fault), func(t *testing.T) {
				withFrail(t, func(f *frail) {
					hook := func(p mem.Point) mem.Fault {
						if p.Place != mem.AtCommit {
							return mem.None
						}
						f.outage.Begin(mem.Hanging)
						return fault
					}
					f.fault.Store(&hook)
					method, target, _ := strings.Cut(request, " ")
					start := time.Now()
					w := f.send(method, target, bytes.NewReader([]byte(bodies[request])))
					f.wantAway(request, w, time.Since(start))
				})
			})
		}
	}
}

func TestLogDuringAnOutage(t *testing.T) {
	withFrail(t, func(f *frail) {
		f.outage.Begin(mem.Hanging)
		<-time.After(20 * time.Second)
		before := strings.Count(f.log.String(), "\n")
		for range 500 {
			f.send(http.MethodGet, "/bucket/key", nil)
		}
		<-time.After(10 * time.Minute)
		if lines := strings.Count(f.log.String(), "\n") - before; lines > 10 {
			f.t.Errorf("%d lines of log:\n%s", lines, f.log.String())
		}
		f.outage.End()
		<-time.After(10 * time.Minute)
		before = strings.Count(f.log.String(), "\n")
		<-time.After(time.Hour)
		if lines := strings.Count(f.log.String(), "\n") - before; lines > 0 {
			f.t.Errorf("%d lines of log when all is well again:\n%s", lines, f.log.String())
		}
	}, func(o *single.Options) { o.Steward, o.Lifecycle = steward.Options{}, steward.LifecycleOptions{} })
}
