package transit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keystest"
	"github.com/undercroft/undercroft/keys/transit/transittest"
)

func newServer(tb testing.TB) *transittest.Server {
	tb.Helper()
	s := transittest.New()
	tb.Cleanup(s.Close)
	return s
}

func newProvider(tb testing.TB, o Options) *Provider {
	tb.Helper()
	if o.Token == nil {
		o.Token = StaticToken(transittest.Token)
	}
	p, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

// operator administers the keys of a transit engine, ours or a real one.
type operator struct {
	address, token string
	derived        bool
}

func (o operator) do(t *testing.T, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, o.address+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", o.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s %s: status %d, %s, %v", method, path, response.StatusCode, answer, err)
	}
}

func (o operator) create(t *testing.T, name string) {
	t.Helper()
	o.do(t, http.MethodPost, "transit/keys/"+name, map[string]any{"derived": o.derived})
}

func (o operator) rotate(t *testing.T, name string) {
	t.Helper()
	o.do(t, http.MethodPost, "transit/keys/"+name+"/rotate", map[string]any{})
}

func (o operator) delete(t *testing.T, name string) {
	t.Helper()
	o.do(t, http.MethodPost, "transit/keys/"+name+"/config", map[string]any{"deletion_allowed": true})
	o.do(t, http.MethodDelete, "transit/keys/"+name, map[string]any{})
}

func (o operator) drop(t *testing.T, name string) {
	t.Helper()
	o.do(t, http.MethodPost, "transit/keys/"+name+"/config", map[string]any{"min_decryption_version": 2})
}

func (o operator) store(p *Provider) keystest.Store {
	return keystest.Store{Provider: p, Create: o.create, Rotate: o.rotate, Delete: o.delete, Drop: o.drop}
}

func TestConformance(t *testing.T) {
	for _, derived := range []bool{false, true} {
		t.Run(fmt.Sprintf("derived %v", derived), func(t *testing.T) {
			keystest.Run(t, func(t *testing.T) keystest.Store {
				t.Helper()
				s := newServer(t)
				return operator{s.Address(), transittest.Token, derived}.store(newProvider(t, Options{Address: s.Address()}))
			})
		})
	}
}

// A real server, where one is to be had: the environment names a running one with
// an empty engine at "transit" (UNDERCROFT_TEST_VAULT_ADDR and _TOKEN), or vault or
// bao is in PATH.
func TestConformanceWithARealServer(t *testing.T) {
	address, token := os.Getenv("UNDERCROFT_TEST_VAULT_ADDR"), os.Getenv("UNDERCROFT_TEST_VAULT_TOKEN")
	if address == "" {
		address, token = startReal(t)
	}
	run := 0
	for _, derived := range []bool{false, true} {
		t.Run(fmt.Sprintf("derived %v", derived), func(t *testing.T) {
			keystest.Run(t, func(t *testing.T) keystest.Store {
				t.Helper()
				// Every rule has keys of its own on the one server.
				run++
				prefix := fmt.Sprintf("r%d-%d-", os.Getpid(), run)
				found := operator{address, token, derived}.store(newProvider(t, Options{Address: address, Token: StaticToken(token)}))
				return prefixed(found, prefix)
			})
		})
	}
}

// prefixed is a store whose keys have other names.
func prefixed(s keystest.Store, prefix string) keystest.Store {
	named := func(f func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, name string) { t.Helper(); f(t, prefix+name) }
	}
	return keystest.Store{
		Provider: renamed{s.Provider, prefix}, Create: named(s.Create), Rotate: named(s.Rotate), Delete: named(s.Delete), Drop: named(s.Drop),
	}
}

type renamed struct {
	keys.Provider
	prefix string
}

func (r renamed) Generate(ctx context.Context, keyID string, encCtx []byte) (keys.DataKey, []byte, error) {
	return r.Provider.Generate(ctx, r.prefix+keyID, encCtx)
}

