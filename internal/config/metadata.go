package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// MetadataEngine is what keeps the metadata.
type MetadataEngine string

// The engines.
const (
	EnginePebble MetadataEngine = "pebble"
	EngineFDB    MetadataEngine = "fdb"
)

// Metadata says where the metadata is.
type Metadata struct {
	Engine MetadataEngine
	// Dir is the one directory of the embedded engine; empty: it is mirrored on the
	// data directories.
	Dir string
	// ClusterFile is that of a FoundationDB cluster.
	ClusterFile string
	// Prefix names the store among those that share the cluster.
	Prefix string
}

const (
	// DefaultPrefix is the name of a store in a FoundationDB cluster that nobody named.
	DefaultPrefix = "uc"
	// maxPrefix bounds it: every key carries it.
	maxPrefix = 31
	// sharedInlineLimit is the default of inline-limit on FoundationDB, whose
	// replicas and logs write each such byte several times.
	sharedInlineLimit = KiB
)

// Embedded reports whether the metadata is on the data directories.
func (m Metadata) Embedded() bool { return m.Engine == EnginePebble && m.Dir == "" }

// Shared reports whether several processes may use the metadata at the same time.
func (m Metadata) Shared() bool { return m.Engine == EngineFDB }

// KeyPrefix is what every key in the cluster begins with: the name and a zero byte, so
// that no store lies inside of another.
func (m Metadata) KeyPrefix() []byte { return append([]byte(m.Prefix), 0) }

// String renders the setting as a user would write it.
func (m Metadata) String() string {
	switch {
	case m.Engine == EngineFDB:
		return fmt.Sprintf("%s:%s?prefix=%s", m.Engine, m.ClusterFile, m.Prefix)
	case m.Dir != "":
		return string(m.Engine) + ":" + m.Dir
	}
	return string(m.Engine)
}

type metadataValue Metadata

func (v *metadataValue) String() string { return Metadata(*v).String() }

func (v *metadataValue) Set(s string) error {
	engine, place, found := strings.Cut(s, ":")
	switch {
	case s == string(EnginePebble):
		*v = metadataValue{Engine: EnginePebble}
		return nil
	case found && engine == string(EnginePebble):
		if err := absolute("directory", place); err != nil {
			return err
		}
		*v = metadataValue{Engine: EnginePebble, Dir: filepath.Clean(place)}
		return nil
	case found && engine == string(EngineFDB):
		return v.setFDB(place)
	}
	return fmt.Errorf("%q is none of pebble, pebble:DIR and fdb:FILE?prefix=NAME", s)
}

// setFDB reads FILE?prefix=NAME. A file whose name has a question mark is none that can be named.
func (v *metadataValue) setFDB(place string) error {
	file, query, _ := strings.Cut(place, "?")
	if err := absolute("cluster file", file); err != nil {
		return err
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("%q is not prefix=NAME", query)
	}
	prefix := DefaultPrefix
	for name, values := range parameters {
		if name != "prefix" || len(values) != 1 {
			return fmt.Errorf("%q: prefix=NAME, once, is all that may follow the question mark", query)
		}
		prefix = values[0]
	}
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	*v = metadataValue{Engine: EngineFDB, ClusterFile: filepath.Clean(file), Prefix: prefix}
	return nil
}

func absolute(what, path string) error {
	switch {
	case path == "":
		return fmt.Errorf("the %s is missing", what)
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q is not the name of a %s", path, what)
	case !filepath.IsAbs(path):
		return fmt.Errorf("the %s %q is not an absolute path", what, path)
	case strings.HasSuffix(path, "/") && what != "directory":
		return fmt.Errorf("the %s %q is a directory", what, path)
	}
	return nil
}

func checkPrefix(prefix string) error {
	if prefix == "" || len(prefix) > maxPrefix {
		return fmt.Errorf("the prefix %.40q does not have 1 to %d characters", prefix, maxPrefix)
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
	if strings.Trim(prefix, allowed) != "" {
		return fmt.Errorf("the prefix %q has others than letters, digits and . _ - /", prefix)
	}
	return nil
}

// Kind is what the configuration is for.
type Kind int

// The kinds.
const (
	// Server serves data directories.
	Server Kind = iota
	// Gateway serves shared metadata, without data directories of its own.
	Gateway
	// Offline looks at, or fills, the metadata while nothing serves it; data
	// directories are needed only where the metadata is on them.
	Offline
)

// settled is the configuration with the defaults that follow from other settings.
func (c Config) settled(origin map[string]string) Config {
	if c.Metadata.Shared() && strings.HasPrefix(origin["inline-limit"], "default ") {
		c.InlineLimit = sharedInlineLimit
	}
	return c
}

// validateMetadata checks what the kind of process and the place of the metadata ask of
// each other and of the data directories.
func (c Config) validateMetadata(kind Kind, origin map[string]string) error {
	switch {
	case kind == Gateway && !c.Metadata.Shared():
		return &Error{Source: origin["metadata"], Problem: "a gateway has no data directories and shares the metadata of others: give --metadata fdb:FILE; undercroft server serves data directories"}
	case kind == Gateway && len(c.Data) > 0:
		return &Error{Source: origin["data"], Problem: "a gateway has no data directories: undercroft server serves them"}
	case kind == Gateway:
		return c.validateGateway(origin)
	case len(c.Data) == 0 && (kind == Server || c.Metadata.Embedded()):
		return &Error{Problem: "no data directory: give --data DIR, " + envName("data") + " or data: in the configuration file"}
	case !c.Metadata.Embedded() && c.MetadataWitness != "":
		return &Error{Source: origin["metadata-witness"], Problem: "a witness is for metadata on the data directories, and it is in " + c.Metadata.String()}
	}
	return c.apart(origin["metadata"])
}

// validateGateway asks for what a server keeps in its data directories.
func (c Config) validateGateway(origin map[string]string) error {
	switch {
	case c.RootAccessKey == "":
		return &Error{Source: origin["root-access-key"], Problem: "a gateway keeps nothing: it needs root-access-key and root-secret-key, the same as the servers of the store"}
	case c.MasterKey == "" && c.MasterKeyFile == "":
		return &Error{Source: origin["master-key-file"], Problem: "a gateway keeps nothing: it needs master-key-file, the same key as the servers of the store"}
	}
	return nil
}

// apart refuses metadata inside of a data directory, or around one.
func (c Config) apart(source string) error {
	if c.Metadata.Dir == "" {
		return nil
	}
	var all []string
	for _, dir := range append(slices.Clone(c.Data), c.Metadata.Dir) {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return &Error{Source: source, Problem: err.Error()}
		}
		all = append(all, abs)
	}
	if err := checkDistinct(all); err != nil {
		return &Error{Source: source, Problem: errors.Join(err).Error() + ": the directory of the metadata is beside the data directories"}
	}
	return nil
}
