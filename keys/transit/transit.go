// Package transit is the key provider of HashiCorp Vault and OpenBao: their
// transit secrets engine keeps the keys and never gives them away.
//
// Each data key is sealed in two steps. The engine makes a wrapping key
// (datakey/plaintext) and returns it with its ciphertext; under the wrapping key,
// the data key is sealed by [keys.Wrap], bound to the name of the key and the
// encryption context. So the binding holds for every type of key that encrypts, a
// key that is missing is never made by accident (as encrypt would), and rewrap
// moves the ciphertext to the newest version inside the engine. Keys that the engine
// derives get a digest of the encryption context as theirs.
//
// A token needs update on datakey/plaintext/KEY, decrypt/KEY and rewrap/KEY of the
// mount, and nothing else.
//
// Calls are bounded: in time, in retries, and in how many are under way. The
// package logs nothing; its errors hold no key and no token. It keeps no data key:
// what the engine disallows, the next call is refused. [keys.Cache] trades that
// for fewer calls where a bucket key is enabled.
package transit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/undercroft/undercroft/keys"
)

// Defaults of Options.
const (
	DefaultMount   = "transit"
	DefaultTimeout = 5 * time.Second
	// DefaultConcurrent is how many requests are under way at once.
	DefaultConcurrent = 64
	// attempts bounds the requests of one call that may succeed when repeated.
	attempts = 3
	// firstPause is the pause before the second attempt; it doubles.
	firstPause = 50 * time.Millisecond
	// maxBody bounds what is read of an answer.
	maxBody = 64 << 10
)

// Options configure a Provider. Address and Token are required.
type Options struct {
	// Address is the server's, as https://vault.example:8200.
	Address string
	// Mount is the path of the transit engine.
	Mount string
	// Namespace is that of Vault Enterprise and OpenBao; empty: none.
	Namespace string
	// Token returns the token to present. It is called before the first request
	// and again when the server refuses one, at most once per call.
	Token TokenSource
	// Client sends the requests; nil: one of the package's own.
	Client *http.Client
	// Timeout bounds a call of the provider with all its attempts.
	Timeout    time.Duration
	Concurrent int
}

// Provider implements [keys.Provider] with a transit engine.
type Provider struct {
	o       Options
	base    string
	tokens  tokens
	slots   chan struct{}
	private *http.Transport // of the package's own client, for Close
}

var _ keys.Provider = (*Provider)(nil)

// New is the provider of a server. It sends nothing yet.
func New(o Options) (*Provider, error) {
	u, err := url.Parse(o.Address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("transit: the address is to be like https://vault.example:8200")
	}
	if o.Token == nil {
		return nil, errors.New("transit: no token")
	}
	if o.Mount == "" {
		o.Mount = DefaultMount
	}
	mount, err := cleanMount(o.Mount)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Concurrent <= 0 {
		o.Concurrent = DefaultConcurrent
	}
	p := &Provider{o: o, tokens: tokens{source: o.Token}, slots: make(chan struct{}, o.Concurrent)}
	p.base = strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/") + "/v1/"
	p.o.Mount = mount
	if p.o.Client == nil {
		p.private = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout,
			MaxIdleConnsPerHost: o.Concurrent, MaxConnsPerHost: o.Concurrent, IdleConnTimeout: time.Minute,
		}
		p.o.Client = &http.Client{Transport: p.private}
	}
	// A token is sent to the server that was named, and to no other.
	client := *p.o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.o.Client = &client
	return p, nil
}

// cleanMount accepts the path of a mount: words with slashes between them.
func cleanMount(mount string) (string, error) {
	mount = strings.Trim(mount, "/")
	for word := range strings.SplitSeq(mount, "/") {
		if _, err := keys.Name(word); err != nil {
			return "", fmt.Errorf("transit: %q is not the path of a mount", mount)
		}
	}
	return mount, nil
}

// Close ends idle connections.
func (p *Provider) Close() {
	if p.private != nil {
		p.private.CloseIdleConnections()
	}
}