func (r renamed) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	return r.Provider.Unseal(ctx, r.prefix+keyID, sealed, encCtx)
}

func (r renamed) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	return r.Provider.Rewrap(ctx, r.prefix+keyID, sealed, encCtx)
}

func (r renamed) Check(ctx context.Context, keyID string) error {
	return r.Provider.Check(ctx, r.prefix+keyID)
}

// startReal starts a development server of vault or bao.
func startReal(t *testing.T) (address, token string) {
	t.Helper()
	program := ""
	for _, name := range []string{"bao", "vault"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
		}
	}
	if program == "" {
		t.Skip("NOT PROVEN AGAINST A REAL SERVER: neither bao nor vault is in PATH, and UNDERCROFT_TEST_VAULT_ADDR names none")
	}
	const listen = "127.0.0.1:18200"
	command := exec.CommandContext(t.Context(), program, "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address="+listen)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() })
	p := newProvider(t, Options{Address: "http://" + listen})
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for p.Healthy(deadline) != nil {
		if !wait(deadline, 100*time.Millisecond) {
			t.Fatalf("%s does not come up", program)
		}
	}
	operator{address: "http://" + listen, token: "root"}.do(t, http.MethodPost, "sys/mounts/transit", map[string]any{"type": "transit"})
	return "http://" + listen, "root"
}

func TestWhatFailsForAMomentIsRepeated(t *testing.T) {
	s := newServer(t)
	p := newProvider(t, Options{Address: s.Address()})
	operator{s.Address(), transittest.Token, false}.create(t, "one")
	for _, status := range []int{429, 500, 502, 503, 412} {
		s.Fail(status, status)
		if err := p.Check(t.Context(), "one"); err != nil {
			t.Errorf("after status %d twice: %v", status, err)
		}
		before := s.Asked()
		s.Fail(status, status, status)
		if err := p.Check(t.Context(), "one"); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "as the test wished") {
			t.Errorf("status %d always: %v", status, err)
		}
		if n := s.Asked() - before; n != attempts {
			t.Errorf("%d requests, want %d", n, attempts)
		}
	}
	// What will not be otherwise is asked once.
	for status, want := range map[int]error{404: keys.ErrUnavailable, 405: keys.ErrUnavailable, 302: keys.ErrUnavailable, 400: keys.ErrUnavailable} {
		before := s.Asked()
		s.Fail(status, status)
		if err := p.Check(t.Context(), "one"); !errors.Is(err, want) || errors.Is(err, keys.ErrInvalid) || s.Asked() != before+1 {
			t.Errorf("status %d: %v after %d requests", status, err, s.Asked()-before)
		}
	}
}

func TestSealedAndMissingServers(t *testing.T) {
	s := newServer(t)
	p := newProvider(t, Options{Address: s.Address()})
	operator{s.Address(), transittest.Token, false}.create(t, "one")
	if err := p.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	s.Seal()
	if err := p.Healthy(t.Context()); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("Healthy of a sealed server: %v", err)
	}
	if err := p.Check(t.Context(), "one"); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("Check: %v", err)
	}
	s.Unseal()
	if err := p.Check(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := newProvider(t, Options{Address: s.Address(), Mount: "/elsewhere/"}).Check(t.Context(), "one"); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "no transit engine") {
		t.Errorf("another mount: %v", err)
	}
	s.Close()
	for name, err := range map[string]error{"Check": p.Check(t.Context(), "one"), "Healthy": p.Healthy(t.Context())} {
		if !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s of a server that is gone: %v", name, err)
		}
	}
}

