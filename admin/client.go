package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ErrCheckFailed is a check that ran and found something, or could not finish.
var ErrCheckFailed = errors.New("check failed")

// maxErrorBody bounds what is read of an answer that is not the expected one.
const maxErrorBody = 4 << 10

// Client asks the admin listener of a running server.
type Client struct {
	base  string
	http  *http.Client
	token string // empty: none
}

// NewClient returns a client of the listener at base, a URL such as
// http://127.0.0.1:9001. Requests have no timeout but their context's.
func NewClient(base string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not a URL such as http://127.0.0.1:9001", base)
	}
	return &Client{base: strings.TrimRight(base, "/"), http: &http.Client{}}, nil
}

// Status copies the running system's status, a JSON document, to w.
func (c *Client) Status(ctx context.Context, w io.Writer) (err error) {
	response, err := c.ask(ctx, http.MethodGet, pathStatus)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	return copyBody(w, response)
}

// Check runs the server's checker and copies what it writes to w as it comes.
// It returns an error that wraps ErrCheckFailed when the check found something
// or was cut off.
func (c *Client) Check(ctx context.Context, w io.Writer) (err error) {
	response, err := c.ask(ctx, http.MethodPost, pathCheck)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if err := copyBody(w, response); err != nil {
		return fmt.Errorf("%w: %w", ErrCheckFailed, err)
	}
	switch result := response.Trailer.Get(checkTrailer); result {
	case checkClean:
		return nil
	case "":
		return fmt.Errorf("%w: the server gave no result", ErrCheckFailed)
	default:
		return fmt.Errorf("%w: %s", ErrCheckFailed, result)
	}
}

// ask sends a request and returns a response of status 200, whose body the
// caller closes.
func (c *Client) ask(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	text, readErr := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	err = fmt.Errorf("%s %s%s: %s: %s", method, c.base, path, response.Status, oneLine(string(text)))
	return nil, errors.Join(err, readErr, response.Body.Close())
}

func copyBody(w io.Writer, response *http.Response) error {
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}
