package config

import (
	"slices"
	"time"
)

// option is one row of the table: a setting and where its value goes.
type option struct {
	name  string
	group string
	// placeholder stands for the value in the help: DIR, SIZE, HOST:PORT.
	placeholder string
	fallback    string // the default, in the words a user would write
	help        string
	value       value
}

// configOption names the configuration file itself; it is the one setting that
// is not a key of the file.
const configOption = "config"

// The groups of the help, in the order they are shown.
const (
	groupStorage    = "Storage"
	groupNetwork    = "Network"
	groupIdentity   = "Identity"
	groupEncryption = "Encryption"
	groupNewBuckets = "New buckets"
	groupLimits     = "Limits"
	groupLogs       = "Logs"
)

// options binds every setting to its field of c. It is the single source of
// the flags, the environment variables, the file's keys, the help and the
// README's table.
func options(c *Config) []option {
	return slices.Concat(storageOptions(c), repairOptions(c), networkOptions(c), encryptionOptions(c), kmsOptions(c), newBucketOptions(c), limitOptions(c))
}

func storageOptions(c *Config) []option {
	const g = groupStorage
	return []option{
		{"data", g, "DIR", "", "A data directory, one for each disk; repeat it, separate several with commas, " +
			"or write /mnt/d{1...6}. Required.", &directories{&c.Data}},
		{"scheme", g, "K+M", "auto", "Data and parity shards of new partitions; auto follows the number of directories " +
			"(1: 1+0, 2: 1+1, 3: 2+1, 4-5: 2+2, 6-8: 4+2, 9-11: 6+3, 12 or more: 8+4).", (*schemeValue)(&c.Scheme)},
		{
			"partition-size", g, "SIZE", "1GiB", "Size at which a shard file is full and a new partition is begun; 64MiB to 64GiB.",
			&sizeValue{&c.PartitionSize, 64 * MiB, 64 * GiB},
		},
		{
			"media", g, "hdd|ssd", "hdd", "What the directories are on; it sets how small a piece is still worth splitting over disks.",
			&choice[Media]{&c.Media, []Media{MediaHDD, MediaSSD}},
		},
		{
			"inline-limit", g, "SIZE", "8KiB", "Objects up to this size are kept with their metadata; at most 64KiB, 0 for none. On FoundationDB 1KiB where it is not set.",
			&sizeValue{&c.InlineLimit, 0, 64 * KiB},
		},
		{
			"storage-class", g, "NAME[=K+M]", "", "A storage class besides STANDARD and the data and parity shards of its partitions, those of STANDARD where none are given; " +
				"repeat it for several. " + awsClasses + ", or a name of your own, of which AWS's least ages and sizes are not asked.",
			&classes{&c.StorageClasses},
		},
	}
}

func repairOptions(c *Config) []option {
	const g = groupStorage
	return []option{
		{
			"repair-delay", g, "DURATION", "15m", "How long a data directory may be missing before its data is rebuilt on the others, " +
				"so that a reboot does not start that.", &duration{&c.RepairDelay, 0},
		},
		{
			"repair-bandwidth", g, "SIZE", "0", "How much is rebuilt in a second; 0 for as much as the disks give.",
			&sizeValue{&c.RepairBandwidth, 0, 1024 * GiB},
		},
		{
			"background-share", g, "PERCENT", "25", "How much of the time repair and its like work while requests are served; 100 for all of it. " +
				"Without requests they always work.", &count{&c.BackgroundShare, 1, 100},
		},
		{
			"scrub-interval", g, "DURATION", "336h", "How often all data is read and verified, parity included; 0 for never.",
			&duration{&c.ScrubInterval, 0},
		},
		{
			"scrub-bandwidth", g, "SIZE", "0", "How much is verified in a second; 0 for what the interval takes, between 8MiB in all and 32MiB for each directory.",
			&sizeValue{&c.ScrubBandwidth, 0, 1024 * GiB},
		},
		{
			"compact-bandwidth", g, "SIZE", "0", "How much compaction moves in a second, to give space back; 0 for as much as the disks give.",
			&sizeValue{&c.CompactBandwidth, 0, 1024 * GiB},
		},
		{
			"lifecycle-rate", g, "N", "50000", "How many versions of objects lifecycle rules are applied to in a second; one that is deleted or moved counts as 20.",
			&count{&c.LifecycleRate, 1, 10_000_000},
		},
		{
			"lifecycle-debug-interval", g, "DURATION", "0", "How long a day of lifecycle rules lasts, without rounding to midnight: for tests of rules only. " +
				"0 for a day as S3 has it, which the headers of answers tell of always.", &duration{&c.LifecycleDebugInterval, 0},
		},
		{
			"collect-delay", g, "DURATION", "5m", "How long what was deleted or overwritten is kept before its space is used again, unless disks are short of it: " +
				"as long as the metadata may have to be restored to a moment before.", &duration{&c.CollectDelay, 0},
		},
		{
			"metadata", g, "ENGINE[:PLACE]", "pebble", "Where the metadata is: pebble keeps it mirrored on the data directories, pebble:DIR in one other directory without mirrors, " +
				"fdb:FILE?prefix=NAME in the FoundationDB cluster of a cluster file, under a name of the store (" + DefaultPrefix + "), for several servers at the same time. All paths are absolute.",
			(*metadataValue)(&c.Metadata),
		},
		{
			"metadata-witness", g, "DIR", "", "A directory on a device of none of the data directories, such as the system's disk, that only votes on which metadata is the newest: " +
				"with it two or four data directories survive the loss of half of them between runs too. It is made at the first start that names it.", (*text)(&c.MetadataWitness),
		},
		{
			"metadata-accept-loss", g, "", "false", "Start with the newest metadata that is in the data directories although those missing may hold newer: " +
				"what only they hold is lost. For one start, after the loss of more directories than the store is made for.", (*boolean)(&c.MetadataAcceptLoss),
		},
	}
}

