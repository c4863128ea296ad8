package config

import (
	"fmt"
	"slices"
	"strings"
)

// StorageClass is a class that objects may be kept in besides STANDARD.
type StorageClass struct {
	Name string
	// Scheme is that of its partitions; auto is that of STANDARD.
	Scheme Scheme
}

// String returns NAME=K+M, or NAME where the scheme is that of STANDARD.
func (c StorageClass) String() string {
	if c.Scheme.Auto() {
		return c.Name
	}
	return c.Name + "=" + c.Scheme.String()
}

// awsClasses are the names that S3 has for classes whose objects can be read
// at once. Clients know no others, and most take them.
const awsClasses = "STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, REDUCED_REDUNDANCY or GLACIER_IR"

// maxClass bounds the name of a class, in bytes, and maxClasses the partitions that are open at a
// time: each class that is written to has up to four.
const (
	maxClass   = 64
	maxClasses = 8
)

// classes are the values of storage-class.
type classes struct{ to *[]StorageClass }

func (v *classes) Set(s string) error { return v.SetAll(splitList(s)) }

func (v *classes) SetAll(items []string) error {
	out := make([]StorageClass, 0, len(items))
	for _, item := range items {
		name, scheme, given := strings.Cut(item, "=")
		if err := validClass(name); err != nil {
			return err
		}
		if slices.ContainsFunc(out, func(c StorageClass) bool { return c.Name == name }) {
			return fmt.Errorf("storage class %q is given twice", name)
		}
		var parsed schemeValue
		if given {
			if err := parsed.Set(scheme); err != nil {
				return fmt.Errorf("storage class %s: %w", name, err)
			}
		}
		out = append(out, StorageClass{name, Scheme(parsed)})
	}
	if len(out) > maxClasses {
		return fmt.Errorf("%d storage classes: give %d at most", len(out), maxClasses)
	}
	*v.to = out
	return nil
}

func (v *classes) String() string {
	texts := make([]string, len(*v.to))
	for i, c := range *v.to {
		texts[i] = c.String()
	}
	return strings.Join(texts, ",")
}

func validClass(name string) error {
	switch name {
	case "STANDARD":
		return fmt.Errorf("storage class STANDARD is always there: the setting scheme says how it is kept")
	case "GLACIER", "DEEP_ARCHIVE":
		return fmt.Errorf("clients expect objects in storage class %s to be restored before they are read, which is not built: use GLACIER_IR", name)
	}
	if name == "" || len(name) > maxClass || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return fmt.Errorf("%q is no name of a storage class: use %s, or one of your own of up to %d of A-Z, 0-9 and _", name, awsClasses, maxClass)
	}
	return nil
}

// validateClasses holds the classes against the directories.
func (c Config) validateClasses(source string) error {
	for _, class := range c.StorageClasses {
		if n := class.Scheme.Data + class.Scheme.Parity; n > len(c.Data) && len(c.Data) > 0 {
			return &Error{Source: source, Problem: fmt.Sprintf("%s needs %d data directories, there are %d: give more of them, or fewer shards",
				class, n, len(c.Data))}
		}
	}
	return nil
}
