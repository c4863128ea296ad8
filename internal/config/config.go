// Package config is what an operator can say to `undercroft server`.
//
// One table (options in table.go) lists every setting with its name, kind,
// default and help. Command-line flags, UNDERCROFT_* environment variables, the
// YAML configuration file, the help text and the table in the README are all
// derived from it, so they cannot say different things. A setting named
// tls-cert is the flag --tls-cert, the variable UNDERCROFT_TLS_CERT and the key
// tls-cert of the file. A flag wins over the environment, the environment over
// the file, the file over the default.
//
// [Load] either returns a configuration that is complete and valid or an
// [Error] of one line that says where the bad value came from. It never prints
// and never repeats a secret. It opens nothing: that a directory or a
// certificate can be used is found out by whoever opens it.
//
// Only cmd may import this package; the layers below take plain parameters.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// ErrHelp is returned by [Load] when the arguments ask for help.
var ErrHelp = errors.New("help requested")

// Error is a configuration that cannot be used.
type Error struct {
	// Source says where the value came from: "flag --listen",
	// "environment UNDERCROFT_LISTEN" or "undercroft.yaml:7: listen".
	Source string
	// Problem says what is wrong with it.
	Problem string
}

// Error returns one line.
func (e *Error) Error() string {
	if e.Source == "" {
		return e.Problem
	}
	return e.Source + ": " + e.Problem
}

// Secret is a string that does not show itself when it is printed or logged.
type Secret string

// String hides the secret; convert with string(s) to use it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the secret from %#v too.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Media is the kind of disk the data directories are on.
type Media string

// The kinds of media.
const (
	MediaHDD Media = "hdd"
	MediaSSD Media = "ssd"
)

// LogFormat is the shape of a log line.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Scheme is the number of data and parity shards of a partition. The zero
// value leaves the choice to the number of disks.
type Scheme struct {
	Data, Parity int
}

// Auto reports whether the number of disks decides.
func (s Scheme) Auto() bool { return s.Data == 0 }

// String returns "auto" or k+m.
func (s Scheme) String() string {
	if s.Auto() {
		return "auto"
	}
	return fmt.Sprintf("%d+%d", s.Data, s.Parity)
}

// Config is everything `undercroft server` can be told. [Load] fills all of it.
type Config struct {
	// Data holds the data directories, braces expanded, cleaned, absolute or
	// relative as given, without duplicates.
	Data []string
	// Region is the one region that signatures must name.
	Region string
	// StorageClasses may be named besides STANDARD.
	StorageClasses []StorageClass
	// Domains are the lowercase names under which a bucket is a host name.
	Domains []string
	// WebsiteDomains are the lowercase names under which a bucket's website is a
	// host name; none of them is of Domains.
	WebsiteDomains []string

	// Metadata says where the metadata is.
	Metadata Metadata
	// MetadataWitness is a directory that votes on which metadata is the newest.
	MetadataWitness string
	// MetadataAcceptLoss starts although newer metadata may be missing.
	MetadataAcceptLoss bool

	// AllowSigV2 accepts Signature Version 2 besides Version 4.
	AllowSigV2 bool

	// Listen and AdminListen are host:port addresses.
	Listen, AdminListen string
	// TLSCerts and TLSKeys are files, as many of the one as of the other: those of
	// a pair have the same place.
	TLSCerts, TLSKeys []string

	// RootAccessKey and RootSecretKey are both set or both empty.
	RootAccessKey string
	RootSecretKey Secret
	// MasterKey is the text of the master key and MasterKeyFile the file that holds
	// it; at most one of them is set.
	MasterKey     Secret
	MasterKeyFile string
	// PreviousMasterKeyFile holds the master key that the configured one replaces.
	PreviousMasterKeyFile string
	// CoreDumps lets the system write core files of the process, keys included.
	CoreDumps bool

	Encryption Encryption
	KMS        KMS
	NewBuckets NewBuckets

	LogLevel  slog.Level
	LogFormat LogFormat
	// AccessLog logs every request at level info.
	AccessLog bool

	// Scheme, PartitionSize, Media and InlineLimit shape what is written from
	// now on; what is stored already stays readable.
	Scheme        Scheme
	PartitionSize Size
	Media         Media
	InlineLimit   Size

	// RepairDelay is how long a disk may be missing before its shards are
	// rebuilt, RepairBandwidth how many bytes of them are in a second; zero is no
	// bound.
	RepairDelay     time.Duration
	RepairBandwidth Size
	// CollectDelay is how long what was deleted or overwritten is kept.
	CollectDelay time.Duration
	// BackgroundShare is the percentage of the time that a background job with
	// bulk I/O works while requests move.
	BackgroundShare int
	// ScrubInterval is how often all data is verified, zero for never;
	// ScrubBandwidth bounds how much is in a second, zero is what that takes.
	ScrubInterval  time.Duration
	ScrubBandwidth Size
	// CompactBandwidth is how many bytes compaction moves in a second; zero is
	// no bound.
	CompactBandwidth Size
	// LifecycleRate is how many versions lifecycle rules are applied to in a second.
	LifecycleRate int
	// LifecycleDebugInterval is how long a day of lifecycle rules is, for tests;
	// zero is a day.
	LifecycleDebugInterval time.Duration
	// BufferMemory bounds the buffers of all request bodies together.
	BufferMemory Size
	// MaxConnections bounds the open client connections.
	MaxConnections int
	// MaxHeaderBytes bounds the request line and headers of one request.
	MaxHeaderBytes Size
	// HeaderTimeout bounds the time to send a request's headers.
	HeaderTimeout time.Duration
	// IdleTimeout closes a kept-alive connection without a request.
	IdleTimeout time.Duration
	// StallTimeout ends a request whose body makes no progress in either
	// direction; one that progresses is never cut.
	StallTimeout time.Duration
	// ShutdownTimeout bounds the wait for requests in flight at SIGTERM.
	ShutdownTimeout time.Duration
}

// LogValue lists the settings as one group for the log, secrets hidden.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, o := range options(&c) {
		if text := o.value.String(); text != "" {
			attrs = append(attrs, slog.String(o.name, text))
		}
	}
	return slog.GroupValue(attrs...)
}

// TLS reports whether clients are served over TLS.
func (c Config) TLS() bool { return len(c.TLSCerts) > 0 }

// envName returns the environment variable of a setting.
func envName(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}
