//go:build compat

package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRclone(t *testing.T) {
	t.Parallel()
	rclone := tool(t, "rclone")
	s := startServer(t)
	config := filepath.Join(t.TempDir(), "rclone.conf")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(s.awsEnv(t),
		"RCLONE_CONFIG="+config, "RCLONE_CONFIG_UC_TYPE=s3", "RCLONE_CONFIG_UC_PROVIDER=Other",
		"RCLONE_CONFIG_UC_ENDPOINT="+s.endpoint, "RCLONE_CONFIG_UC_ACCESS_KEY_ID="+s.accessKey, "RCLONE_CONFIG_UC_SECRET_ACCESS_KEY="+s.secretKey,
		"RCLONE_CONFIG_UC_REGION="+region, "RCLONE_S3_UPLOAD_CUTOFF=6M", "RCLONE_S3_CHUNK_SIZE=5M", "RCLONE_S3_COPY_CUTOFF=6M", "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=1",
	)
	run := func(args ...string) string {
		t.Helper()
		return runTool(t, env, rclone, args...)
	}
	src := t.TempDir()
	tree := writeTree(t, src)
	run("mkdir", "uc:rclone-bucket")
	run("sync", src, "uc:rclone-bucket/tree")
	run("check", src, "uc:rclone-bucket/tree")
	run("check", "--download", src, "uc:rclone-bucket/tree")

	if err := os.Remove(filepath.Join(src, "dir-sibling")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "small.txt"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	delete(tree, "dir-sibling")
	tree["small.txt"] = []byte("changed")
	run("sync", src, "uc:rclone-bucket/tree")
	run("check", "--download", src, "uc:rclone-bucket/tree")

	run("sync", "uc:rclone-bucket/tree", "uc:rclone-bucket/copy") // server side, large files by part copies
	run("check", "uc:rclone-bucket/tree", "uc:rclone-bucket/copy")
	down := t.TempDir()
	run("sync", "uc:rclone-bucket/copy", down)
	wantTree(t, down, tree)
	run("moveto", "uc:rclone-bucket/copy/small.txt", "uc:rclone-bucket/copy/moved.txt")
	if got := run("cat", "--offset", "2", "--count", "3", "uc:rclone-bucket/copy/moved.txt"); got != "ang" {
		t.Errorf("cat of a range: %q", got)
	}
	if out := run("lsf", "--recursive", "--files-only", "uc:rclone-bucket/copy"); strings.Contains(out, "small.txt") || !strings.Contains(out, "中文/文件") {
		t.Errorf("lsf:\n%s", out)
	}
	wantContains(t, "size", run("size", "uc:rclone-bucket/tree"), "Total objects: 7")
	wantContains(t, "md5sum", run("md5sum", "uc:rclone-bucket/tree/small.txt"), md5Hex([]byte("changed")))
	run("touch", "uc:rclone-bucket/tree/small.txt") // a copy onto itself with new metadata
	run("cleanup", "uc:rclone-bucket")
	run("purge", "uc:rclone-bucket/copy")
	run("delete", "uc:rclone-bucket/tree")
	run("rmdir", "uc:rclone-bucket")
	if out := run("lsd", "uc:"); strings.Contains(out, "rclone-bucket") {
		t.Errorf("bucket left: %s", out)
	}
}
