package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// bearer begins the Authorization header of a request with a token.
const bearer = "Bearer "

// RootToken is the token of who knows the root credentials. It shows nothing of
// the secret.
func RootToken(accessKey, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("undercroft administration\x00" + accessKey)) // never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// trusted lets only requests with one of the tokens through.
func (h *handler) trusted(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.Header.Get("Authorization"), bearer)
		if !found || !h.knows(token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="undercroft administration"`)
			http.Error(w, "this needs the root credentials or the admin token that is kept in the data directories", http.StatusUnauthorized)
			return
		}
		next(w, r)
	})
}

// knows compares hashes, which have one length and tell nothing by their time.
func (h *handler) knows(token string) bool {
	got, known := sha256.Sum256([]byte(token)), 0
	for _, t := range h.Tokens {
		want := sha256.Sum256([]byte(t))
		known |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return known == 1
}

// addressed refuses requests that name this listener otherwise than by an
// address or localhost: a web page that lets its own name point here would be
// of our origin. What probes and scrapers ask for may be asked by any name,
// for they use those of services.
func addressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case pathHealth, pathReady, pathMetrics:
		default:
			if !isAddress(r.Host) {
				http.Error(w, fmt.Sprintf("this listener answers to its address or to localhost, not to %q", r.Host), http.StatusMisdirectedRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isAddress says whether a Host header is an IP address or localhost.
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil
}
