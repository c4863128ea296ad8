package admin

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

const goodToken = "good-token"

// people serves a directory and returns a client that may change it.
func people(t *testing.T, log io.Writer) (*httptest.Server, *Client) {
	t.Helper()
	engine := mem.New(mem.Options{})
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	now := func() time.Time { return time.UnixMilli(1_795_000_000_000) }
	db, err := metadata.Open(engine, metadata.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.Open(t.Context(), db, directory.Options{
		RootAccessKey: "ROOTKEY", RootSecret: "root-secret", MasterKey: directory.MasterKey{1}, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := serve(t, Options{Directory: d, Tokens: []string{"other-token", goodToken}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	client, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return server, client.WithToken(goodToken)
}

func TestAccountsThroughTheClient(t *testing.T) {
	var log bytes.Buffer
	_, c := people(t, &log)
	ctx := t.Context()
	made, err := c.CreateAccount(ctx, iam.NewAccount{Name: "Main", Email: "main@x.org", Key: &iam.NewKey{AccessKey: "MAINKEY", Secret: "main-secret"}})
	if err != nil || made.Key == nil || made.Key.Secret != "main-secret" || made.Key.Account != made.ID {
		t.Fatalf("created %+v, %v", made, err)
	}
	if a, err := c.Account(ctx, "main@x.org"); err != nil || a != made.Account {
		t.Errorf("read %+v, %v", a, err)
	}
	name, off := "Renamed", true
	changed, err := c.ChangeAccount(ctx, string(made.CanonicalID), iam.AccountChange{Name: &name, Disabled: &off})
	if err != nil || changed.Name != name || !changed.Disabled || changed.Email != made.Email {
		t.Errorf("changed %+v, %v", changed, err)
	}
	list, more, err := c.Accounts(ctx, iam.Page{After: string(iam.RootAccount), Limit: 1})
	if err != nil || more || len(list) != 1 || list[0] != changed {
		t.Errorf("listed %+v, %v, %v", list, more, err)
	}
	if err := c.DeleteAccount(ctx, string(made.ID)); err != nil {
		t.Error(err)
	}
	if _, err := c.Account(ctx, string(made.ID)); !errors.Is(err, ErrRefused) {
		t.Errorf("a deleted account: %v", err)
	}
	if text := log.String(); strings.Contains(text, "main-secret") || !strings.Contains(text, `change="account created"`) {
		t.Errorf("the log is\n%s", text)
	}
}

func TestUsersAndKeysThroughTheClient(t *testing.T) {
	var log bytes.Buffer
	_, c := people(t, &log)
	ctx := t.Context()
	made, err := c.CreateAccount(ctx, iam.NewAccount{Name: "Main", Email: "main@x.org"})
	if err != nil || made.Key != nil {
		t.Fatalf("created %+v, %v", made, err)
	}
	account := string(made.ID)
	u, err := c.CreateUser(ctx, account, iam.NewUser{Name: "a+b=c,d.e@f-g_h", DisplayName: "Bob"})
	if err != nil {
		t.Fatal(err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	if u, err = c.ChangeUser(ctx, "main@x.org", u.Name, iam.UserChange{Policy: &policy}); err != nil || u.Policy != policy || u.DisplayName != "Bob" {
		t.Errorf("changed %+v, %v", u, err)
	}
	if got, err := c.User(ctx, account, u.Name); err != nil || got != u {
		t.Errorf("read %+v, %v", got, err)
	}
	if list, more, err := c.Users(ctx, account, iam.Page{}); err != nil || more || len(list) != 1 || list[0] != u {
		t.Errorf("listed %+v, %v, %v", list, more, err)
	}
	k, err := c.CreateKey(ctx, iam.NewKey{Account: account, User: u.Name, Description: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := c.RotateKey(ctx, k.AccessKey.AccessKey, "another-secret")
	if err != nil || rotated.Secret != "another-secret" || rotated.Rotated.IsZero() {
		t.Errorf("rotated %+v, %v", rotated.AccessKey, err)
	}
	off := true
	if got, err := c.ChangeKey(ctx, k.AccessKey.AccessKey, iam.KeyChange{Disabled: &off}); err != nil || !got.Disabled || got.Description != "laptop" {
		t.Errorf("disabled %+v, %v", got, err)
	}
	if list, err := c.Keys(ctx, account, u.Name); err != nil || len(list) != 1 || !list[0].Disabled {
		t.Errorf("listed %+v, %v", list, err)
	}
	if err := c.DeleteKey(ctx, k.AccessKey.AccessKey); err != nil {
		t.Error(err)
	}
	if err := c.DeleteUser(ctx, account, u.Name); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{k.Secret, "another-secret"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("a secret is in the log:\n%s", log.String())
		}
	}
}

func TestAdministrationNeedsAToken(t *testing.T) {
	server, c := people(t, io.Discard)
	for _, token := range []string{"", "good-toke", goodToken + "x", "Bearer " + goodToken} {
		if _, _, err := c.WithToken(token).Accounts(t.Context(), iam.Page{}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "root credentials") {
			t.Errorf("token %q: %v", token, err)
		}
	}
	for _, request := range []string{"GET /-/accounts", "POST /-/accounts", "PATCH /-/accounts/x", "GET /-/keys?account=000000000001", "DELETE /-/keys/ROOTKEY", "POST /-/keys/ROOTKEY/rotate", "GET /-/debug/pprof/cmdline"} {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if code, _, header := do(t, r); code != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s without a token: %d", request, code)
		}
	}
	// No token is known: none will do, the empty one included.
	h := &handler{}
	if h.knows("") || h.knows("x") {
		t.Error("a listener without tokens knows one")
	}
}

func TestRootTokenIsOfBothHalves(t *testing.T) {
	token := RootToken("root", "secret")
	if token == RootToken("root", "secret2") || token == RootToken("root2", "secret") || strings.Contains(token, "secret") || len(token) != 64 {
		t.Errorf("token %q", token)
	}
}

// A page that makes its own name point to this listener is of our origin, but
// not of our name.
func TestOtherNamesAreRefused(t *testing.T) {
	server, _ := people(t, io.Discard)
	ask := func(host, path string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Authorization", bearer+goodToken)
		code, _, _ := do(t, r)
		return code
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.1:9001", "10.1.2.3", "[::1]:9001", "[::1]", "localhost", "LOCALHOST:1"} {
		if code := ask(host, "/-/accounts"); code != http.StatusOK {
			t.Errorf("host %q: %d", host, code)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:9001", "localhost.evil.example", "127.0.0.1.evil.example", "undercroft"} {
		if code := ask(host, "/-/accounts"); code != http.StatusMisdirectedRequest {
			t.Errorf("host %q: %d", host, code)
		}
		if code := ask(host, "/-/healthz"); code != http.StatusOK {
			t.Errorf("host %q asks for health: %d", host, code)
		}
	}
}

func TestRequestsThatAreNotUnderstood(t *testing.T) {
	server, _ := people(t, io.Discard)
	for body, want := range map[string]int{
		`{"name":"a"}`:           http.StatusOK,
		`{"name":"a"}{}`:         http.StatusBadRequest,
		`{"name":"a","nam":"b"}`: http.StatusBadRequest,
		`{"name":`:               http.StatusBadRequest,
		`[]`:                     http.StatusBadRequest,
		``:                       http.StatusBadRequest, // no name
		`{"name":""}`:            http.StatusBadRequest,
		`{"name":"` + strings.Repeat("a", maxRequest) + `"}`: http.StatusBadRequest,
		`{"name":"a","id":"000000000001"}`:                   http.StatusConflict,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+pathAccounts, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", bearer+goodToken)
		if code, text, _ := do(t, r); code != want {
			t.Errorf("%.40s: %d %s, want %d", body, code, text, want)
		}
	}
	for path, want := range map[string]int{
		"/-/accounts/000000000009": http.StatusNotFound, "/-/accounts?limit=0": http.StatusBadRequest, "/-/accounts?limit=x": http.StatusBadRequest,
		"/-/accounts/000000000001/users/bob": http.StatusNotFound, "/-/keys?account=nobody": http.StatusNotFound,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", bearer+goodToken)
		if code, text, _ := do(t, r); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
}
