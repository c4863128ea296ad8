package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/vfs"
)

func TestFirstStartMakesCredentialsAndKeepsThem(t *testing.T) {
	root := t.TempDir()
	data := "--data=" + root + "/d{1...2}"
	first := start(t, echoAssembler, data)
	keys := regexp.MustCompile(`AWS_ACCESS_KEY_ID=(AKIA[A-Z2-7]{16}) AWS_SECRET_ACCESS_KEY='([A-Za-z0-9+/]{40})'`).FindStringSubmatch(first.banner)
	if keys == nil {
		t.Fatalf("no generated keys in the banner:\n%s", first.banner)
	}
	for _, want := range []string{"aws --endpoint-url " + first.endpoint + " s3 mb s3://", "curl --aws-sigv4 aws:amz:us-east-1:s3"} {
		if !strings.Contains(first.banner, want) {
			t.Errorf("the banner lacks %q:\n%s", want, first.banner)
		}
	}
	if code := first.stop(); code != exitOK {
		t.Fatalf("exit code %d; log:\n%s", code, first.stderr)
	}
	if strings.Contains(first.stderr.String(), keys[2]) {
		t.Error("the secret is in the log")
	}
	for _, dir := range []string{"d1", "d2"} {
		info, err := os.Stat(filepath.Join(root, dir, ".undercroft", "credentials"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", dir, info, err)
		}
	}
	// A third directory joins; the first is emptied of its copy.
	if err := os.Remove(filepath.Join(root, "d1", ".undercroft", "credentials")); err != nil {
		t.Fatal(err)
	}
	second := start(t, echoAssembler, "--data="+root+"/d{1...3}")
	if !strings.Contains(second.banner, keys[1]) || strings.Contains(second.banner, keys[2]) {
		t.Errorf("the second start shows another key, or the secret:\n%s", second.banner)
	}
	if code := second.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	for _, dir := range []string{"d1", "d2", "d3"} {
		kept, err := credentialsFile().read(vfs.Default(), credentialsFile().path(filepath.Join(root, dir)))
		if err != nil || kept.AccessKey != keys[1] || kept.SecretKey != keys[2] {
			t.Errorf("%s keeps %q, %v", dir, kept.AccessKey, err)
		}
	}
}

func TestConfiguredCredentialsAreUsedAndNotWritten(t *testing.T) {
	dir := t.TempDir()
	var root rootCredentials
	i := start(t, func(ctx context.Context, cfg config.Config, p parts) (*system, error) {
		root = p.root
		return echoAssembler(ctx, cfg, p)
	}, "--data="+dir, "--root-access-key=operator", "--root-secret-key=open sesame")
	if root.AccessKey != "operator" || root.SecretKey != "open sesame" || root.origin != originConfigured {
		t.Errorf("the root is %v of origin %v", root.AccessKey, root.origin)
	}
	if strings.Contains(i.banner, "open sesame") || strings.Contains(i.stderr.String(), "open sesame") {
		t.Error("the configured secret is shown")
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(credentialsFile().path(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

func TestCredentialsThatStopTheStart(t *testing.T) {
	good := `{"format":1,"accessKey":"AKIA1","secretKey":"hush-hush"}`
	for name, tt := range map[string]struct{ first, second, want string }{
		"different":      {good, `{"format":1,"accessKey":"AKIA1","secretKey":"hush-hush2"}`, "hold different root credentials"},
		"torn":           {`{"format":1,"acc`, `{"format":1,"acc`, "does not hold root credentials"},
		"empty":          {``, "", "does not hold root credentials"},
		"unknown field":  {`{"format":1,"accessKey":"a","secretKey":"b","x":1}`, "", "does not hold root credentials"},
		"wrong checksum": {"{\n  \"format\": 1,\n  \"crc32c\": \"00000000\"\n}\n", "", "does not hold root credentials"},
		"one is torn":    {good, `{"format":1,"acc`, ""},
		"newer format":   {`{"format":2}`, good, "has format 2; this binary knows format 1"},
		"without a key":  {`{"format":1,"accessKey":"a"}`, good, "lacks a key"},
		"a directory":    {"DIR", good, "reading root credentials"},
		"second missing": {good, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Config{Data: []string{t.TempDir(), t.TempDir()}}
			for i, content := range []string{tt.first, tt.second} {
				if i == 1 && content == "" {
					continue
				}
				place(t, credentialsFile().path(cfg.Data[i]), content)
			}
			got, err := findRoot(vfs.Default(), cfg, strings.NewReader(""))
			if tt.want == "" {
				if err != nil || got.AccessKey != "AKIA1" || got.origin != originKept {
					t.Errorf("%q, %v", got.AccessKey, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%v, want %q and no secret", err, tt.want)
			}
		})
	}
}

// place writes a file and its directory, or a directory for the content "DIR".
func place(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if content == "DIR" {
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeptCredentialsSurviveACrash(t *testing.T) {
	files := vfs.NewCrashableMem()
	root := rootCredentials{AccessKey: "AKIA1", SecretKey: "hush-hush", origin: originGenerated}
	directories := []string{"/a", "/b"}
	for _, directory := range directories {
		if err := vfs.MkdirAll(files, directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := keepRoot(files, directories, root)
	if err != nil || kept.file != "/a/.undercroft/credentials" {
		t.Fatalf("%q, %v", kept.file, err)
	}
	// Everything that was not synced is lost.
	after := files.CrashClone(pebblevfs.CrashCloneCfg{})
	for _, directory := range directories {
		got, err := credentialsFile().read(after, credentialsFile().path(directory))
		if err != nil || got.AccessKey != root.AccessKey || got.SecretKey != string(root.SecretKey) {
			t.Errorf("%s after a crash: %q, %v", directory, got.AccessKey, err)
		}
	}
}

func TestNewCredentialsNeedAPlace(t *testing.T) {
	closed := false
	code, _, stderr := runOnce(t, func(context.Context, config.Config, parts) (*system, error) {
		return &system{Close: func(context.Context) error { closed = true; return nil }}, nil
	}, nil, "server", "--data="+t.TempDir(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	if code != exitFailure || !strings.Contains(stderr, "undercroft: keeping root credentials: no data directory is open\n") || !closed {
		t.Errorf("code %d, closed %v, stderr %q", code, closed, stderr)
	}
}

// freeAddress returns an address that was free a moment ago.
func freeAddress(ctx context.Context, t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func TestAdminAnswersWhileTheStoreOpens(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan struct{})
	opening := func(ctx context.Context, _ config.Config, _ parts) (*system, error) {
		close(opened)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var url string
	var stderr *lines
	var exited chan int
	for serving := false; !serving; {
		address := freeAddress(ctx, t)
		url, stderr, exited = "http://"+address, new(lines), make(chan int, 1)
		go func() {
			exited <- run(ctx, process{
				args:   []string{"server", "--data=" + t.TempDir(), "--listen=127.0.0.1:0", "--admin-listen=" + address},
				stdout: io.Discard, stderr: stderr, now: time.Now, restoreSignals: cancel, assemble: opening,
			})
		}()
		select {
		case <-opened:
			serving = true
		case code := <-exited: // somebody else has taken the address
			if !strings.Contains(stderr.String(), "cannot listen on admin-listen") {
				t.Fatalf("exit code %d, log:\n%s", code, stderr)
			}
		}
	}
	if code, _ := get(t, url+"/-/healthz"); code != http.StatusOK {
		t.Errorf("healthz while opening: %d", code)
	}
	if code, body := get(t, url+"/-/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "not ready: starting") {
		t.Errorf("readyz while opening: %d %s", code, body)
	}
	cancel()
	if code := <-exited; code != exitOK {
		t.Errorf("a signal while opening: exit code %d, log:\n%s", code, stderr.String())
	}
}

func TestStoreThatDoesNotOpen(t *testing.T) {
	code, stdout, stderr := runOnce(t, func(context.Context, config.Config, parts) (*system, error) {
		return nil, errors.New("disk 2 is on fire")
	}, nil, "server", "--data="+t.TempDir(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	if code != exitFailure || !strings.HasSuffix(stderr, "undercroft: opening the store: disk 2 is on fire\n") || stdout != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestServingThroughBothListeners(t *testing.T) {
	i := start(t, echoAssembler, "--data="+t.TempDir())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, i.endpoint+"/b/k", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil || string(body) != "hello" || response.ProtoMajor != 1 {
		t.Errorf("%q over %s, %v", body, response.Proto, err)
	}
	for path, want := range map[string]string{
		"/-/readyz":  `"ready": true`,
		"/-/status":  `"system": "echo"`,
		"/-/metrics": "undercroft_connections_open 1",
	} {
		if code, body := get(t, i.admin+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in\n%s", path, code, want, body)
		}
	}
	code, stdout, stderr := runOnce(t, nil, nil, "admin", "check", "--admin", i.admin)
	if code != exitOK || stdout != "nothing stored\n" || stderr != "" {
		t.Errorf("admin check: %d %q %q", code, stdout, stderr)
	}
	code, stdout, _ = runOnce(t, nil, nil, "admin", "status", "--json", "--admin="+i.admin)
	if code != exitOK || !strings.Contains(stdout, `"system": "echo"`) {
		t.Errorf("admin status: %d %q", code, stdout)
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d, log:\n%s", code, i.stderr)
	}
}

func TestFailureToCloseTheStoreIsAFailure(t *testing.T) {
	i := start(t, func(ctx context.Context, cfg config.Config, p parts) (*system, error) {
		sys, err := echoAssembler(ctx, cfg, p)
		if err == nil {
			sys.Close = func(ctx context.Context) error { return errors.Join(ctx.Err(), errors.New("WAL not synced")) }
		}
		return sys, err
	}, "--data="+t.TempDir())
	if code := i.stop(); code != exitFailure || !strings.Contains(i.stderr.String(), "undercroft: closing the store: WAL not synced\n") {
		t.Errorf("exit code %d, log:\n%s", code, i.stderr)
	}
}

func TestStoreThatFailsWhileServingStopsTheServer(t *testing.T) {
	failed := make(chan struct{})
	i := start(t, func(ctx context.Context, cfg config.Config, p parts) (*system, error) {
		sys, err := echoAssembler(ctx, cfg, p)
		if err == nil {
			sys.Failed, sys.Err = failed, func() error { return errors.New("no space for the log") }
		}
		return sys, err
	}, "--data="+t.TempDir())
	close(failed)
	if code := <-i.exited; code != exitFailure || !strings.Contains(i.stderr.String(), "undercroft: the store failed: no space for the log\n") {
		t.Errorf("exit code %d, log:\n%s", code, i.stderr)
	}
}

func TestDrainThatTakesTooLongIsCut(t *testing.T) {
	entered := make(chan struct{})
	ended := make(chan error, 1)
	i := start(t, func(ctx context.Context, cfg config.Config, p parts) (*system, error) {
		sys, err := echoAssembler(ctx, cfg, p)
		if err == nil {
			sys.S3 = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(entered)
				<-r.Context().Done()
				ended <- r.Context().Err()
			})
		}
		return sys, err
	}, "--data="+t.TempDir(), "--shutdown-timeout=10ms")
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.endpoint, http.NoBody)
		if err != nil {
			return
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			t.Errorf("a request that was cut got %s", response.Status)
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	<-entered
	if code := i.stop(); code != exitFailure || !strings.Contains(i.stderr.String(), "requests in flight were cut after 10ms") {
		t.Errorf("exit code %d, log:\n%s", code, i.stderr)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the request's context: %v", err)
	}
}
