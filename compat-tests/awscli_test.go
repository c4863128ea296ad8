//go:build compat

package compat

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAWSCLI drives Debian's AWS CLI, and the newest one of PyPI, whose defaults
// for checksums differ.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"aws", "aws-pypi"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aws := tool(t, name)
			s := startServer(t)
			env := s.awsEnv(t)
			awsHighLevel(t, s, env, aws)
			awsLowLevel(t, s, env, aws)
		})
	}
}

func awsHighLevel(t *testing.T, s *server, env []string, aws string) {
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		return runTool(t, env, aws, append([]string{"--endpoint-url", s.endpoint}, args...)...)
	}
	version := runTool(t, env, aws, "--version")
	src, back := t.TempDir(), t.TempDir()
	tree := writeTree(t, src)
	run("s3", "mb", "s3://cli-a")
	run("s3", "mb", "s3://cli-b")
	wantContains(t, "s3 ls", run("s3", "ls"), "cli-a", "cli-b")

	run("s3", "cp", "--no-progress", filepath.Join(src, "big.bin"), "s3://cli-a/one/big.bin") // by parts
	run("s3", "cp", "--no-progress", "s3://cli-a/one/big.bin", filepath.Join(back, "big.bin"))
	wantTree(t, back, map[string][]byte{"big.bin": tree["big.bin"]})
	cmd := exec.CommandContext(t.Context(), aws, "--endpoint-url", s.endpoint, "s3", "cp", "-", "s3://cli-a/stream")
	cmd.Env, cmd.Stdin = append(toolEnviron(), env...), bytes.NewReader(tree["big.bin"])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("stream upload: %v\n%s", err, out)
	}
	tags := func(op, bucket, key string, args ...string) string {
		t.Helper()
		return run(append([]string{"s3api", op, "--bucket", bucket, "--key", key}, args...)...)
	}
	tags("put-object-tagging", "cli-a", "stream", "--tagging", "TagSet=[{Key=team,Value=store room}]")
	run("s3", "cp", "s3://cli-a/stream", "s3://cli-b/copied") // by part copies
	run("s3", "mv", "s3://cli-b/copied", "s3://cli-b/moved")
	if strings.HasPrefix(version, "aws-cli/2") { // which copies the tags of what it copies by parts
		wantContains(t, "tags of a copy", tags("get-object-tagging", "cli-b", "moved"), `"team"`, `"store room"`)
	}
	run("s3", "cp", "--no-progress", "s3://cli-b/moved", filepath.Join(back, "big.bin"))
	wantTree(t, back, map[string][]byte{"big.bin": tree["big.bin"]})

	run("s3", "sync", "--no-progress", src, "s3://cli-a/tree")
	if out := run("s3", "sync", "--no-progress", src, "s3://cli-a/tree"); strings.Contains(out, "upload:") {
		t.Errorf("a second sync uploads again:\n%s", out)
	}
	down := t.TempDir()
	run("s3", "sync", "--no-progress", "s3://cli-a/tree", down)
	wantTree(t, down, tree)
	if err := os.Remove(filepath.Join(src, "small.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "new"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	delete(tree, "small.txt")
	tree["new"] = []byte("new")
	run("s3", "sync", "--no-progress", "--delete", src, "s3://cli-a/tree")
	run("s3", "sync", "--no-progress", "--delete", "s3://cli-a/tree", down)
	wantTree(t, down, tree)
	wantContains(t, "s3 ls --recursive", run("s3", "ls", "--recursive", "--summarize", "s3://cli-a/tree"), "Total Objects: 8", "tree/dir/plus+percent%41.txt")
	wantContains(t, "s3 ls of a directory", run("s3", "ls", "s3://cli-a/tree/"), "PRE dir/", "big.bin")

	url := strings.TrimSpace(run("s3", "presign", "s3://cli-a/tree/new", "--expires-in", "60"))
	fetch(t, "GET", url, nil, nil).want(t, "presigned", 200)
	run("s3", "mv", "s3://cli-a/tree", "s3://cli-b/elsewhere", "--recursive")
	run("s3", "rm", "s3://cli-a/stream")
	run("s3", "rm", "--recursive", "s3://cli-a")
	run("s3", "rb", "s3://cli-a")
	run("s3", "rb", "--force", "s3://cli-b")
	if out := run("s3", "ls"); strings.Contains(out, "cli-") {
		t.Errorf("buckets left: %s", out)
	}
}

func awsLowLevel(t *testing.T, s *server, env []string, aws string) {
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		return runTool(t, env, aws, append([]string{"--endpoint-url", s.endpoint}, args...)...)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, pattern(5*mib, 1), 0o644); err != nil {
		t.Fatal(err)
	}
	b := []string{"--bucket", "cli-api"}
	api := func(op string, args ...string) string {
		t.Helper()
		return run(append(append([]string{"s3api", op}, b...), args...)...)
	}
	api("create-bucket")
	api("head-bucket")
	wantContains(t, "location", api("get-bucket-location"), `"LocationConstraint": null`)
	api("put-object", "--key", "k", "--body", file, "--metadata", "a=b", "--content-type", "text/x-y", "--checksum-algorithm", "SHA256")
	wantContains(t, "head", api("head-object", "--key", "k", "--checksum-mode", "ENABLED"), `"a": "b"`, "text/x-y", "ChecksumSHA256")
	api("get-object", "--key", "k", "--range", "bytes=0-99", filepath.Join(dir, "part"))
	if part, err := os.ReadFile(filepath.Join(dir, "part")); err != nil || !bytes.Equal(part, pattern(5*mib, 1)[:100]) {
		t.Errorf("range: %d bytes, %v", len(part), err)
	}
	api("copy-object", "--key", "copy", "--copy-source", "cli-api/k", "--metadata-directive", "REPLACE", "--metadata", "c=d")
	wantContains(t, "copy", api("head-object", "--key", "copy"), `"c": "d"`)
	wantContains(t, "attributes", api("get-object-attributes", "--key", "k", "--object-attributes", "ETag", "ObjectSize", "Checksum"), `"ObjectSize": 5242880`)

	id := strings.TrimSpace(api("create-multipart-upload", "--key", "multi", "--query", "UploadId", "--output", "text"))
	etag := strings.TrimSpace(api("upload-part", "--key", "multi", "--upload-id", id, "--part-number", "1", "--body", file, "--query", "ETag", "--output", "text"))
	etag2 := strings.TrimSpace(api("upload-part-copy", "--key", "multi", "--upload-id", id, "--part-number", "2", "--copy-source", "cli-api/k",
		"--copy-source-range", "bytes=0-9", "--query", "CopyPartResult.ETag", "--output", "text"))
	wantContains(t, "uploads", api("list-multipart-uploads"), id)
	wantContains(t, "parts", api("list-parts", "--key", "multi", "--upload-id", id), `"PartNumber": 2`)
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
	api("complete-multipart-upload", "--key", "multi", "--upload-id", id, "--multipart-upload",
		`{"Parts":[{"PartNumber":1,"ETag":`+quote(etag)+`},{"PartNumber":2,"ETag":`+quote(etag2)+`}]}`)
	wantContains(t, "multipart object", api("head-object", "--key", "multi"), `"ContentLength": 5242890`)
	wantContains(t, "list", api("list-objects-v2", "--page-size", "1"), `"Key": "copy"`, `"Key": "multi"`)
	wantContains(t, "list v1", api("list-objects", "--page-size", "1"), `"Key": "k"`)
	awsConfigurations(t, api)
	api("delete-objects", "--delete", `{"Objects":[{"Key":"k"},{"Key":"copy"}]}`)
	api("delete-object", "--key", "multi")
	api("delete-bucket")
}

// awsConfigurations sets, reads and removes what can be set of a bucket.
func awsConfigurations(t *testing.T, api func(op string, args ...string) string) {
	t.Helper()
	api("put-bucket-tagging", "--tagging", "TagSet=[{Key=a,Value=b}]")
	wantContains(t, "bucket tags", api("get-bucket-tagging"), `"a"`, `"b"`)
	api("delete-bucket-tagging")
	api("put-bucket-cors", "--cors-configuration", `{"CORSRules":[{"AllowedOrigins":["https://*.test"],"AllowedMethods":["GET"],"MaxAgeSeconds":9}]}`)
	wantContains(t, "CORS", api("get-bucket-cors"), "https://*.test", `"MaxAgeSeconds": 9`)
	api("delete-bucket-cors")
	api("put-bucket-request-payment", "--request-payment-configuration", "Payer=Requester")
	wantContains(t, "request payment", api("get-bucket-request-payment"), "Requester")
	api("put-object-tagging", "--key", "k", "--tagging", "TagSet=[{Key=c,Value=d}]")
	wantContains(t, "object tags", api("get-object-tagging", "--key", "k"), `"c"`, `"d"`)
	api("delete-object-tagging", "--key", "k")
}
