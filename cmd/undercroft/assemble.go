package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/gateway"
	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
	"github.com/undercroft/undercroft/steward"
)

// system is a running store, as the server around it sees it.
type system struct {
	// S3 answers the clients. It is done with a request when it returns.
	S3 http.Handler
	// Conditions say what must hold for the system to be ready.
	Conditions []admin.Condition
	// Status describes the system for administrators; it encodes to JSON.
	Status func(ctx context.Context) (any, error)
	// Checker goes through the whole state while the system runs.
	Checker admin.Checker
	// BackupMetadata copies the metadata into a new directory.
	BackupMetadata func(ctx context.Context, directory string) error
	// ExportMetadata writes all of the metadata to w.
	ExportMetadata func(ctx context.Context, w io.Writer) error
	// Directory administers accounts, users and access keys.
	Directory admin.Directory
	// Jobs controls the background jobs.
	Jobs admin.JobDirectory
	// Disks keeps the disks.
	Disks admin.DiskDirectory
	// Keys keeps the encryption keys.
	Keys admin.EncryptionKeyDirectory
	// Directories are the data directories that are open and ours. One that is
	// missing, or is empty where data used to be, is not among them, and
	// nothing is written into it.
	Directories []string
	// Failed is closed when the system cannot serve any more and the process
	// should stop; Err says why. A nil channel never fails.
	Failed <-chan struct{}
	Err    func() error
	// Close ends the background work and closes everything, durably. It is
	// called once, when no request is in S3 any more.
	Close func(ctx context.Context) error
}

// parts is what assemble is given besides the configuration.
type parts struct {
	logger    *slog.Logger
	registry  *prometheus.Registry
	root      rootCredentials
	masterKey directory.MasterKey
	// previousMasterKey is the one that masterKey replaces, or zero.
	previousMasterKey directory.MasterKey
	requestIDs        *observability.RequestIDs
	now               func() time.Time
	random            io.Reader
	activity          *atomic.Int64 // of requests; nil: there are none
}

// assembler opens the data directories and returns a system that can serve.
// When ctx ends while it works it gives up. A failed call leaves nothing open.
type assembler func(ctx context.Context, cfg config.Config, p parts) (*system, error)

// compactionDelay is how long after a start the first requests have the processor.
const compactionDelay = 3 * time.Second

// Heights below which columns of a stripe are not split further, so that a
// read of up to that size is one read from one disk.
const (
	minColumnHDD = 512 << 10
	minColumnSSD = 128 << 10
)

// assemble joins gateway, objects, partitions, disks and metadata.
func assemble(ctx context.Context, cfg config.Config, p parts) (*system, error) {
	p.activity = new(atomic.Int64)
	keySet, err := newKeySet(cfg, p)
	if err != nil {
		return nil, err
	}
	options := storeOptions(cfg, p)
	options.Keys = keySet.open
	store, err := single.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	who, err := assembleDirectory(ctx, p, store)
	var handler http.Handler
	if err == nil {
		handler, err = assembleGateway(cfg, p, store, who)
	}
	if err == nil {
		err = errors.Join(p.registry.Register(store.Collector()), p.registry.Register(store.JobCollector()), p.registry.Register(store.MetadataStoreCollector()), keySet.metrics.register(p.registry))
	}
	if err != nil {
		return nil, errors.Join(err, store.Close(ctx))
	}
	keySet.welcome(ctx)
	return &system{
		S3:             handler,
		Conditions:     append(storeConditions(store), keySet.conditions()...),
		Status:         func(ctx context.Context) (any, error) { return describe(ctx, store) },
		Checker:        store,
		BackupMetadata: store.BackupMetadata,
		ExportMetadata: exportOf(store),
		Directory:      who,
		Jobs:           jobs{store},
		Disks:          disks{store},
		Keys:           encryptionKeys{keySet, store, who},
		Directories:    store.Directories(),
		Failed:         store.Failed(),
		Err:            store.Err,
		Close: func(ctx context.Context) error {
			defer keySet.close()
			return store.Close(ctx)
		},
	}, nil
}

// storeConditions are what must hold for a store to be ready.
func storeConditions(store *single.System) []admin.Condition {
	return []admin.Condition{{Name: "metadata", Check: store.Ready}, {Name: "disks", Check: store.Writable}}
}

