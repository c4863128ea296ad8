package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/config"
)

// childVariable makes the test binary behave as undercroft with a small system
// in place of the storage, so that signals can be sent to a real process.
const childVariable = "TEST_UNDERCROFT_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		serveProcess(echoAssembler)
		return
	}
	os.Exit(m.Run())
}

// echoAssembler assembles a system that answers with the body it was sent.
func echoAssembler(_ context.Context, cfg config.Config, _ parts) (*system, error) {
	for _, dir := range cfg.Data {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return &system{
		S3: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			} else if _, err := w.Write(body); err != nil {
				panic(http.ErrAbortHandler)
			}
		}),
		Directories: cfg.Data,
		Status:      func(context.Context) (any, error) { return map[string]string{"system": "echo"}, nil },
		Checker: checkerFunc(func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "nothing stored\n")
			return err
		}),
		Close: func(context.Context) error {
			return os.WriteFile(filepath.Join(cfg.Data[0], "closed"), []byte("yes"), 0o600)
		},
	}, nil
}

type checkerFunc func(ctx context.Context, w io.Writer) error

func (f checkerFunc) Check(ctx context.Context, w io.Writer) error { return f(ctx, w) }

// lines collects what is written and can be read at the same time.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// runOnce runs one command to its end.
func runOnce(t *testing.T, assemble assembler, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems lines
	code = run(t.Context(), process{args: args, environ: environ, stdout: &out, stderr: &problems, now: time.Now, restoreSignals: func() {}, assemble: assemble})
	return code, out.String(), problems.String()
}

// instance is a server that runs in this process.
type instance struct {
	endpoint, admin string
	banner          string
	stderr          *lines
	cancel          context.CancelFunc
	exited          chan int
}

// start runs `undercroft server` on free ports until stop, or the test's end.
func start(t *testing.T, assemble assembler, args ...string) *instance {
	t.Helper()
	return startCommand(t, assemble, "server", args...)
}

// startCommand is start for `undercroft gateway` too.
func startCommand(t *testing.T, assemble assembler, command string, args ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	i := &instance{stderr: new(lines), cancel: cancel, exited: make(chan int, 1)}
	args = append([]string{command, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"}, args...)
	go func() {
		i.exited <- run(ctx, process{args: args, stdout: writer, stderr: i.stderr, now: time.Now, restoreSignals: cancel, assemble: assemble})
		if err := writer.Close(); err != nil {
			t.Error(err)
		}
	}()
	i.readBanner(t, reader)
	t.Cleanup(func() { cancel() })
	return i
}

// readBanner reads the addresses from what the server prints.
func (i *instance) readBanner(t *testing.T, stdout io.Reader) {
	t.Helper()
	scanner := bufio.NewScanner(stdout)
	var banner strings.Builder
	for scanner.Scan() {
		banner.WriteString(scanner.Text() + "\n")
		if strings.Contains(scanner.Text(), "--user") {
			break
		}
	}
	i.banner = banner.String()
	urls := regexp.MustCompile(`https?://127\.0\.0\.1:\d+`).FindAllString(i.banner, 2)
	if len(urls) < 2 {
		t.Fatalf("no addresses in the banner:\n%s\nlog:\n%s", i.banner, i.stderr)
	}
	i.endpoint, i.admin = urls[0], urls[1]
}

// stop ends the server as a signal does and returns its exit code.
func (i *instance) stop() int {
	i.cancel()
	return <-i.exited
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
