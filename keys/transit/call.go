package transit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/undercroft/undercroft/keys"
)

// call asks the engine to do something with a key. Its errors are those of
// package keys, or the context's.
func (p *Provider) call(ctx context.Context, verb, keyID string, body map[string]string, answer any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name, err := keys.Name(keyID); err != nil || name != keyID {
		return fmt.Errorf("%w: %q", keys.ErrNoKey, keyID)
	}
	limited, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	err := p.attempt(limited, verb, keyID, body, answer)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if limited.Err() != nil {
		err = fmt.Errorf("%w: no answer within %s", keys.ErrUnavailable, p.o.Timeout)
	}
	return fmt.Errorf("%s with key %s: %w", verb, keyID, err)
}

// attempt asks until the engine answers, a few times at most.
func (p *Provider) attempt(ctx context.Context, verb, keyID string, body map[string]string, answer any) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	token, err := p.tokens.get(ctx, p)
	if err != nil {
		return err
	}
	pause, renewed := firstPause, false
	for n := 1; ; n++ {
		err = p.send(ctx, verb+"/"+keyID, token, text, answer)
		switch {
		case errors.Is(err, keys.ErrDenied) && !renewed:
			// The token may have ended: one look for another.
			fresh, tokenErr := p.tokens.renew(ctx, p, token)
			if tokenErr != nil || fresh == token {
				return errors.Join(err, tokenErr)
			}
			token, renewed = fresh, true
			continue
		case errors.Is(err, keys.ErrDenied):
			p.tokens.deniedAnew(token)
			return err
		case !errors.Is(err, errAgain) || n == attempts:
			return err
		}
		if !wait(ctx, pause) {
			return ctx.Err()
		}
		pause *= 2
	}
}

// errAgain marks what may succeed when it is repeated.
var errAgain = fmt.Errorf("%w at present", keys.ErrUnavailable)

// wait pauses, and is false when ctx ended.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send sends one request below the mount.
func (p *Provider) send(ctx context.Context, path, token string, body []byte, answer any) error {
	return p.post(ctx, p.o.Mount+"/"+path, token, body, func(text []byte) error {
		data := struct {
			Data any `json:"data"`
		}{answer}
		if err := json.Unmarshal(text, &data); err != nil {
			return fmt.Errorf("%w: the answer is not of a transit engine", keys.ErrUnavailable)
		}
		return nil
	})
}

// post sends one request; read is given the body of a good answer, which is
// wiped afterwards.
func (p *Provider) post(ctx context.Context, path, token string, body []byte, read func([]byte) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Vault-Request", "true")
	if token != "" {
		request.Header.Set("X-Vault-Token", token)
	}
	if p.o.Namespace != "" {
		request.Header.Set("X-Vault-Namespace", p.o.Namespace)
	}
	response, err := p.o.Client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	defer func() { clear(text[:cap(text)]) }()
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	if len(text) > maxBody {
		return fmt.Errorf("%w: an answer of more than %d bytes", keys.ErrUnavailable, maxBody)
	}
	if response.StatusCode == http.StatusOK {
		return read(text)
	}
	return refused(response.StatusCode, text)
}

// refused is the error of an answer with a status.
func refused(status int, text []byte) error {
	said := said(text)
	switch {
	case status == http.StatusBadRequest && strings.Contains(said, "key not found"):
		return fmt.Errorf("%w: %s", keys.ErrNoKey, said)
	case status == http.StatusBadRequest:
		return fmt.Errorf("%w: %s", keys.ErrInvalid, said)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: %s", keys.ErrDenied, said)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: there is no transit engine at this mount: %s", keys.ErrUnavailable, said)
	case status == http.StatusTooManyRequests, status >= http.StatusInternalServerError, status == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: status %d: %s", errAgain, status, said)
	default:
		return fmt.Errorf("%w: status %d: %s", keys.ErrUnavailable, status, said)
	}
}

// maxSaid bounds what an error repeats of the server's words.
const maxSaid = 200

// said is what the errors of an answer say, in one line.
func said(text []byte) string {
	var answer struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(text, &answer) != nil || len(answer.Errors) == 0 {
		return "(nothing more is said)"
	}
	line := strings.Join(strings.Fields(strings.Join(answer.Errors, "; ")), " ")
	return line[:min(len(line), maxSaid)]
}

// Healthy is nil while the server is there and unsealed. It needs no token.
func (p *Provider) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"sys/health?standbyok=true&perfstandbyok=true", http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	response, err := p.o.Client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable:
		return fmt.Errorf("%w: the server is sealed", keys.ErrUnavailable)
	case http.StatusNotImplemented:
		return fmt.Errorf("%w: the server is not initialised", keys.ErrUnavailable)
	default:
		return fmt.Errorf("%w: health says status %d", keys.ErrUnavailable, response.StatusCode)
	}
}
