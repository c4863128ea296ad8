// Package transittest is a server with a transit secrets engine, for tests: keys
// with versions and derivation, datakey, decrypt, encrypt, rewrap, rotation, the
// smallest version that decrypts, deletion, tokens, AppRole logins, sealing and
// faults, over HTTP as HashiCorp Vault and OpenBao speak it. What it answers is
// what they answer; the suite of keys/keystest runs against both.
package transittest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Server is a server in memory. Its zero value is none; see [New].
type Server struct {
	http *httptest.Server

	mu     sync.Mutex // guards what follows
	tokens map[string]bool
	roles  map[string]string // secret ids by role
	engine engine
	sealed bool
	logins int
	asked  int // requests to the engine
	fail   []int
	hang   chan struct{}
}

// Token is accepted from the start.
const Token = "s.of-a-test"

// New is a server that listens on the loopback, with a transit engine at
// "transit". The caller closes it.
func New() *Server {
	s := &Server{tokens: map[string]bool{Token: true}, roles: make(map[string]string), engine: newEngine()}
	s.http = httptest.NewServer(s)
	return s
}

// Address is where it listens.
func (s *Server) Address() string { return s.http.URL }

// Close ends it.
func (s *Server) Close() {
	s.Release()
	s.http.Close()
}

// Allow makes a token good, Revoke ends it.
func (s *Server) Allow(token string) { s.set(func() { s.tokens[token] = true }) }

// Revoke ends a token.
func (s *Server) Revoke(token string) { s.set(func() { delete(s.tokens, token) }) }

// AllowRole makes a role that logs in with a secret id.
func (s *Server) AllowRole(role, secretID string) { s.set(func() { s.roles[role] = secretID }) }

// Seal makes the server answer nothing, as a sealed one; Unseal ends that.
func (s *Server) Seal() { s.set(func() { s.sealed = true }) }

// Unseal ends Seal.
func (s *Server) Unseal() { s.set(func() { s.sealed = false }) }

// Fail answers the next requests to the engine with these statuses.
func (s *Server) Fail(statuses ...int) { s.set(func() { s.fail = statuses }) }

// Hang holds requests to the engine back until Release.
func (s *Server) Hang() { s.set(func() { s.hang = make(chan struct{}) }) }

// Release lets what Hang holds go on.
func (s *Server) Release() {
	s.set(func() {
		if s.hang != nil {
			close(s.hang)
			s.hang = nil
		}
	})
}

// Asked is how many requests the engine was sent.
func (s *Server) Asked() (n int) {
	s.set(func() { n = s.asked })
	return n
}

// Logins is how many logins there were.
func (s *Server) Logins() (n int) {
	s.set(func() { n = s.logins })
	return n
}

func (s *Server) set(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	switch {
	case !ok:
		refuse(w, http.StatusNotFound)
	case path == "sys/health":
		s.health(w)
	case path == "auth/approle/login":
		s.login(w, r)
	default:
		s.ask(w, r, path)
	}
}

func (s *Server) health(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := http.StatusOK
	if s.sealed {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]any{"initialized": true, "sealed": s.sealed})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Role     string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret, known := s.roles[body.Role]; err != nil || !known || secret != body.SecretID {
		refuse(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	s.logins++
	token := "s.login-" + strings.Repeat("x", s.logins)
	s.tokens[token] = true
	answer(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": token}})
}

// ask serves a request that needs a token.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, path string) {
	s.mu.Lock()
	s.asked++
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}
	var body map[string]any
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(w, http.StatusBadRequest, "failed to parse JSON input: EOF")
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	below, engine := strings.CutPrefix(path, "transit/")
	switch {
	case len(s.fail) > 0:
		status := s.fail[0]
		s.fail = s.fail[1:]
		refuse(w, status, "as the test wished")
	case s.sealed:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
	case !s.tokens[r.Header.Get("X-Vault-Token")]:
		refuse(w, http.StatusForbidden, "permission denied")
	case !engine:
		refuse(w, http.StatusNotFound, "no handler for route \""+path+"\". route entry not found.")
	default:
		s.engine.serve(w, r.Method, below, body)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody to tell
}

func refuse(w http.ResponseWriter, status int, errs ...string) {
	answer(w, status, map[string]any{"errors": append([]string{}, errs...)})
}