func TestServersThatHangAreGivenUp(t *testing.T) {
	s := newServer(t)
	operator{s.Address(), transittest.Token, false}.create(t, "one")
	s.Hang()
	p := newProvider(t, Options{Address: s.Address(), Timeout: 20 * time.Millisecond, Concurrent: 1})
	var wg sync.WaitGroup
	for range 3 { // more than may be under way
		wg.Go(func() {
			if err := p.Check(t.Context(), "one"); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "20ms") {
				t.Errorf("Check: %v", err)
			}
		})
	}
	wg.Wait()
	// A caller that goes away is told so.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := newProvider(t, Options{Address: s.Address()}).Check(ctx, "one"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Check: %v", err)
	}
	s.Release()
	if err := newProvider(t, Options{Address: s.Address()}).Check(t.Context(), "one"); err != nil {
		t.Error(err)
	}
}

func TestTokensAreReadAnewWhenOneEnds(t *testing.T) {
	s := newServer(t)
	operator{s.Address(), transittest.Token, false}.create(t, "one")
	content, reads := "first\n", 0
	p := newProvider(t, Options{Address: s.Address(), Token: ReadToken(func() ([]byte, error) {
		reads++
		return []byte(content), nil
	})})
	s.Allow("first")
	for range 3 {
		if err := p.Check(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 1 {
		t.Errorf("the token was read %d times", reads)
	}
	s.Revoke("first")
	err := p.Check(t.Context(), "one")
	if !errors.Is(err, keys.ErrDenied) || strings.Contains(err.Error(), "first") {
		t.Errorf("with a token that ended: %v", err)
	}
	s.Allow("second")
	content = "second\n"
	if err := p.Check(t.Context(), "one"); err != nil {
		t.Errorf("with the new token: %v", err)
	}
	for _, bad := range []string{"", " \n", "a\nb"} {
		content = bad
		p := newProvider(t, Options{Address: s.Address(), Token: ReadToken(func() ([]byte, error) { return []byte(content), nil })})
		if err := p.Check(t.Context(), "one"); !errors.Is(err, keys.ErrDenied) {
			t.Errorf("with the token %q: %v", bad, err)
		}
	}
	p = newProvider(t, Options{Address: s.Address(), Token: ReadToken(func() ([]byte, error) { return nil, os.ErrNotExist })})
	if err := p.Check(t.Context(), "one"); !errors.Is(err, keys.ErrUnavailable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a token: %v", err)
	}
}

func TestAppRole(t *testing.T) {
	s := newServer(t)
	operator{s.Address(), transittest.Token, false}.create(t, "one")
	s.AllowRole("role", "secret")
	p := newProvider(t, Options{Address: s.Address(), Token: AppRole("approle", "role", func() ([]byte, error) { return []byte("secret\n"), nil })})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := p.Check(t.Context(), "one"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.Logins() != 1 {
		t.Errorf("%d logins", s.Logins())
	}
	s.Revoke("s.login-x")
	if err := p.Check(t.Context(), "one"); err != nil || s.Logins() != 2 {
		t.Errorf("after the token ended: %v, %d logins", err, s.Logins())
	}
	wrong := newProvider(t, Options{Address: s.Address(), Token: AppRole("approle", "role", func() ([]byte, error) { return []byte("guess"), nil })})
	if err := wrong.Check(t.Context(), "one"); !errors.Is(err, keys.ErrDenied) || strings.Contains(err.Error(), "guess") {
		t.Errorf("another secret id: %v", err)
	}
}

// TestDenialsDoNotLogIn: a key that the role may not use is denied to every token of
// it. Clients that name it make no logins, of which each leaves a token behind.
func TestDenialsDoNotLogIn(t *testing.T) {
	var logins atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			_, _ = fmt.Fprintf(w, `{"auth":{"client_token":"s.%d"}}`, logins.Add(1))
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	p := newProvider(t, Options{Address: s.URL, Token: AppRole("approle", "role", func() ([]byte, error) { return []byte("secret"), nil })})
	for range 20 {
		if err := p.Check(t.Context(), "forbidden"); !errors.Is(err, keys.ErrDenied) {
			t.Fatal(err)
		}
	}
	if n := logins.Load(); n != 2 { // the first, and one look whether the token had ended
		t.Errorf("%d logins", n)
	}
	// Later, the token may have ended after all.
	p.tokens.vain = p.tokens.vain.Add(-vainPause)
	if err := p.Check(t.Context(), "forbidden"); !errors.Is(err, keys.ErrDenied) || logins.Load() != 3 {
		t.Errorf("%v, %d logins", err, logins.Load())
	}
}

func TestNamesThatAreNoKeysAreNotAskedFor(t *testing.T) {
	s := newServer(t)
	p := newProvider(t, Options{Address: s.Address()})
	for _, name := range []string{"", "..", "a/b", "../../sys/seal", "a?b", "alias/a"} {
		if err := p.Check(t.Context(), name); !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("Check(%q): %v", name, err)
		}
	}
	if s.Asked() != 0 {
		t.Errorf("the server was asked %d times", s.Asked())
	}
}

func TestOptions(t *testing.T) {
	token := StaticToken("t")
	for name, o := range map[string]Options{
		"no address": {Token: token}, "no scheme": {Token: token, Address: "vault:8200"}, "a password": {Token: token, Address: "https://u:p@vault"},
		"no host": {Token: token, Address: "https://:8200"}, "a query": {Token: token, Address: "https://vault?x"}, "a fragment": {Token: token, Address: "https://vault#x"},
		"no token": {Address: "https://vault"}, "a strange mount": {Token: token, Address: "https://vault", Mount: "a/../b"},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := newProvider(t, Options{Address: "https://vault.example/prefix/", Mount: "/a/b/"})
	if p.base != "https://vault.example/prefix/v1/" || p.o.Mount != "a/b" {
		t.Errorf("requests go to %s%s", p.base, p.o.Mount)
	}
}

// A server of something else is an error, not a key.
func TestAnswersThatAreNone(t *testing.T) {
	body := ""
	s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })}
	p := newProvider(t, Options{Address: "http://nowhere.invalid", Client: &http.Client{Transport: handlerTransport{s.Handler}}})
	for _, body = range []string{
		"", "<html>", "{}", `{"data":null}`, `{"data":{"plaintext":5}}`, `{"data":{"plaintext":"AAAA","ciphertext":"vault:v1:x"}}`,
		`{"data":{"plaintext":"` + strings.Repeat("A", 43) + `=","ciphertext":"nothing"}}`,
		`{"data":{"plaintext":"` + strings.Repeat("A", 43) + `=","ciphertext":"vault:v1:` + strings.Repeat("x", keys.MaxSealed) + `"}}`,
		strings.Repeat(" ", maxBody+1),
	} {
		plain, sealed, err := p.Generate(t.Context(), "one", nil)
		if !errors.Is(err, keys.ErrUnavailable) && !errors.Is(err, keys.ErrInvalid) || sealed != nil || plain != (keys.DataKey{}) {
			t.Errorf("%.60q: %v", body, err)
		}
	}
}

// handlerTransport answers from a handler, without a network.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	reader, writer := io.Pipe()
	w := &pipeWriter{PipeWriter: writer, header: make(http.Header)}
	go func() { h.ServeHTTP(w, r); _ = writer.Close() }()
	return &http.Response{StatusCode: http.StatusOK, Body: reader, Header: w.header, Request: r}, nil
}

type pipeWriter struct {
	*io.PipeWriter
	header http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }
func (w *pipeWriter) WriteHeader(int)     {}

func FuzzUnpack(f *testing.F) {
	wrapped := make([]byte, keys.WrappedSize)
	good, err := join("vault:v1:AAAA", wrapped)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		ciphertext, wrapped, err := unpack(sealed)
		if err != nil {
			if !errors.Is(err, keys.ErrInvalid) {
				t.Errorf("%x: %v", sealed, err)
			}
			return
		}
		again, err := join(ciphertext, wrapped)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Errorf("%x joins to %x, %v", sealed, again, err)
		}
	})
}
