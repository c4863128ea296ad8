//go:build fdb

package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/undercroft/undercroft/internal/fdbcluster"
)

// TestServerAndGateway runs a server with data directories and a gateway on one
// FoundationDB, as docs/operations/foundationdb.md says.
func TestServerAndGateway(t *testing.T) {
	cluster := fdbcluster.Shared(t, fdbcluster.One(fdbcluster.Redwood))
	dir := t.TempDir()
	data, key := filepath.Join(dir, "d"), filepath.Join(dir, "key")
	place(t, key, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
	shared := []string{"--metadata=fdb:" + cluster.ClusterFile() + "?prefix=" + strings.TrimSuffix(string(fdbcluster.Prefix()), "-"), "--master-key-file=" + key}
	gateway := append([]string{"gateway", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"}, rootArgs(shared...)...)
	if code, _, stderr := runOnce(t, assemble, nil, gateway...); code != exitFailure || !strings.Contains(stderr, "there is no store in FoundationDB") {
		t.Fatalf("a gateway without a store: %d %q", code, stderr)
	}
	server := start(t, assemble, rootArgs(append(shared, "--data="+data)...)...)
	code, _, stderr := runOnce(t, assemble, nil, append([]string{"server", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + filepath.Join(dir, "e")}, rootArgs(shared...)...)...)
	if code != exitFailure || !strings.Contains(stderr, "none of the disks of the store") {
		t.Errorf("a second server: %d %q", code, stderr)
	}
	beside := startCommand(t, assemble, "gateway", rootArgs(shared...)...)
	clients := map[string]*s3.Client{}
	for name, i := range map[string]*instance{"server": server, "gateway": beside} {
		clients[name] = s3.New(s3.Options{
			Region: "us-east-1", BaseEndpoint: aws.String(i.endpoint), UsePathStyle: true, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("ROOTKEY", "root-secret", ""),
		})
	}
	bucket, small, large := aws.String("bucket"), bytes.Repeat([]byte("s"), 1000), bytes.Repeat([]byte("l"), 100_000)
	if _, err := clients["gateway"].CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	store := func(at, key string, body []byte) error {
		_, err := clients[at].PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String(key), Body: bytes.NewReader(body)})
		return err
	}
	load := func(at, key string) ([]byte, error) {
		out, err := clients[at].GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String(key)})
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(out.Body)
		return body, errors.Join(err, out.Body.Close())
	}
	unavailable := func(what string, err error) {
		t.Helper()
		response, ok := errors.AsType[*awshttp.ResponseError](err)
		if !ok || response.HTTPStatusCode() != http.StatusServiceUnavailable || response.Response.Header.Get("Retry-After") != "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(store("gateway", "small", small), store("server", "large", large)); err != nil {
		t.Fatal(err)
	}
	for at := range clients {
		if got, err := load(at, "small"); err != nil || !bytes.Equal(got, small) {
			t.Errorf("%s: %d bytes, %v", at, len(got), err)
		}
	}
	unavailable("a large object", store("gateway", "more", large))
	_, err := load("gateway", "large")
	unavailable("the data of the server", err)
	if got, err := load("server", "large"); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, i := range []*instance{beside, server} {
		if code := i.stop(); code != exitOK {
			t.Errorf("exit code %d: %s", code, i.stderr)
		}
	}
}
