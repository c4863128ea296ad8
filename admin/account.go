package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/undercroft/undercroft/iam"
)

// The paths of accounts, users and access keys. An account is named by its
// number, e-mail address or canonical id.
const (
	pathAccounts = "/-/accounts"
	pathAccount  = "/-/accounts/{account}"
	pathUsers    = "/-/accounts/{account}/users"
	pathUser     = "/-/accounts/{account}/users/{user}"
	pathKeys     = "/-/keys"
	pathKey      = "/-/keys/{key}"
	pathRotate   = "/-/keys/{key}/rotate"
)

// maxRequest bounds the body of a request, in bytes.
const maxRequest = 256 << 10

// AccountDirectory keeps accounts. Errors wrap those of package iam, and their
// text is one line for whoever asked.
type AccountDirectory interface {
	CreateAccount(ctx context.Context, in iam.NewAccount) (iam.CreatedAccount, error)
	Account(ctx context.Context, ref string) (iam.Account, error)
	Accounts(ctx context.Context, page iam.Page) (accounts []iam.Account, more bool, err error)
	ChangeAccount(ctx context.Context, ref string, change iam.AccountChange) (iam.Account, error)
	DeleteAccount(ctx context.Context, ref string) error
}

// UserDirectory keeps the users of accounts.
type UserDirectory interface {
	CreateUser(ctx context.Context, account string, in iam.NewUser) (iam.User, error)
	User(ctx context.Context, account, name string) (iam.User, error)
	Users(ctx context.Context, account string, page iam.Page) (users []iam.User, more bool, err error)
	ChangeUser(ctx context.Context, account, name string, change iam.UserChange) (iam.User, error)
	DeleteUser(ctx context.Context, account, name string) error
}

// KeyDirectory keeps access keys.
type KeyDirectory interface {
	CreateKey(ctx context.Context, in iam.NewKey) (iam.KeyPair, error)
	Keys(ctx context.Context, account, user string) ([]iam.AccessKey, error)
	ChangeKey(ctx context.Context, key string, change iam.KeyChange) (iam.AccessKey, error)
	RotateKey(ctx context.Context, key, secret string) (iam.KeyPair, error)
	DeleteKey(ctx context.Context, key string) error
}

// Directory is who may use the store.
type Directory interface {
	AccountDirectory
	UserDirectory
	KeyDirectory
}

// AccountList is a page of accounts.
type AccountList struct {
	Accounts []iam.Account `json:"accounts"`
	// More says that there are others, after the last one.
	More bool `json:"more"`
}

// UserList is a page of users.
type UserList struct {
	Users []iam.User `json:"users"`
	More  bool       `json:"more"`
}

// KeyList is all access keys of one owner.
type KeyList struct {
	Keys []iam.AccessKey `json:"keys"`
}

// rotation is the body of a rotation; an empty secret asks for a generated one.
type rotation struct {
	Secret string `json:"secretKey,omitempty"`
}

// empty is the answer of what has none.
type empty struct{}

// handleDirectory adds the paths of accounts, users and access keys.
func (h *handler) handleDirectory(mux *http.ServeMux) {
	h.handleAccounts(mux)
	h.handleUsers(mux)
	h.handleKeys(mux)
}

// call answers a request whose body is an In with what fn returns.
func call[In, Out any](h *handler, fn func(r *http.Request, in In) (Out, error)) http.Handler {
	return h.trusted(func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := decode(w, r, &in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := fn(r, in)
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		h.writeJSON(w, r, http.StatusOK, out)
	})
}

// decode reads a body of exactly one JSON document, or of nothing.
func decode(w http.ResponseWriter, r *http.Request, in any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(in)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		// A syntax error says where; it does not repeat what it could not read.
		return fmt.Errorf("the request is not understood: %w", err)
	case decoder.More():
		return errors.New("the request goes on after its end")
	}
	return nil
}

// refuse answers an error with its text and the status that fits it.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, iam.ErrNoSuchAccount), errors.Is(err, iam.ErrNoSuchUser), errors.Is(err, iam.ErrNoSuchKey), errors.Is(err, ErrNoSuchJob), errors.Is(err, ErrNoEncryptionKey):
		code = http.StatusNotFound
	case errors.Is(err, iam.ErrExists), errors.Is(err, iam.ErrInUse), errors.Is(err, ErrDisk), errors.Is(err, ErrEncryptionKey):
		code = http.StatusConflict
	case errors.Is(err, iam.ErrInvalid):
		code = http.StatusBadRequest
	default:
		h.Logger.WarnContext(r.Context(), "administration failed", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
	}
	http.Error(w, oneLine(err.Error()), code)
}

// note logs what was changed, for whoever has to find out later.
func (h *handler) note(r *http.Request, what string, attrs ...slog.Attr) {
	h.Logger.LogAttrs(r.Context(), slog.LevelInfo, "administration", append([]slog.Attr{slog.String("change", what)}, attrs...)...)
}

// page reads the query of a list.
func page(r *http.Request) (iam.Page, error) {
	p := iam.Page{After: r.URL.Query().Get("after")}
	text := r.URL.Query().Get("limit")
	if text == "" {
		return p, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return p, fmt.Errorf("%w: limit %q is not a number above 0", iam.ErrInvalid, text)
	}
	p.Limit = n
	return p, nil
}

