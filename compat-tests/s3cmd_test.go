//go:build compat

package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestS3cmd(t *testing.T) {
	t.Parallel()
	s3cmd := tool(t, "s3cmd")
	s := startServer(t)
	config := filepath.Join(t.TempDir(), "s3cfg")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(s.endpoint, "http://")
	run := func(args ...string) string {
		t.Helper()
		return runTool(t, s.awsEnv(t), s3cmd, append([]string{
			"--config", config, "--access_key", s.accessKey, "--secret_key", s.secretKey, "--host", host, "--host-bucket", host,
			"--no-ssl", "--region", region, "--no-progress", "--multipart-chunk-size-mb", "5",
		}, args...)...)
	}
	src := t.TempDir()
	tree := writeTree(t, src)
	run("mb", "s3://cmd-bucket")
	wantContains(t, "ls", run("ls"), "s3://cmd-bucket")
	run("put", filepath.Join(src, "small.txt"), "s3://cmd-bucket/one")
	run("put", filepath.Join(src, "big.bin"), "s3://cmd-bucket/multi") // five parts
	wantContains(t, "ls of the bucket", run("ls", "s3://cmd-bucket"), "s3://cmd-bucket/one", "s3://cmd-bucket/multi")
	back := t.TempDir()
	run("get", "s3://cmd-bucket/one", filepath.Join(back, "small.txt"))
	run("get", "s3://cmd-bucket/multi", filepath.Join(back, "big.bin"))
	wantTree(t, back, map[string][]byte{"small.txt": tree["small.txt"], "big.bin": tree["big.bin"]})
	run("cp", "s3://cmd-bucket/one", "s3://cmd-bucket/two")
	run("mv", "s3://cmd-bucket/two", "s3://cmd-bucket/three")
	run("del", "s3://cmd-bucket/one")
	if out := run("ls", "s3://cmd-bucket"); strings.Contains(out, "bucket/one") || strings.Contains(out, "bucket/two") || !strings.Contains(out, "bucket/three") {
		t.Errorf("after cp, mv and del:\n%s", out)
	}
	run("sync", src+"/", "s3://cmd-bucket/tree/")
	if out := run("sync", src+"/", "s3://cmd-bucket/tree/"); strings.Contains(out, "upload:") {
		t.Errorf("a second sync uploads again:\n%s", out)
	}
	down := t.TempDir()
	run("sync", "s3://cmd-bucket/tree/", down+"/")
	wantTree(t, down, tree)
	wantContains(t, "du", run("du", "s3://cmd-bucket"), "10 objects")
	wantContains(t, "multipart", run("multipart", "s3://cmd-bucket"), "Initiated")
	run("del", "--recursive", "--force", "s3://cmd-bucket")
	run("rb", "s3://cmd-bucket")
}
