package compat

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	region    = "us-east-1"
	diskCount = 6
	// patience is how long anything may take before it counts as stuck. No test
	// waits so long where all is well, however busy the machine.
	patience = 3 * time.Minute
)

// server is one running undercroft, or a peer that COMPAT_ENDPOINT names.
type server struct {
	endpoint  string // http://127.0.0.1:port
	admin     string // empty for a peer
	accessKey string
	secretKey string
	dirs      []string

	cmd    *exec.Cmd
	log    *tailBuffer
	exited chan struct{} // closed when the process is gone
	err    error         // of Wait; read after exited
}

// tailBuffer keeps the end of what is written to it, and the first errors.
type tailBuffer struct {
	mu     sync.Mutex
	data   []byte
	errors []byte
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	if bytes.Contains(p, []byte("level=ERROR")) && len(b.errors) < 4<<10 {
		b.errors = append(b.errors, p...)
	}
	if n := len(b.data) - 64<<10; n > 0 {
		b.data = append(b.data[:0], b.data[n:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.errors) + "…\n" + string(b.data[max(0, len(b.data)-8<<10):])
}

// common is what the tests of one run share: the binary, built once, and one
// server for the tests that only need a bucket of their own.
var common struct {
	buildOnce sync.Once
	binary    string
	buildErr  error

	serverOnce sync.Once
	server     *server
	serverErr  error

	dir string
}

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "compat-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	common.dir = dir
	code := m.Run()
	s := common.server
	if s == nil || s.cmd == nil {
		return code
	}
	if err := s.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "the shared server did not stop well: %v\n", err)
		code = max(code, 1)
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "end of the shared server's log:\n%s\n", s.log)
	}
	return code
}

// skip says on one line what is not tried, and why.
func skip(t *testing.T, why string) {
	t.Helper()
	t.Skipf("COMPAT SKIP %s: %s", t.Name(), why)
}

// notShort leaves a test of many seconds out of go test -short.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		skip(t, "takes many seconds")
	}
}

func isPeer() bool { return os.Getenv("COMPAT_ENDPOINT") != "" }

// builtBinary builds undercroft once, unless COMPAT_BINARY names one.
func builtBinary() (string, error) {
	common.buildOnce.Do(func() {
		if common.binary = os.Getenv("COMPAT_BINARY"); common.binary != "" {
			return
		}
		common.binary = filepath.Join(common.dir, "undercroft")
		cmd := exec.CommandContext(context.Background(), "go", "build", "-o", common.binary, "../cmd/undercroft")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			common.buildErr = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	return common.binary, common.buildErr
}

// shared returns the server that most tests use, each with its own bucket.
func shared(t *testing.T) *server {
	t.Helper()
	common.serverOnce.Do(func() {
		if endpoint := os.Getenv("COMPAT_ENDPOINT"); endpoint != "" {
			common.server = &server{
				endpoint: endpoint, accessKey: os.Getenv("COMPAT_ACCESS_KEY"), secretKey: os.Getenv("COMPAT_SECRET_KEY"),
			}
			return
		}
		common.server, common.serverErr = launch(makeDirs(common.dir))
	})
	if common.serverErr != nil {
		t.Fatalf("start the server: %v", common.serverErr)
	}
	return common.server
}

// startServer runs a server for this test alone, with further flags, and stops
// it at the end; that it then exits with 0 is part of the test.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	return startServerOn(t, makeDirs(t.TempDir()), flags...)
}

// startServerOn is startServer on given data directories.
func startServerOn(t *testing.T, dirs []string, flags ...string) *server {
	t.Helper()
	if isPeer() {
		skip(t, "needs a server of its own, and COMPAT_ENDPOINT names one that runs")
	}
	s, err := launch(dirs, flags...)
	if err != nil {
		t.Fatalf("start the server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the server did not stop well: %v", err)
		}
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", s.log)
		}
	})
	return s
}

func makeDirs(parent string) []string {
	dirs := make([]string, diskCount)
	for i := range dirs {
		dirs[i] = filepath.Join(parent, "d"+strconv.Itoa(i+1))
	}
	return dirs
}

func freePort() (int, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("unexpected address %v", l.Addr())
	}
	return addr.Port, nil
}

// launch starts the binary and waits until it is ready. A port may be taken
// between finding and using it, so it tries a few times.
func launch(dirs []string, flags ...string) (*server, error) {
	bin, err := builtBinary()
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for attempt := 0; ; attempt++ {
		s, err := launchOnce(bin, dirs, flags)
		if err == nil || attempt == 2 || !strings.Contains(err.Error(), "address already in use") {
			return s, err
		}
	}
}

func launchOnce(bin string, dirs, flags []string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	adminPort := port
	for adminPort == port { // a port that was given back may be given again
		if adminPort, err = freePort(); err != nil {
			return nil, err
		}
	}
	s := &server{
		endpoint:  "http://127.0.0.1:" + strconv.Itoa(port),
		admin:     "http://127.0.0.1:" + strconv.Itoa(adminPort),
		accessKey: "compat-access-key", secretKey: "compat-secret-key-0123456789abcdef",
		dirs: dirs, log: &tailBuffer{}, exited: make(chan struct{}),
	}
	args := []string{"server", "--listen", s.endpoint[7:], "--admin-listen", s.admin[7:], "--region", region}
	for _, d := range dirs {
		args = append(args, "--data", d)
	}
	s.cmd = exec.CommandContext(context.Background(), bin, append(args, flags...)...)
	s.cmd.Env = append(os.Environ(),
		"UNDERCROFT_ROOT_ACCESS_KEY="+s.accessKey, "UNDERCROFT_ROOT_SECRET_KEY="+s.secretKey)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.awaitReady(); err != nil {
		s.kill()
		return nil, fmt.Errorf("%w; its log:\n%s", err, s.log)
	}
	return s, nil
}

func (s *server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.poll(ctx, func() error {
		resp, err := try(ctx, s.admin+"/-/readyz")
		if err == nil && resp.Status != http.StatusOK {
			err = fmt.Errorf("status %d", resp.Status)
		}
		return err
	})
}

// try is a plain GET.
func try(ctx context.Context, target string) (*rawResponse, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	return exchange(plainHTTP, req)
}

// poll tries until ready returns nil, the context ends or the process is gone.
func (s *server) poll(ctx context.Context, ready func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("the server exited: %w (%w)", cmp.Or(s.err, errors.New("status 0")), err)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// stop sends SIGTERM and wants exit status 0.
func (s *server) stop() error {
	select {
	case <-s.exited: // the test stopped or killed it
		if _, ok := errors.AsType[*exec.ExitError](s.err); ok && s.cmd.ProcessState.Sys() != nil {
			if ws, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signal() == syscall.SIGKILL {
				return nil
			}
		}
		return s.err
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.exited:
		return s.err
	case <-timer.C:
		s.kill()
		return errors.New("still running after SIGTERM")
	}
}

// kill ends the process the hard way and waits for it.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// metric reads one unlabelled value of the admin listener's metrics.
func (s *server) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp := s.adminGet(t, "/-/metrics")
	for line := range bytes.Lines(resp) {
		if value, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(name+" ")); ok {
			v, err := strconv.ParseFloat(string(value), 64)
			if err != nil {
				t.Fatalf("metric %s: %v", name, err)
			}
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
