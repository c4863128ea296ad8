package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

const (
	testAccessKey = "AKIATESTTESTTESTTEST"
	testSecret    = "testSecretTestSecretTestSecretTestSecret"
)

// server is a gateway over fake objects behind a real HTTP server.
type server struct {
	*httptest.Server
	t       testing.TB
	gateway *Gateway
	objects *fakeObjects
	log     *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newServer(tb testing.TB, change ...func(*Options)) *server {
	tb.Helper()
	s := &server{t: tb, objects: newFake(), log: &syncBuffer{}}
	keyring := iam.NewRootKeyring(testAccessKey, testSecret)
	o := Options{
		Objects: s.objects, Keyring: keyring, Accounts: rootAccounts{}, Now: time.Now,
		Authenticator: &sigv4.Verifier{Region: "us-east-1", Now: time.Now, Secret: func(ctx context.Context, key string) (string, error) {
			cred, err := keyring.Lookup(ctx, key)
			if err != nil {
				return "", sigv4.ErrUnknownAccessKey
			}
			return cred.Secret, nil
		}},
		Logger: observability.NewLogger(s.log, slog.LevelDebug, observability.Text),
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.gateway, err = New(o); err != nil {
		tb.Fatal(err)
	}
	s.Server = httptest.NewServer(s.gateway)
	tb.Cleanup(s.Close)
	return s
}

// answer is a response that was read whole.
type answer struct {
	*http.Response
	body string
}

// failure is an error document.
type failure struct {
	XMLName   xml.Name `xml:"Error"`
	Code      s3.Code
	Message   string
	Resource  string
	Header    string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

func (a *answer) failure(tb testing.TB) failure {
	tb.Helper()
	var f failure
	if err := xml.Unmarshal([]byte(a.body), &f); err != nil {
		tb.Fatalf("status %d, not an error document: %v\n%s", a.StatusCode, err, a.body)
	}
	return f
}

// request makes a request; headers are pairs of names and values.
func (s *server) request(method, target, body string, headers ...string) *http.Request {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+target, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// sign signs a request with AWS's own signer.
func (s *server) sign(r *http.Request, body string) *http.Request {
	s.t.Helper()
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: testAccessKey, SecretAccessKey: testSecret}
	if err := signer.SignHTTP(s.t.Context(), creds, r, hash, "s3", "us-east-1", time.Now()); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *server) send(r *http.Request) *answer {
	s.t.Helper()
	res, err := s.Client().Do(r) //nolint:bodyclose // readAnswer closes it
	if err != nil {
		s.t.Fatal(err)
	}
	return readAnswer(s.t, res)
}

func readAnswer(tb testing.TB, res *http.Response) *answer {
	tb.Helper()
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return &answer{Response: res, body: string(body)}
}

// do sends a signed request.
func (s *server) do(method, target, body string, headers ...string) *answer {
	s.t.Helper()
	return s.send(s.sign(s.request(method, target, body, headers...), body))
}

// expect sends a signed request that must be refused with a code.
func (s *server) expect(code s3.Code, method, target, body string, headers ...string) *answer {
	s.t.Helper()
	a := s.do(method, target, body, headers...)
	if got := a.failure(s.t).Code; got != code {
		s.t.Errorf("%s %s %q: %s, want %s", method, target, headers, got, code)
	}
	if want := s3.NewError(code).Status; a.StatusCode != want {
		s.t.Errorf("%s %s: status %d, want %d", method, target, a.StatusCode, want)
	}
	return a
}

// ok sends a signed request that must succeed.
func (s *server) ok(method, target, body string, headers ...string) *answer {
	s.t.Helper()
	a := s.do(method, target, body, headers...)
	if a.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, target, a.StatusCode, a.body)
	}
	return a
}
