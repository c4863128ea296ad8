package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value parses one setting into its field. Set replaces what a weaker source
// has put there; String renders the field as a user would write it, secrets
// hidden.
type value interface {
	Set(text string) error
	String() string
}

// list is a value that several words make up: a repeated flag, a sequence in
// the file, or one text with commas.
type list interface {
	value
	SetAll(items []string) error
}

type text string

func (t *text) Set(s string) error { *t = text(s); return nil }
func (t *text) String() string     { return string(*t) }

type boolean bool

func (b *boolean) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*b = boolean(v)
	return nil
}

func (b *boolean) String() string { return strconv.FormatBool(bool(*b)) }

// IsBoolFlag lets the flag stand without a value.
func (b *boolean) IsBoolFlag() bool { return true }

type count struct {
	to       *int
	min, max int
}

func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	if n < c.min || n > c.max {
		return fmt.Errorf("%d is not between %d and %d", n, c.min, c.max)
	}
	*c.to = n
	return nil
}

func (c *count) String() string { return strconv.Itoa(*c.to) }

type duration struct {
	to  *time.Duration
	min time.Duration
}

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30s or 5m", s)
	}
	if v < d.min {
		return fmt.Errorf("%s is less than %s", v, d.min)
	}
	*d.to = v
	return nil
}

func (d *duration) String() string { return d.to.String() }

type sizeValue struct {
	to       *Size
	min, max Size
}

func (v *sizeValue) Set(s string) error {
	n, err := ParseSize(s)
	if err != nil {
		return err
	}
	if n < v.min || n > v.max {
		return fmt.Errorf("%s is not between %s and %s", n, v.min, v.max)
	}
	*v.to = n
	return nil
}

func (v *sizeValue) String() string { return v.to.String() }

type choice[T ~string] struct {
	to   *T
	from []T
}

func (c *choice[T]) Set(s string) error {
	if !slices.Contains(c.from, T(s)) {
		names := make([]string, len(c.from))
		for i, f := range c.from {
			names[i] = string(f)
		}
		return fmt.Errorf("%q is not one of %s", s, strings.Join(names, ", "))
	}
	*c.to = T(s)
	return nil
}

func (c *choice[T]) String() string { return string(*c.to) }

type level struct{ to *slog.Level }

func (l *level) Set(s string) error {
	switch strings.ToLower(s) {
	case "debug":
		*l.to = slog.LevelDebug
	case "info":
		*l.to = slog.LevelInfo
	case "warn":
		*l.to = slog.LevelWarn
	case "error":
		*l.to = slog.LevelError
	default:
		return fmt.Errorf("%q is not one of debug, info, warn, error", s)
	}
	return nil
}

func (l *level) String() string { return strings.ToLower(l.to.String()) }

type schemeValue Scheme

func (v *schemeValue) Set(s string) error {
	if s == "auto" {
		*v = schemeValue{}
		return nil
	}
	data, parity, found := strings.Cut(s, "+")
	k, errK := strconv.Atoi(data)
	m, errM := strconv.Atoi(parity)
	if !found || errK != nil || errM != nil {
		return fmt.Errorf("%q is neither auto nor data+parity such as 4+2", s)
	}
	if k < 1 || k > 32 || m < 0 || m > 8 {
		return fmt.Errorf("%q: data shards are 1 to 32, parity shards 0 to 8", s)
	}
	*v = schemeValue{Data: k, Parity: m}
	return nil
}

func (v *schemeValue) String() string { return Scheme(*v).String() }

type address string

func (a *address) Set(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q: the port is not a number from 0 to 65535", s)
	}
	*a = address(s)
	return nil
}

func (a *address) String() string { return string(*a) }

type region string

func (r *region) Set(s string) error {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%q is not a region name (lowercase letters, digits and hyphens, at most 64)", s)
	}
	*r = region(s)
	return nil
}

func (r *region) String() string { return string(*r) }

type accessKey string

func (k *accessKey) Set(s string) error {
	if len(s) < 3 || len(s) > 128 {
		return errors.New("an access key has 3 to 128 characters")
	}
	// The key stands in an Authorization header between "Credential=" and "/".
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`/,="`, c) >= 0 {
			return errors.New(`an access key has no spaces, control characters, non-ASCII characters or any of / , = "`)
		}
	}
	*k = accessKey(s)
	return nil
}

func (k *accessKey) String() string { return string(*k) }

type secretKey Secret

func (k *secretKey) Set(s string) error {
	if len(s) < 8 {
		return errors.New("a secret key has at least 8 characters")
	}
	if len(s) > 1024 {
		return errors.New("a secret key has at most 1024 characters")
	}
	*k = secretKey(s)
	return nil
}

func (k *secretKey) String() string { return Secret(*k).String() }

type masterKey Secret

func (k *masterKey) Set(s string) error {
	// The decoder's own words could repeat the key.
	if raw, err := base64.StdEncoding.DecodeString(s); err != nil || len(raw) != 32 {
		return errors.New("a master key is the base64 of 32 bytes (openssl rand -base64 32)")
	}
	*k = masterKey(s)
	return nil
}

func (k *masterKey) String() string { return Secret(*k).String() }

type directories struct{ to *[]string }

func (d *directories) Set(s string) error { return d.SetAll(splitList(s)) }

func (d *directories) SetAll(items []string) error {
	var all []string
	for _, item := range items {
		expanded, err := ExpandBraces(item)
		if err != nil {
			return err
		}
		for _, dir := range expanded {
			if strings.TrimSpace(dir) == "" || strings.ContainsRune(dir, 0) {
				return fmt.Errorf("%q is not a directory name", dir)
			}
			all = append(all, filepath.Clean(dir))
		}
	}
	if len(all) > maxExpansion {
		return fmt.Errorf("more than %d directories", maxExpansion)
	}
	if err := checkDistinct(all); err != nil {
		return err
	}
	*d.to = all
	return nil
}

// checkDistinct refuses a directory that is named twice or lies in another.
func checkDistinct(dirs []string) error {
	seen := make(map[string]bool, len(dirs))
	for _, dir := range dirs {
		if seen[dir] {
			return fmt.Errorf("directory %q is given twice", dir)
		}
		seen[dir] = true
	}
	for _, dir := range dirs {
		for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
			if seen[parent] {
				return fmt.Errorf("directory %q holds another data directory", parent)
			}
		}
	}
	return nil
}

func (d *directories) String() string { return strings.Join(*d.to, ",") }

type domains struct{ to *[]string }

func (d *domains) Set(s string) error { return d.SetAll(splitList(s)) }

func (d *domains) SetAll(items []string) error {
	var all []string
	for _, item := range items {
		name := strings.ToLower(strings.Trim(item, "."))
		if !validDomain(name) {
			return fmt.Errorf("%q is not a domain name", item)
		}
		if slices.Contains(all, name) {
			return fmt.Errorf("domain %q is given twice", name)
		}
		all = append(all, name)
	}
	*d.to = all
	return nil
}

func (d *domains) String() string { return strings.Join(*d.to, ",") }

func validDomain(name string) bool {
	if name == "" || len(name) > 253 || net.ParseIP(name) != nil {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
