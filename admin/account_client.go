package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/iam"
)

// ErrRefused is an answer of the server that says what is wrong with a request.
var ErrRefused = errors.New("refused")

// pathOf fills the names in braces of a path.
func pathOf(pattern string, names ...string) string {
	for _, name := range names {
		begin, end := strings.IndexByte(pattern, '{'), strings.IndexByte(pattern, '}')
		pattern = pattern[:begin] + url.PathEscape(name) + pattern[end+1:]
	}
	return pattern
}

// exchange sends in as JSON and decodes the answer.
func exchange[Out any](ctx context.Context, c *Client, method, path string, in any) (out Out, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("asking %s: %w", c.base, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return out, fmt.Errorf("asking %s: %w", c.base, err)
	}
	request.Header.Set("Authorization", bearer+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return out, fmt.Errorf("asking %s: %w", c.base, err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
		return out, errors.Join(fmt.Errorf("%w: %s", ErrRefused, oneLine(string(text))), err)
	}
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("reading the answer of %s: %w", c.base, err)
	}
	return out, nil
}

// WithToken returns a client that shows a token: that of [RootToken] or the one
// that is kept in the data directories.
func (c *Client) WithToken(token string) *Client {
	return &Client{base: c.base, http: c.http, token: token}
}

var _ Directory = (*Client)(nil)

// CreateAccount implements [AccountDirectory], as the methods below do
// theirs: a client is the directory of the server that it asks.
func (c *Client) CreateAccount(ctx context.Context, in iam.NewAccount) (iam.CreatedAccount, error) {
	return exchange[iam.CreatedAccount](ctx, c, http.MethodPost, pathAccounts, in)
}

// Account implements [AccountDirectory].
func (c *Client) Account(ctx context.Context, ref string) (iam.Account, error) {
	return exchange[iam.Account](ctx, c, http.MethodGet, pathOf(pathAccount, ref), empty{})
}

// Accounts implements [AccountDirectory].
func (c *Client) Accounts(ctx context.Context, page iam.Page) ([]iam.Account, bool, error) {
	list, err := exchange[AccountList](ctx, c, http.MethodGet, pathAccounts+query(page), empty{})
	return list.Accounts, list.More, err
}

func query(p iam.Page) string {
	values := url.Values{}
	if p.After != "" {
		values.Set("after", p.After)
	}
	if p.Limit > 0 {
		values.Set("limit", strconv.Itoa(p.Limit))
	}
	return "?" + values.Encode()
}

// ChangeAccount implements [AccountDirectory].
func (c *Client) ChangeAccount(ctx context.Context, ref string, change iam.AccountChange) (iam.Account, error) {
	return exchange[iam.Account](ctx, c, http.MethodPatch, pathOf(pathAccount, ref), change)
}

// DeleteAccount implements [AccountDirectory].
func (c *Client) DeleteAccount(ctx context.Context, ref string) error {
	_, err := exchange[empty](ctx, c, http.MethodDelete, pathOf(pathAccount, ref), empty{})
	return err
}

// CreateUser implements [UserDirectory].
func (c *Client) CreateUser(ctx context.Context, account string, in iam.NewUser) (iam.User, error) {
	return exchange[iam.User](ctx, c, http.MethodPost, pathOf(pathUsers, account), in)
}

// User implements [UserDirectory].
func (c *Client) User(ctx context.Context, account, name string) (iam.User, error) {
	return exchange[iam.User](ctx, c, http.MethodGet, pathOf(pathUser, account, name), empty{})
}

// Users implements [UserDirectory].
func (c *Client) Users(ctx context.Context, account string, page iam.Page) ([]iam.User, bool, error) {
	list, err := exchange[UserList](ctx, c, http.MethodGet, pathOf(pathUsers, account)+query(page), empty{})
	return list.Users, list.More, err
}

// ChangeUser implements [UserDirectory].
func (c *Client) ChangeUser(ctx context.Context, account, name string, change iam.UserChange) (iam.User, error) {
	return exchange[iam.User](ctx, c, http.MethodPatch, pathOf(pathUser, account, name), change)
}

// DeleteUser implements [UserDirectory].
func (c *Client) DeleteUser(ctx context.Context, account, name string) error {
	_, err := exchange[empty](ctx, c, http.MethodDelete, pathOf(pathUser, account, name), empty{})
	return err
}

// CreateKey implements [KeyDirectory].
func (c *Client) CreateKey(ctx context.Context, in iam.NewKey) (iam.KeyPair, error) {
	return exchange[iam.KeyPair](ctx, c, http.MethodPost, pathKeys, in)
}

// Keys implements [KeyDirectory].
func (c *Client) Keys(ctx context.Context, account, user string) ([]iam.AccessKey, error) {
	values := url.Values{"account": {account}, "user": {user}}
	list, err := exchange[KeyList](ctx, c, http.MethodGet, pathKeys+"?"+values.Encode(), empty{})
	return list.Keys, err
}

// ChangeKey implements [KeyDirectory].
func (c *Client) ChangeKey(ctx context.Context, key string, change iam.KeyChange) (iam.AccessKey, error) {
	return exchange[iam.AccessKey](ctx, c, http.MethodPatch, pathOf(pathKey, key), change)
}

// RotateKey implements [KeyDirectory].
func (c *Client) RotateKey(ctx context.Context, key, secret string) (iam.KeyPair, error) {
	return exchange[iam.KeyPair](ctx, c, http.MethodPost, pathOf(pathRotate, key), rotation{Secret: secret})
}

// DeleteKey implements [KeyDirectory].
func (c *Client) DeleteKey(ctx context.Context, key string) error {
	_, err := exchange[empty](ctx, c, http.MethodDelete, pathOf(pathKey, key), empty{})
	return err
}
