package transit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/undercroft/undercroft/keys"
)

// TokenSource returns a token that should be good now: it reads a file again, or
// logs in.
type TokenSource func(ctx context.Context, p *Provider) (string, error)

// StaticToken is a token that never changes.
func StaticToken(token string) TokenSource {
	return func(context.Context, *Provider) (string, error) { return strings.TrimSpace(token), nil }
}

// ReadToken takes the token from what read returns, each time anew: an agent may
// write another one.
func ReadToken(read func() ([]byte, error)) TokenSource {
	return func(context.Context, *Provider) (string, error) {
		text, err := read()
		if err != nil {
			return "", fmt.Errorf("%w: the token: %w", keys.ErrUnavailable, err)
		}
		defer clear(text)
		return strings.TrimSpace(string(text)), nil
	}
}

// AppRole logs in with a role; secretID is read anew at each login.
func AppRole(mount, roleID string, secretID func() ([]byte, error)) TokenSource {
	return func(ctx context.Context, p *Provider) (string, error) {
		path, err := cleanMount(mount)
		if err != nil {
			return "", err
		}
		secret, err := secretID()
		if err != nil {
			return "", fmt.Errorf("%w: the secret id: %w", keys.ErrUnavailable, err)
		}
		defer clear(secret)
		body, err := json.Marshal(map[string]string{"role_id": roleID, "secret_id": strings.TrimSpace(string(secret))})
		if err != nil {
			return "", err
		}
		defer clear(body)
		var answer struct {
			Auth struct {
				Token string `json:"client_token"`
			} `json:"auth"`
		}
		err = p.post(ctx, "auth/"+path+"/login", "", body, func(text []byte) error { return json.Unmarshal(text, &answer) })
		if errors.Is(err, keys.ErrInvalid) {
			err = fmt.Errorf("%w: the role or the secret id is not one", keys.ErrDenied)
		}
		if err != nil {
			return "", fmt.Errorf("logging in with the role: %w", err)
		}
		return answer.Auth.Token, nil
	}
}

// tokens is the token in use.
type tokens struct {
	source TokenSource

	mu   sync.Mutex // guards what follows, and is held while the source is asked: one asks for all
	now  string
	vain time.Time // when now was refused though it was new: then it is the key that is denied
}

// vainPause is how long a token counts as good that was refused though it was
// new. Else every request with a key that is denied would log in.
const vainPause = 10 * time.Second

// deniedAnew notes that a token was refused that had just replaced another.
func (t *tokens) deniedAnew(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == token {
		t.vain = time.Now()
	}
}

func (t *tokens) get(ctx context.Context, p *Provider) (string, error) {
	return t.renew(ctx, p, "")
}

// renew returns a token other than the one that was refused, if there is one.
func (t *tokens) renew(ctx context.Context, p *Provider, refused string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != "" && (t.now != refused || time.Since(t.vain) < vainPause) {
		return t.now, nil
	}
	token, err := t.source(ctx, p)
	if err != nil {
		return "", err
	}
	if token == "" || strings.ContainsAny(token, "\r\n\x00") {
		return "", fmt.Errorf("%w: no token, or not one", keys.ErrDenied)
	}
	if token != t.now {
		t.now, t.vain = token, time.Time{}
	}
	return token, nil
}
