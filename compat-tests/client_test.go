package compat

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const mib = 1 << 20

// client is an SDK client with path-style addressing and no retries, so that
// the first answer is the one that is judged.
func (s *server) client(optFns ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(s.endpoint), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(s.accessKey, s.secretKey, ""),
		RetryMaxAttempts:           1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}, optFns...)
}

// bucket makes a bucket that is emptied and deleted at the end of the test;
// that this works is part of the test.
func (s *server) bucket(t *testing.T) (*s3.Client, string) {
	t.Helper()
	c := s.client()
	name := "compat-" + randomHex(8)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("CreateBucket: %v", err)
	}
	t.Cleanup(func() {
		if s.cmd != nil {
			select {
			case <-s.exited:
				return
			default:
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := removeBucket(ctx, c, name); err != nil {
			t.Errorf("clean up bucket: %v", err)
		}
	})
	return c, name
}

// newBucket is a bucket on the shared server.
func newBucket(t *testing.T) (*s3.Client, string) {
	t.Helper()
	return shared(t).bucket(t)
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// pattern makes n bytes that nothing compresses, the same for the same seed.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	rng := mathrand.NewChaCha8([32]byte{seed})
	_, _ = rng.Read(b)
	return b
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put stores an object through the SDK.
func put(t *testing.T, c *s3.Client, bucket, key string, body []byte) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatalf("PutObject %q: %v", key, err)
	}
	return out
}

// get reads a whole object through the SDK.
func get(t *testing.T, c *s3.Client, bucket, key string) []byte {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("GetObject %q: %v", key, err)
	}
	return readAll(t, out.Body)
}

func readAll(t *testing.T, body io.ReadCloser) []byte {
	t.Helper()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	if err := body.Close(); err != nil {
		t.Fatalf("close body: %v", err)
	}
	return data
}

// wantBytes compares without printing megabytes.
func wantBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%s: %d bytes, want %d; first difference at %d", what, len(got), len(want), at)
}

// wantError wants the S3 error code and status. HEAD answers have no body, so
// for them the SDK has only the status; pass the code it makes of it.
func wantError(t *testing.T, err error, status int, codes ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %d %v", status, codes)
		return
	}
	var code string
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	got := 0
	if resp, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		got = resp.HTTPStatusCode()
	}
	for _, want := range codes {
		if code == want && got == status {
			return
		}
	}
	t.Errorf("status %d, code %q, want %d %v: %v", got, code, status, codes, err)
}

// rawRequest is a request that the SDK would not make. Path and Query are sent
// as written.
type rawRequest struct {
	Method string // default GET
	Path   string
	Query  string
	Header map[string]string
	Body   []byte
	SHA256 string // x-amz-content-sha256; default that of the body
	Host   string // default the endpoint's

	AccessKey, SecretKey string // default the server's
	Region, Service      string // default region and s3
	At                   time.Time
	Anonymous            bool
	AfterSign            func(*http.Request) // to spoil it
}

type rawResponse struct {
	Status int
	Header http.Header
	Body   []byte
	Close  bool // the connection ends after it
}

// Code is the Code element of an error document, empty when there is none. It is
// cut out of the text, since a document may quote what XML cannot carry.
func (r *rawResponse) Code() string {
	_, rest, ok := bytes.Cut(r.Body, []byte("<Error>"))
	if !ok {
		return ""
	}
	_, rest, _ = bytes.Cut(rest, []byte("<Code>"))
	code, _, ok := bytes.Cut(rest, []byte("</Code>"))
	if !ok {
		return ""
	}
	return string(code)
}

func (r *rawResponse) want(t *testing.T, what string, status int, codes ...string) {
	t.Helper()
	if r.Status == status {
		if len(codes) == 0 {
			return
		}
		for _, c := range codes {
			if r.Code() == c {
				return
			}
		}
	}
	t.Errorf("%s: status %d, code %q, want %d %v\n%.300s", what, r.Status, r.Code(), status, codes, r.Body)
}

// wantRefused wants some error of the client's making, with an S3 error code.
func (r *rawResponse) wantRefused(t *testing.T, what string) {
	t.Helper()
	if r.Status < 400 || r.Status > 499 || r.Code() == "" {
		t.Errorf("%s: status %d, code %q, want a refusal with a code\n%.300s", what, r.Status, r.Code(), r.Body)
	}
}

// build signs the request.
func (s *server) build(t *testing.T, r *rawRequest) *http.Request {
	t.Helper()
	u, err := url.Parse(s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	u.Opaque = "//" + u.Host + r.Path
	u.RawQuery = r.Query
	req, err := http.NewRequestWithContext(t.Context(), or(r.Method, http.MethodGet), s.endpoint, bytes.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL = u
	req.Host = or(r.Host, u.Host)
	for name, value := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	// The signer wants the host in the opaque part, the request line must not have it.
	defer func() { u.Opaque = r.Path }()
	if r.Anonymous {
		return req
	}
	sum := or(r.SHA256, sha256Hex(r.Body))
	req.Header.Set("X-Amz-Content-Sha256", sum)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	at := r.At
	if at.IsZero() {
		at = time.Now()
	}
	creds := aws.Credentials{AccessKeyID: or(r.AccessKey, s.accessKey), SecretAccessKey: or(r.SecretKey, s.secretKey)}
	if err := signer.SignHTTP(t.Context(), creds, req, sum, or(r.Service, "s3"), or(r.Region, region), at); err != nil {
		t.Fatal(err)
	}
	if r.AfterSign != nil {
		r.AfterSign(req)
	}
	return req
}

// raw sends the request and reads the answer.
func (s *server) raw(t *testing.T, r *rawRequest) *rawResponse {
	t.Helper()
	resp, err := exchange(plainHTTP, s.build(t, r))
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return resp
}

// exchange sends a request and reads the whole answer.
func exchange(client *http.Client, req *http.Request) (*rawResponse, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return readResponse(resp)
}

func readResponse(resp *http.Response) (*rawResponse, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &rawResponse{resp.StatusCode, resp.Header, body, resp.Close}, nil
}

// plainHTTP follows nothing and unpacks nothing.
var plainHTTP = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       patience,
}

func (s *server) adminGet(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := exchange(plainHTTP, req)
	if err != nil {
		t.Fatalf("admin %s: %v", path, err)
	}
	resp.want(t, "admin "+path, http.StatusOK)
	return resp.Body
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// listKeys lists all keys of a bucket. It asks for encoded keys, since XML cannot
// carry every character that a key may have; this SDK does not decode them.
func listKeys(ctx context.Context, c *s3.Client, bucket string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket, EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(*o.Key)
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func keysOf(t *testing.T, c *s3.Client, bucket string) []string {
	t.Helper()
	keys, err := listKeys(t.Context(), c, bucket)
	if err != nil {
		t.Fatalf("ListObjectsV2: %v", err)
	}
	return keys
}

// wantAbsent makes sure that nothing was stored under the key.
func wantAbsent(t *testing.T, c *s3.Client, bucket, key string) {
	t.Helper()
	_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err == nil {
		t.Errorf("%q was stored", key)
		return
	}
	if _, ok := errors.AsType[*types.NotFound](err); !ok {
		t.Errorf("HEAD %q: %v", key, err)
	}
}

// header makes the map of a rawRequest from pairs.
func header(pairs ...string) map[string]string {
	if len(pairs)%2 != 0 {
		panic(fmt.Sprintf("odd header pairs %q", pairs))
	}
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}
