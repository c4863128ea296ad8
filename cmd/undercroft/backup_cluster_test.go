//go:build fdb

package main

import (
	"bytes"
	"errors"
	"fmt"
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

// TestBackupOfFoundationDB loses the cluster, and restores it into another one, as
// docs/operations/foundationdb.md says.
func TestBackupOfFoundationDB(t *testing.T) {
	tools, dir := fdbcluster.BackupPrograms(t), t.TempDir()
	metadata := func(c *fdbcluster.Cluster) string { return "--metadata=fdb:" + c.ClusterFile() + "?prefix=shop" }
	cluster := func() *fdbcluster.Cluster {
		c := fdbcluster.Start(t, fdbcluster.One(fdbcluster.Redwood))
		c.StartAgent(t, tools)
		return c
	}
	serve := func(c *fdbcluster.Cluster) (*instance, *s3.Client) {
		i := start(t, assemble, rootArgs(metadata(c), "--data="+filepath.Join(dir, "d"))...)
		return i, s3.New(s3.Options{
			Region: "us-east-1", BaseEndpoint: aws.String(i.endpoint), UsePathStyle: true, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("ROOTKEY", "root-secret", ""),
		})
	}
	bucket := aws.String("bucket")
	body := func(key string) []byte { // every other one is kept with the metadata
		return bytes.Repeat([]byte(key), 1+len(key)%2*10_000)
	}
	first := cluster()
	server, client := serve(first)
	put := func(key string) error {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(body(key))})
		return err
	}
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
	var before []string
	for i := range 20 {
		before = append(before, "before"+strings.Repeat("x", i))
		err = errors.Join(err, put(before[i]))
	}
	if err != nil {
		t.Fatal(err)
	}
	// Writes go on while the backup is made.
	enough, wrote := make(chan struct{}), make(chan error, 1)
	meanwhile := 0
	go func() {
		var err error
		for ; err == nil; meanwhile++ {
			select {
			case <-enough:
				wrote <- nil
				return
			default:
				err = put(fmt.Sprint("meanwhile", meanwhile))
			}
		}
		wrote <- err
	}()
	first.Run(t, tools.Backup, "start", "-C", first.ClusterFile(), "-t", "shop", "-d", "file://"+filepath.Join(dir, "backup"), "-w")
	close(enough)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	for _, key := range before[:10] {
		_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key})
		if err = errors.Join(err, put("after"+key)); err != nil {
			t.Fatal(err)
		}
	}
	if code := server.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, server.stderr)
	}
	first.Stop()

	made, err := filepath.Glob(filepath.Join(dir, "backup", "backup-*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("%q, %v", made, err)
	}
	second := cluster()
	second.Run(t, tools.Restore, "start", "--dest-cluster-file", second.ClusterFile(), "-r", "file://"+made[0], "-k", `shop\x00 shop\x01`, "-w")
	if code, stdout, stderr := runOnce(t, assemble, nil, "admin", "check", metadata(second)); code != exitOK || !strings.Contains(stdout, " 0 problems") {
		t.Errorf("check: %d %s %s", code, stdout, stderr)
	}
	server, client = serve(second)
	there := func(key string) bool {
		t.Helper()
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if response, ok := errors.AsType[*awshttp.ResponseError](err); ok && response.HTTPStatusCode() == http.StatusNotFound {
			return false
		}
		if err != nil {
			t.Errorf("%s: %v", key, err)
			return false
		}
		got, err := io.ReadAll(out.Body)
		if err := errors.Join(err, out.Body.Close()); err != nil || !bytes.Equal(got, body(key)) {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
		return true
	}
	for i, key := range before {
		if !there(key) || there("after"+key) {
			t.Errorf("object %d is not as it was at the backup", i)
		}
	}
	for i := range meanwhile { // or not; but nothing else
		there(fmt.Sprint("meanwhile", i))
	}
	if code := server.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, server.stderr)
	}
}
