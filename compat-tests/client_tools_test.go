//go:build compat

package compat

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tool finds a client that run.sh installed, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("COMPAT_TOOLS")
	if dir == "" {
		skip(t, name+" is installed by compat-tests/run.sh, which did not start this")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		skip(t, name+" could not be installed on this machine")
	}
	return path
}

// writeTree makes files of many sizes and odd names and returns their contents.
func writeTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	tree := map[string][]byte{
		"empty": {}, "small.txt": []byte("small"), "dir/nested/deep/file": pattern(9000, 1), "dir/with space & ünïcödé.bin": pattern(100000, 2),
		"dir/plus+percent%41.txt": pattern(10, 3), "big.bin": pattern(23*mib+17, 4), "dir-sibling": pattern(70000, 5), "中文/文件": pattern(12, 6),
	}
	for name, data := range tree {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// wantTree compares a directory with contents, both ways.
func wantTree(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content, ok := want[name]
		if !ok {
			t.Errorf("unexpected file %q", name)
			return nil
		}
		seen++
		if !bytes.Equal(data, content) {
			t.Errorf("%q: %d bytes, want %d, or they differ", name, len(data), len(content))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(want) {
		t.Errorf("%d of %d files are there", seen, len(want))
	}
}

// awsEnv is the environment that AWS's own clients read.
func (s *server) awsEnv(t *testing.T) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "aws-config")
	// Without this some of them presign with version 2 of the signature.
	if err := os.WriteFile(config, []byte("[default]\ns3 =\n    signature_version = s3v4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.accessKey, "AWS_SECRET_ACCESS_KEY=" + s.secretKey, "AWS_DEFAULT_REGION=" + region,
		"AWS_CONFIG_FILE=" + config, "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(t.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "HOME=" + t.TempDir(),
		"COMPAT_SERVER=" + s.endpoint,
	}
}

func wantContains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s does not contain %q:\n%.1500s", what, p, text)
		}
	}
}
