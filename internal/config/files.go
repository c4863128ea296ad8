package config

import (
	"errors"
	"slices"
	"strings"
)

// files are names in an order that counts.
type files struct{ to *[]string }

func (f *files) Set(s string) error { return f.SetAll(splitList(s)) }

func (f *files) SetAll(items []string) error {
	if slices.Contains(items, "") {
		return errors.New("the name of a file is empty")
	}
	*f.to = slices.Clone(items)
	return nil
}

func (f *files) String() string { return strings.Join(*f.to, ",") }