func (h *handler) handleAccounts(mux *http.ServeMux) {
	d := h.Directory
	mux.Handle("POST "+pathAccounts, call(h, func(r *http.Request, in iam.NewAccount) (iam.CreatedAccount, error) {
		out, err := d.CreateAccount(r.Context(), in)
		if err == nil {
			h.note(r, "account created", slog.String("account", string(out.ID)))
		}
		return out, err
	}))
	mux.Handle("GET "+pathAccounts, call(h, func(r *http.Request, _ empty) (AccountList, error) {
		p, err := page(r)
		if err != nil {
			return AccountList{}, err
		}
		accounts, more, err := d.Accounts(r.Context(), p)
		return AccountList{accounts, more}, err
	}))
	mux.Handle("GET "+pathAccount, call(h, func(r *http.Request, _ empty) (iam.Account, error) {
		return d.Account(r.Context(), r.PathValue("account"))
	}))
	mux.Handle("PATCH "+pathAccount, call(h, func(r *http.Request, in iam.AccountChange) (iam.Account, error) {
		out, err := d.ChangeAccount(r.Context(), r.PathValue("account"), in)
		if err == nil {
			h.note(r, "account changed", slog.String("account", string(out.ID)), slog.Bool("disabled", out.Disabled))
		}
		return out, err
	}))
	mux.Handle("DELETE "+pathAccount, call(h, func(r *http.Request, _ empty) (empty, error) {
		err := d.DeleteAccount(r.Context(), r.PathValue("account"))
		if err == nil {
			h.note(r, "account deleted", slog.String("account", r.PathValue("account")))
		}
		return empty{}, err
	}))
}

func (h *handler) handleUsers(mux *http.ServeMux) {
	d := h.Directory
	mux.Handle("POST "+pathUsers, call(h, func(r *http.Request, in iam.NewUser) (iam.User, error) {
		out, err := d.CreateUser(r.Context(), r.PathValue("account"), in)
		if err == nil {
			h.note(r, "user created", slog.String("account", string(out.Account)), slog.String("user", out.Name))
		}
		return out, err
	}))
	mux.Handle("GET "+pathUsers, call(h, func(r *http.Request, _ empty) (UserList, error) {
		p, err := page(r)
		if err != nil {
			return UserList{}, err
		}
		users, more, err := d.Users(r.Context(), r.PathValue("account"), p)
		return UserList{users, more}, err
	}))
	mux.Handle("GET "+pathUser, call(h, func(r *http.Request, _ empty) (iam.User, error) {
		return d.User(r.Context(), r.PathValue("account"), r.PathValue("user"))
	}))
	mux.Handle("PATCH "+pathUser, call(h, func(r *http.Request, in iam.UserChange) (iam.User, error) {
		out, err := d.ChangeUser(r.Context(), r.PathValue("account"), r.PathValue("user"), in)
		if err == nil {
			h.note(r, "user changed", slog.String("account", string(out.Account)), slog.String("user", out.Name), slog.Bool("disabled", out.Disabled))
		}
		return out, err
	}))
	mux.Handle("DELETE "+pathUser, call(h, func(r *http.Request, _ empty) (empty, error) {
		err := d.DeleteUser(r.Context(), r.PathValue("account"), r.PathValue("user"))
		if err == nil {
			h.note(r, "user deleted", slog.String("account", r.PathValue("account")), slog.String("user", r.PathValue("user")))
		}
		return empty{}, err
	}))
}

func (h *handler) handleKeys(mux *http.ServeMux) {
	d := h.Directory
	mux.Handle("POST "+pathKeys, call(h, func(r *http.Request, in iam.NewKey) (iam.KeyPair, error) {
		out, err := d.CreateKey(r.Context(), in)
		if err == nil {
			h.noteKey(r, "access key created", out.AccessKey)
		}
		return out, err
	}))
	mux.Handle("GET "+pathKeys, call(h, func(r *http.Request, _ empty) (KeyList, error) {
		keys, err := d.Keys(r.Context(), r.URL.Query().Get("account"), r.URL.Query().Get("user"))
		return KeyList{keys}, err
	}))
	mux.Handle("PATCH "+pathKey, call(h, func(r *http.Request, in iam.KeyChange) (iam.AccessKey, error) {
		out, err := d.ChangeKey(r.Context(), r.PathValue("key"), in)
		if err == nil {
			h.noteKey(r, "access key changed", out)
		}
		return out, err
	}))
	mux.Handle("POST "+pathRotate, call(h, func(r *http.Request, in rotation) (iam.KeyPair, error) {
		out, err := d.RotateKey(r.Context(), r.PathValue("key"), in.Secret)
		if err == nil {
			h.noteKey(r, "access key rotated", out.AccessKey)
		}
		return out, err
	}))
	mux.Handle("DELETE "+pathKey, call(h, func(r *http.Request, _ empty) (empty, error) {
		err := d.DeleteKey(r.Context(), r.PathValue("key"))
		if err == nil {
			h.note(r, "access key deleted", slog.String("access_key", r.PathValue("key")))
		}
		return empty{}, err
	}))
}

func (h *handler) noteKey(r *http.Request, what string, k iam.AccessKey) {
	h.note(r, what, slog.String("access_key", k.AccessKey), slog.String("account", string(k.Account)),
		slog.String("user", k.User), slog.Bool("disabled", k.Disabled))
}
