package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keyring"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// countedKey marks the requests whose reads are counted: background work is not.
type countedKey struct{}

// farRealm is a realm over metadata across a network, and what requests cost there.
type farRealm struct {
	*realm
	rounds *kvtest.Rounds
}

func newFarRealm(t *testing.T, change ...func(*Options)) *farRealm {
	t.Helper()
	rounds := kvtest.CountRounds(mem.New(mem.Options{Remote: true, Now: kvtest.NewClock().Now}))
	rounds.Of = func(ctx context.Context) bool { return ctx.Value(countedKey{}) != nil }
	cluster := testcluster.New(t, testcluster.Options{Edit: func(o *single.Options) {
		o.External = &single.External{Open: func(context.Context) (kv.Engine, error) { return rounds, nil }, Place: "elsewhere"}
		o.Keys = func(_ context.Context, db *metadata.DB) (keys.Providers, error) {
			sealer, err := directory.NewSealer(directory.MasterKey{1}, directory.MasterKey{}, rand.Reader)
			if err != nil {
				return keys.Providers{}, err
			}
			ring, err := keyring.New(db, sealer, keyring.Options{Now: time.Now})
			return keys.Providers{S3: ring, KMS: ring}, err
		}
	}})
	return &farRealm{newRealmOn(t, cluster, change...), rounds}
}

// costs sends a signed request, "GET /bucket" say, past the network and returns what it cost.
func (r *farRealm) costs(c *caller, status int, line, body string, headers ...string) kvtest.Counts {
	r.t.Helper()
	method, target, _ := strings.Cut(line, " ")
	ctx := context.WithValue(r.t.Context(), countedKey{}, true)
	req := httptest.NewRequestWithContext(ctx, method, r.URL+target, bytes.NewReader([]byte(body)))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	req.Header.Set("Content-Length", strconv.Itoa(len(body)))
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: c.key, SecretAccessKey: c.secret}
	if err := signer.SignHTTP(ctx, creds, req, hash, "s3", "us-east-1", time.Now()); err != nil {
		r.t.Fatal(err)
	}
	r.rounds.Take()
	w := httptest.NewRecorder()
	r.gateway.ServeHTTP(w, req)
	if w.Code != status {
		r.t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	return r.rounds.Take()
}

// trips is what a request may cost.
type trips struct{ ReadVersions, Rounds, Commits int }

// Who asks, and whether they may, costs no read version and no round of its own.
func TestRoundsOfSignedRequests(t *testing.T) {
	r := newFarRealm(t)
	alice := r.newAccount("alice").user("user", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	r.costs(alice, http.StatusOK, "PUT /bucket", "")
	large := string(bytes.Repeat([]byte("x"), 20<<10))
	reading, writing := trips{1, 1, 0}, trips{1, 1, 1}
	tests := []struct {
		method, target, body string
		headers              []string
		status               int
		want                 trips
	}{
		{http.MethodPut, "/bucket/small", "body", nil, http.StatusOK, writing},
		{http.MethodPut, "/bucket/small", "other", nil, http.StatusOK, writing},
		{http.MethodPut, "/bucket/sealed", "body", []string{"X-Amz-Server-Side-Encryption", "AES256"}, http.StatusOK, writing},
		{http.MethodPut, "/bucket/large", large, nil, http.StatusOK, trips{2, 1, 1}},
		{http.MethodPut, "/bucket/granted", "body", []string{"X-Amz-Acl", "public-read"}, http.StatusOK, writing},
		{http.MethodGet, "/bucket/small", "", nil, http.StatusOK, reading},
		{http.MethodGet, "/bucket/sealed", "", nil, http.StatusOK, reading},
		{http.MethodGet, "/bucket/large", "", nil, http.StatusOK, reading},
		{http.MethodGet, "/bucket/large", "", []string{"Range", "bytes=5-9"}, http.StatusPartialContent, reading},
		{http.MethodGet, "/bucket/absent", "", nil, http.StatusNotFound, reading},
		{http.MethodHead, "/bucket/small", "", nil, http.StatusOK, reading},
		{http.MethodHead, "/bucket/sealed", "", nil, http.StatusOK, reading},
		{http.MethodHead, "/bucket", "", nil, http.StatusOK, trips{1, 0, 0}},
		{http.MethodGet, "/bucket?list-type=2&fetch-owner=true", "", nil, http.StatusOK, reading},
		{http.MethodGet, "/bucket?versions", "", nil, http.StatusOK, reading},
		{http.MethodGet, "/bucket/small?acl", "", nil, http.StatusOK, reading},
		{http.MethodDelete, "/bucket/small", "", nil, http.StatusNoContent, writing},
	}
	for _, run := range []string{"cold", "warm"} { // caches and views fill in the first run
		for _, c := range tests {
			counts := r.costs(alice, c.status, c.method+" "+c.target, c.body, c.headers...)
			got := trips{counts.ReadVersions, counts.Rounds, counts.Commits}
			if diff := cmp.Diff(c.want, got); diff != "" && run == "warm" {
				t.Errorf("%s %s %v: %+v (-want +got):\n%s", c.method, c.target, c.headers, counts, diff)
			}
		}
	}
}

// After any configuration has changed, a request looks once at who asks and once at
// the bucket.
func TestRoundsOfSignedRequestsAfterConfigurations(t *testing.T) {
	r := newFarRealm(t)
	alice := r.newAccount("alice").user("user", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	r.costs(alice, http.StatusOK, "PUT /bucket", "")
	r.costs(alice, http.StatusOK, "PUT /bucket/key", "body")
	r.costs(alice, http.StatusOK, "GET /bucket/key", "")
	for i := range 2 {
		r.newAccount(fmt.Sprint("another", i))
		counts := r.costs(alice, http.StatusOK, "GET /bucket/key", "")
		if got, want := (trips{counts.ReadVersions, counts.Rounds, counts.Commits}), (trips{1, 3, 0}); got != want {
			t.Errorf("%+v, want %+v", counts, want)
		}
		counts = r.costs(alice, http.StatusOK, "GET /bucket/key", "")
		if got, want := (trips{counts.ReadVersions, counts.Rounds, counts.Commits}), (trips{1, 1, 0}); got != want {
			t.Errorf("the next: %+v, want %+v", counts, want)
		}
	}
}
