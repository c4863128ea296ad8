package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

const (
	sdkKey    = "AKIASDK"
	sdkSecret = "secret/with+signs"
)

// The SDK signs with the real clock.
func now() time.Time { return time.Now() }

func sdkVerifier() *sigv4.Verifier {
	return &sigv4.Verifier{
		Region: "eu-west-3",
		Now:    now,
		Secret: func(_ context.Context, accessKey string) (string, error) {
			if accessKey != sdkKey {
				return "", sigv4.ErrUnknownAccessKey
			}
			return sdkSecret, nil
		},
	}
}

// received is what a server made of one request.
type received struct {
	result  *sigv4.Result
	body    []byte
	err     error
	trailer string
}

// newServer returns a server that verifies all it gets and reports it.
func newServer(t *testing.T, start func(http.Handler) *httptest.Server) (*httptest.Server, <-chan received) {
	t.Helper()
	v := sdkVerifier()
	got := make(chan received, 1)
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var rec received
		if rec.result, rec.err = v.Verify(r); rec.err == nil {
			rec.body, rec.err = io.ReadAll(rec.result.Body(r.Body))
			rec.trailer, _ = rec.result.Trailer("x-amz-checksum-crc32")
		}
		got <- rec
		if rec.err != nil {
			answer := s3.AsError(rec.err)
			w.WriteHeader(answer.Status)
			_, _ = w.Write(answer.AppendXML(nil, "", "", ""))
		}
	}))
	t.Cleanup(server.Close)
	return server, got
}

func sdkClient(server *httptest.Server, with ...func(*awss3.Options)) *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: aws.String(server.URL), UsePathStyle: true, Region: "eu-west-3",
		HTTPClient: server.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(sdkKey, sdkSecret, ""),
	}, with...)
}

var awkwardKeys = []string{
	"plain", "with space", "a+b", "a%2Fb", "a//b", "./x", "../x", "x/", "a/../b", "ünïcödé/日本", "*'();:@&=$,?#[]!~",
	"percent%", `back\slash`, "tab\there", "new\nline", "\x01", "a|b^c`d{e}\"<>", "=", "..",
}

// Over TLS the SDK sends unsigned chunks with a trailer, over plain HTTP a
// signed hash; both with every awkward key.
func TestSDKPut(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789"), 20_000)
	for name, start := range map[string]func(http.Handler) *httptest.Server{"tls": httptest.NewTLSServer, "plain": httptest.NewServer} {
		t.Run(name, func(t *testing.T) {
			server, got := newServer(t, start)
			client := sdkClient(server)
			for _, key := range awkwardKeys {
				_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{
					Bucket: aws.String("bucket"), Key: aws.String(key), Body: bytes.NewReader(payload),
					ContentType: aws.String("text/plain; charset=\"utf-8\""), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
					Metadata: map[string]string{"two": "a  b", "pad": " x "},
				})
				rec := <-got
				if err != nil || rec.err != nil || !bytes.Equal(rec.body, payload) {
					t.Fatalf("key %q: %v; %v; %d bytes", key, err, rec.err, len(rec.body))
				}
				if rec.result.AccessKey != sdkKey || rec.result.Length != int64(len(payload)) {
					t.Errorf("key %q: result = %+v", key, rec.result)
				}
				if rec.result.Payload.Chunked() != (name == "tls") || (rec.trailer != "") != (name == "tls") {
					t.Errorf("key %q: payload %d, trailer %q", key, rec.result.Payload, rec.trailer)
				}
			}
		})
	}
}

func TestSDKList(t *testing.T) {
	server, got := newServer(t, httptest.NewServer)
	client := sdkClient(server)
	for _, prefix := range append(slices.Clone(awkwardKeys), "", "a&b=c") {
		_, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{
			Bucket: aws.String("bucket"), Prefix: aws.String(prefix), Delimiter: aws.String("/"), StartAfter: aws.String("+ %"),
		})
		if rec := <-got; rec.err != nil {
			t.Errorf("prefix %q: %v (%v)", prefix, rec.err, err)
		}
	}
}

func TestSDKPresigned(t *testing.T) {
	server, got := newServer(t, httptest.NewServer)
	presigner := awss3.NewPresignClient(sdkClient(server))
	for _, key := range awkwardKeys {
		signed, err := presigner.PresignPutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: aws.String("bucket"), Key: aws.String(key), ContentType: aws.String("text/plain"),
			Metadata: map[string]string{"a": "b"},
		}, awss3.WithPresignExpires(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, strings.NewReader("payload"))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range signed.SignedHeader {
			if name != "Host" {
				r.Header[name] = values
			}
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		rec := <-got
		if rec.err != nil || string(rec.body) != "payload" || rec.result.Auth != sigv4.AuthQuery || response.StatusCode != http.StatusOK {
			t.Errorf("key %q: %q, %v", key, rec.body, rec.err)
		}
	}
}

func TestSDKWrongSecret(t *testing.T) {
	server, got := newServer(t, httptest.NewServer)
	client := sdkClient(server, func(o *awss3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(sdkKey, "wrong", "")
	})
	_, err := client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	rec := <-got
	if e, ok := errors.AsType[*sigv4.Error](rec.err); !ok || e.Kind != sigv4.KindSignatureMismatch || e.S3().Code != s3.SignatureDoesNotMatch {
		t.Errorf("server: %v", rec.err)
	}
	if err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("client: %v", err)
	}
}

// Headers that net/http takes out of the map are found where they went.
func TestSignedHopHeaders(t *testing.T) {
	server, got := newServer(t, httptest.NewServer)
	body := []byte("some bytes")
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/bucket/a%20b?z=1&a=%2F&a=", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	r.Header.Set("Expect", "100-continue")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: sdkKey, SecretAccessKey: sdkSecret}
	if err := signer.SignHTTP(t.Context(), creds, r, hash, "s3", "eu-west-3", now()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Header.Get("Authorization"), "content-length;host;") {
		t.Fatalf("the SDK signs %s", r.Header.Get("Authorization"))
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if rec := <-got; rec.err != nil || !bytes.Equal(rec.body, body) {
		t.Errorf("%q, %v", rec.body, rec.err)
	}
}

// The query decides as url.ParseQuery reads it, in whatever way it is written.
func TestQuerySpelling(t *testing.T) {
	v := sdkVerifier()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/b/k?prefix=a%20b&x=%7e&empty", http.NoBody)
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: sdkKey, SecretAccessKey: sdkSecret}
	if err := signer.SignHTTP(t.Context(), creds, r, "UNSIGNED-PAYLOAD", "s3", "eu-west-3", now()); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"/b/k?prefix=a%20b&x=%7e&empty", "/b/k?empty=&x=~&prefix=a+b", "/b/k?&x=%7E&&prefix=%61%20b&empty=&", "/%62/k?empty&prefix=a b&x=~",
	} {
		r.RequestURI = target
		if _, err := v.Verify(r); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, target := range []string{
		"/b/k?prefix=a%2Bb&x=~&empty", "/b/k?prefix=a%20b&x=~", "/b//k?prefix=a%20b&x=~&empty", "/b/./k?prefix=a%20b&x=~&empty",
		"/b/k/?prefix=a%20b&x=~&empty", "/b/k?prefix=a%20b&x=~&empty&empty", "/b/k",
	} {
		r.RequestURI = target
		if _, err := v.Verify(r); err == nil {
			t.Errorf("%s is accepted", target)
		}
	}
}