// Generate implements [keys.Provider].
func (p *Provider) Generate(ctx context.Context, keyID string, encCtx []byte) (keys.DataKey, []byte, error) {
	if len(encCtx) > keys.MaxContext {
		return keys.DataKey{}, nil, keys.ErrContext
	}
	wrapping, ciphertext, err := p.wrappingKey(ctx, keyID, encCtx)
	if err != nil {
		return keys.DataKey{}, nil, err
	}
	defer wrapping.Wipe()
	return pack(&wrapping, ciphertext, keyID, encCtx)
}

// Unseal implements [keys.Provider].
func (p *Provider) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	ciphertext, wrapped, err := unpack(sealed)
	if err != nil {
		return keys.DataKey{}, p.refusal(ctx, keyID, err)
	}
	var answer struct {
		Plaintext secret `json:"plaintext"`
	}
	defer answer.Plaintext.wipe()
	err = p.call(ctx, "decrypt", keyID, map[string]string{"ciphertext": ciphertext, "context": derivation(keyID, encCtx)}, &answer)
	if err != nil {
		return keys.DataKey{}, err
	}
	wrapping, err := answer.Plaintext.key()
	if err != nil {
		return keys.DataKey{}, fmt.Errorf("%w: key %s: %w", keys.ErrInvalid, keyID, err)
	}
	defer wrapping.Wipe()
	return keys.Unwrap(&wrapping, wrapped, keys.Bound{Key: keyID, Context: encCtx})
}

// refusal is why a text that is no sealed data key does not open: that the key
// cannot be used says more than that the text is damaged.
func (p *Provider) refusal(ctx context.Context, keyID string, damaged error) error {
	if err := p.Check(ctx, keyID); err != nil {
		return err
	}
	return damaged
}

// Rewrap implements [keys.Provider]. The engine moves the wrapping key; what is
// sealed under it stays as it is, and stays bound to its context.
func (p *Provider) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	ciphertext, wrapped, err := unpack(sealed)
	if err != nil {
		return nil, p.refusal(ctx, keyID, err)
	}
	var answer struct {
		Ciphertext string `json:"ciphertext"`
	}
	err = p.call(ctx, "rewrap", keyID, map[string]string{"ciphertext": ciphertext, "context": derivation(keyID, encCtx)}, &answer)
	if err != nil {
		return nil, err
	}
	before, err := version(ciphertext)
	if err != nil {
		return nil, err
	}
	after, err := version(answer.Ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: rewrap returns %w", keys.ErrUnavailable, err)
	}
	if before == after {
		return nil, nil
	}
	return join(answer.Ciphertext, wrapped)
}

// Check implements [keys.Provider]: it makes a data key and throws it away.
func (p *Provider) Check(ctx context.Context, keyID string) error {
	wrapping, _, err := p.wrappingKey(ctx, keyID, nil)
	wrapping.Wipe()
	return err
}

// wrappingKey asks the engine for a new key and its ciphertext.
func (p *Provider) wrappingKey(ctx context.Context, keyID string, encCtx []byte) (k keys.DataKey, ciphertext string, err error) {
	var answer struct {
		Plaintext  secret `json:"plaintext"`
		Ciphertext string `json:"ciphertext"`
	}
	defer answer.Plaintext.wipe()
	if err := p.call(ctx, "datakey/plaintext", keyID, map[string]string{"context": derivation(keyID, encCtx)}, &answer); err != nil {
		if errors.Is(err, keys.ErrInvalid) { // there is no ciphertext: the key is of a type that does not encrypt
			err = fmt.Errorf("%w: %s", keys.ErrUnavailable, err.Error())
		}
		return keys.DataKey{}, "", err
	}
	if k, err = answer.Plaintext.key(); err != nil {
		return keys.DataKey{}, "", fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	if _, err := version(answer.Ciphertext); err != nil {
		k.Wipe()
		return keys.DataKey{}, "", fmt.Errorf("%w: datakey returns %w", keys.ErrUnavailable, err)
	}
	return k, answer.Ciphertext, nil
}