func networkOptions(c *Config) []option {
	const g, id = groupNetwork, groupIdentity
	return []option{
		{"listen", g, "HOST:PORT", "127.0.0.1:9000", "Where S3 is served.", (*address)(&c.Listen)},
		{
			"admin-listen", g, "HOST:PORT", "127.0.0.1:9001", "Where health, metrics and administration are served; keep it private.",
			(*address)(&c.AdminListen),
		},
		{
			"domain", g, "NAME", "", "A domain under which buckets are host names (bucket.NAME); repeat it for several.",
			&domains{&c.Domains},
		},
		{
			"website-domain", g, "NAME", "", "A domain under which the websites of buckets are host names (bucket.NAME); repeat it for several. " +
				"With it, a bucket that is named like a whole host name and has a website is shown there too.", &domains{&c.WebsiteDomains},
		},
		{
			"tls-cert", g, "FILE", "", "Certificate chain in PEM; read again when the file changes and at SIGHUP. Needs tls-key. " +
				"Repeat both, in the same order, for several: clients get the first that is valid for the name they ask for.", &files{&c.TLSCerts},
		},
		{"tls-key", g, "FILE", "", "Private key of tls-cert in PEM.", &files{&c.TLSKeys}},
		{"region", id, "NAME", "us-east-1", "The region that requests are signed for.", (*region)(&c.Region)},
		{
			"allow-sigv2", id, "", "false", "Accept Signature Version 2 as well, which AWS has retired: in headers, presigned URLs and upload " +
				"forms. Only for old clients that know no other; what it signs is less.", (*boolean)(&c.AllowSigV2),
		},
		{"root-access-key", id, "KEY", "", "Access key of the root account, 3 to 128 characters. Without it a key pair is made " +
			"at the first start and kept in the data directories.", (*accessKey)(&c.RootAccessKey)},
		{"root-secret-key", id, "SECRET", "", "Secret key of the root account, at least 8 characters. A flag shows in the list of " +
			"processes; prefer the environment or the file.", (*secretKey)(&c.RootSecretKey)},
		{"master-key-file", id, "FILE", "", "A file with the master key, which encrypts the secrets of access keys: 32 bytes in base64. " +
			"Without it and master-key one is made at the first start and kept in the data directories.", (*text)(&c.MasterKeyFile)},
		{
			"master-key", id, "KEY", "", "The master key itself. A flag shows in the list of processes; prefer the environment.",
			(*masterKey)(&c.MasterKey),
		},
		{
			"previous-master-key-file", id, "FILE", "", "A file with the master key that the configured one replaces, until admin keys rotate --master has sealed everything anew.",
			(*text)(&c.PreviousMasterKeyFile),
		},
		{
			"core-dumps", id, "", "false", "Let the system write core files of this process, and debuggers attach to it: both show keys.",
			(*boolean)(&c.CoreDumps),
		},
	}
}

func limitOptions(c *Config) []option {
	const g, logs = groupLimits, groupLogs
	return []option{
		{"buffer-memory", g, "SIZE", "192MiB", "Memory for the bodies of all requests together; beyond it requests wait, " +
			"then get 503 SlowDown. 16MiB or more.", &sizeValue{&c.BufferMemory, 16 * MiB, 1024 * GiB}},
		{
			"max-connections", g, "N", "4096", "Client connections open at a time; more wait to be accepted.",
			&count{&c.MaxConnections, 1, 1 << 20},
		},
		{"max-header-bytes", g, "SIZE", "64KiB", "Size of one request's line and headers.", &sizeValue{&c.MaxHeaderBytes, 8 * KiB, MiB}},
		{
			"header-timeout", g, "DURATION", "10s", "Time a client has to send a request's headers.",
			&duration{&c.HeaderTimeout, 100 * time.Millisecond},
		},
		{
			"idle-timeout", g, "DURATION", "2m", "How long a connection without a request is kept.",
			&duration{&c.IdleTimeout, 100 * time.Millisecond},
		},
		{"stall-timeout", g, "DURATION", "1m", "How long a body may stand still, sent or received, before the request is ended; " +
			"a transfer that moves is never cut.", &duration{&c.StallTimeout, 100 * time.Millisecond}},
		{"shutdown-timeout", g, "DURATION", "30s", "Time given to requests in flight at SIGTERM.", &duration{&c.ShutdownTimeout, 0}},
		{"log-level", logs, "LEVEL", "info", "debug, info, warn or error.", &level{&c.LogLevel}},
		{
			"log-format", logs, "text|json", "text", "Shape of the log lines on standard error.",
			&choice[LogFormat]{&c.LogFormat, []LogFormat{LogText, LogJSON}},
		},
		{"access-log", logs, "", "false", "Log every request at level info, not only those that the server failed.", (*boolean)(&c.AccessLog)},
	}
}