func storeOptions(cfg config.Config, p parts) single.Options {
	column := minColumnSSD
	if cfg.Media == config.MediaHDD {
		column = minColumnHDD
	}
	inline := int64(cfg.InlineLimit)
	if inline == 0 {
		inline = -1 // the setting says none; a zero option would mean the default
	}
	delay := cfg.RepairDelay
	if delay == 0 {
		delay = -1 // likewise
	}
	scrub := cfg.ScrubInterval
	if scrub == 0 {
		scrub = -1 // likewise
	}
	grace := cfg.CollectDelay
	if grace == 0 {
		grace = -1 // likewise
	}
	background := steward.Options{
		Grace: grace, RepairDelay: delay, RepairBandwidth: int64(cfg.RepairBandwidth), Share: cfg.BackgroundShare,
		ScrubInterval: scrub, ScrubBandwidth: int64(cfg.ScrubBandwidth),
		CompactBandwidth: int64(cfg.CompactBandwidth),
	}
	if p.activity != nil {
		background.Activity = p.activity.Load
	}
	return single.Options{
		FS: vfs.Default(), Dirs: cfg.Data, Now: p.now, Region: cfg.Region,
		InlineLimit: inline,
		Scheme:      partition.Scheme{K: cfg.Scheme.Data, M: cfg.Scheme.Parity},
		Classes:     classSchemes(cfg),
		Capacity:    int64(cfg.PartitionSize), MinColumn: column,
		BufferMemory: int64(cfg.BufferMemory), Logger: p.logger,
		Steward:    background,
		Lifecycle:  steward.LifecycleOptions{Rate: int64(cfg.LifecycleRate), Day: cfg.LifecycleDebugInterval},
		AcceptLoss: cfg.MetadataAcceptLoss, Witness: cfg.MetadataWitness,
		Engine: pebble.Options{CompactionDelay: compactionDelay}, External: external(cfg, p),
	}
}

// classSchemes are the schemes of the storage classes, zero for that of STANDARD.
func classSchemes(cfg config.Config) map[string]partition.Scheme {
	out := make(map[string]partition.Scheme, len(cfg.StorageClasses))
	for _, c := range cfg.StorageClasses {
		out[c.Name] = partition.Scheme{K: c.Scheme.Data, M: c.Scheme.Parity}
	}
	return out
}

// classNames are those that requests may name besides STANDARD.
func classNames(cfg config.Config) []string {
	return slices.Sorted(maps.Keys(classSchemes(cfg)))
}

func assembleDirectory(ctx context.Context, p parts, store *single.System) (*directory.Directory, error) {
	return directory.Open(ctx, store.DB, directory.Options{
		RootAccessKey: p.root.AccessKey, RootSecret: string(p.root.SecretKey), MasterKey: p.masterKey, Previous: p.previousMasterKey,
		Now: p.now, Rand: p.random,
	})
}

func assembleGateway(cfg config.Config, p parts, store *single.System, who *directory.Directory) (http.Handler, error) {
	return gateway.New(gateway.Options{
		Objects: store.Objects,
		Authenticator: &sigv4.Verifier{
			Region: cfg.Region, Now: p.now, Legacy: legacySignatures(cfg, p.now),
			Secret: func(ctx context.Context, accessKey string) (string, error) {
				c, err := who.Lookup(ctx, accessKey)
				if errors.Is(err, iam.ErrNoSuchKey) {
					err = fmt.Errorf("%w: %w", sigv4.ErrUnknownAccessKey, err)
				}
				return c.Secret, err
			},
		},
		ObjectOwnership:   s3.ObjectOwnership(cfg.NewBuckets.ObjectOwnership),
		PublicAccess:      cfg.NewBuckets.PublicAccessBlock == config.Off,
		MaxBuckets:        cfg.NewBuckets.Most,
		StorageClasses:    classNames(cfg),
		DefaultEncryption: defaultEncryption(cfg), PlainKeys: gateway.PlainKeys(cfg.Encryption.KeysWithoutTLS),
		Keyring: who, Accounts: who, Now: p.now, Region: cfg.Region, Domains: cfg.Domains, WebsiteDomains: cfg.WebsiteDomains,
		HostID: p.requestIDs.HostID(), NewRequestID: p.requestIDs.NewID,
		Logger: p.logger, AccessLog: cfg.AccessLog, Metrics: p.registry, Activity: p.activity,
	})
}

// defaultEncryption is the encryption of objects that nobody asks to encrypt,
// empty for none.
func defaultEncryption(cfg config.Config) s3.SSEAlgorithm {
	if cfg.Encryption.Default == config.EncryptNothing {
		return ""
	}
	return s3.SSEAlgorithm(cfg.Encryption.Default)
}

// offline checks a store that is not running.
type offline struct{ options single.Options }

// Check implements [admin.Checker].
func (o offline) Check(ctx context.Context, w io.Writer) error {
	return single.CheckOffline(ctx, o.options, w)
}

// assembleOffline returns the checker of a stopped server's directories, which
// opens and closes them itself.
func assembleOffline(cfg config.Config, p parts) admin.Checker {
	return offline{storeOptions(cfg, p)}
}
