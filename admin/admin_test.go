package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// checkFunc is a Checker made of a function.
type checkFunc func(ctx context.Context, w io.Writer) error

func (f checkFunc) Check(ctx context.Context, w io.Writer) error { return f(ctx, w) }

func serve(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(NewHandler(o))
	t.Cleanup(server.Close)
	return server
}

// do sends a request and returns status, body and header.
func do(t *testing.T, request *http.Request) (int, string, http.Header) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	code, body, _ := do(t, request)
	return code, body
}

func TestHealthAnswersWithNothingBehindIt(t *testing.T) {
	server := serve(t, Options{})
	if code, body := get(t, server.URL+"/-/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	for _, path := range []string{"/-/metrics", "/-/status", "/", "/bucket/key"} {
		if code, _ := get(t, server.URL+path); code != http.StatusNotFound {
			t.Errorf("%s without anything to show: %d, want 404", path, code)
		}
	}
}

func TestReadyNamesEachCondition(t *testing.T) {
	serving := ErrNotReady
	server := serve(t, Options{Conditions: []Condition{
		{Name: "metadata", Check: func(context.Context) error { return nil }},
		{Name: "serving", Check: func(context.Context) error { return serving }},
		{Name: "disks", Check: func(context.Context) error { panic("nil map") }},
	}})
	code, body := get(t, server.URL+"/-/readyz")
	var got Readiness
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := Readiness{Conditions: []ConditionStatus{
		{Name: "metadata", OK: true},
		{Name: "serving", Reason: "not ready"},
		{Name: "disks", Reason: "the check panicked: nil map"},
	}}
	if diff := cmp.Diff(want, got); diff != "" || code != http.StatusServiceUnavailable {
		t.Errorf("%d (-want +got):\n%s", code, diff)
	}
}

func TestReadyWhenAllConditionsHold(t *testing.T) {
	server := serve(t, Options{Conditions: []Condition{{Name: "metadata", Check: func(context.Context) error { return nil }}}})
	code, body := get(t, server.URL+"/-/readyz")
	if code != http.StatusOK || !strings.Contains(body, `"ready": true`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestAdvisoryConditionsAreShownOnly(t *testing.T) {
	server := serve(t, Options{Conditions: []Condition{
		{Name: "metadata", Check: func(context.Context) error { return nil }},
		{Name: "kms", Check: func(context.Context) error { return ErrNotReady }, Advisory: true},
	}})
	code, body := get(t, server.URL+"/-/readyz")
	if code != http.StatusOK || !strings.Contains(body, `"ready": true`) || !strings.Contains(body, `"reason": "not ready"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestConditionThatHangsIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		got := look(t.Context(), []Condition{{Name: "stuck", Check: func(context.Context) error { <-release; return nil }}})
		want := Readiness{Conditions: []ConditionStatus{{Name: "stuck", Reason: "no answer in time"}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		close(release)
	})
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "undercroft_things_total", Help: "Things."})
	registry.MustRegister(counter)
	counter.Add(3)
	server := serve(t, Options{Metrics: registry})
	if code, body := get(t, server.URL+"/-/metrics"); code != http.StatusOK || !strings.Contains(body, "undercroft_things_total 3") {
		t.Errorf("%d %s", code, body)
	}
}

func TestProfiles(t *testing.T) {
	server := serve(t, Options{})
	for path, want := range map[string]string{
		"/-/debug/pprof/":                  "Types of profiles available",
		"/-/debug/pprof/goroutine?debug=1": "goroutine profile:",
	} {
		if code, body := get(t, server.URL+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q", path, code, want)
		}
	}
}

func TestOtherOriginsAreRefused(t *testing.T) {
	ran := false
	server := serve(t, Options{Checker: checkFunc(func(context.Context, io.Writer) error { ran = true; return nil })})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/-/check", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "https://elsewhere.test")
	if code, _, _ := do(t, request); code != http.StatusForbidden || ran {
		t.Errorf("a web page elsewhere started a check: %d, ran %v", code, ran)
	}
	if code, _ := get(t, server.URL+"/-/check"); code != http.StatusMethodNotAllowed || ran {
		t.Errorf("GET /-/check: %d, ran %v; want 405", code, ran)
	}
}

func client(t *testing.T, server *httptest.Server) *Client {
	t.Helper()
	c, err := NewClient(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStatusThroughClient(t *testing.T) {
	var failure error
	server := serve(t, Options{Status: func(context.Context) (any, error) { return map[string]int{"disks": 4}, failure }})
	var out strings.Builder
	if err := client(t, server).Status(t.Context(), &out); err != nil || out.String() != "{\n  \"disks\": 4\n}\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	failure = errors.New("metadata is away")
	out.Reset()
	err := client(t, server).Status(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: metadata is away") || out.Len() != 0 {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestCheckThroughClient(t *testing.T) {
	tests := []struct {
		name    string
		check   checkFunc
		want    string
		wantErr string
	}{
		{"clean", func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "12 objects\n")
			return err
		}, "12 objects\n", ""},
		{"findings", func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "orphan: x\n")
			return errors.Join(err, errors.New("1 finding,\nsee above"))
		}, "orphan: x\n1 finding, see above\n", "check failed: 1 finding, see above"},
		{"cut off", func(context.Context, io.Writer) error { panic(http.ErrAbortHandler) }, "", "check failed: reading the answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := client(t, serve(t, Options{Checker: tt.check})).Check(t.Context(), &out)
			if out.String() != tt.want {
				t.Errorf("output %q, want %q", out.String(), tt.want)
			}
			switch {
			case tt.wantErr == "" && err != nil:
				t.Error(err)
			case tt.wantErr != "" && (!errors.Is(err, ErrCheckFailed) || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
		})
	}
}

func TestCheckStreamsAndRunsOnce(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, Options{Checker: checkFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "begun\n")
		<-release
		return err
	})})
	reader, writer := io.Pipe()
	first := make(chan error, 1)
	go func() { first <- client(t, server).Check(t.Context(), writer) }()
	line := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(reader, line); err != nil || string(line) != "begun\n" {
		t.Fatalf("%q, %v", line, err)
	}
	// The first check has written and waits: a second one is refused.
	err := client(t, server).Check(t.Context(), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "409 Conflict: a check is running already") {
		t.Errorf("second check: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := client(t, server).Check(t.Context(), io.Discard); err != nil {
		t.Errorf("a check after the first: %v", err)
	}
}

func TestClientRefusesWhatIsNoURL(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:9001", "ftp://h", "http://", "://"} {
		if _, err := NewClient(base); err == nil {
			t.Errorf("%q accepted", base)
		}
	}
}
