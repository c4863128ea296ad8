package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Op names what a run does.
type Op string

// The operations of the driver. Prepare loads Objects objects, which a run with
// SkipPrepare then finds; Delete deletes all of them once; Mixed is 45 % GET, 30 % HEAD, 15 % PUT and 10 % DELETE.
const (
	OpPut       Op = "put"
	OpGet       Op = "get"
	OpHead      Op = "head"
	OpList      Op = "list"
	OpDelete    Op = "delete"
	OpMixed     Op = "mixed"
	OpMultipart Op = "multipart"
	OpPrepare   Op = "prepare"
)

// Config describes one run. Zero values are defaults where one is named.
type Config struct {
	Name           string      // label in the report
	Endpoint       string      // http://host:port or https://host:port
	Credentials    Credentials // of the root or any account
	Region         string      // default us-east-1
	Bucket         string      // default s3bench; created when missing
	Prefix         string      // of all keys; default the operation and "/"
	Op             Op
	Size           int64         // bytes of an object, or of a part of a multipart upload
	Parts          int           // parts of a multipart upload; default 8
	Concurrency    int           // connections; default 1
	Duration       time.Duration // measured window; ignored when Count is set
	Warmup         time.Duration // before the window, not measured; none with Count
	Count          uint64        // operations in all; 0: by Duration
	Objects        int           // put before get, head, list, mixed and delete; default 1000
	SkipPrepare    bool          // they are already there, put by an equal run
	Rewrite        int           // put writes so many keys again and again; 0: each a new one
	Payload        PayloadMode   // default Unsigned
	Checksum       Checksum      // default NoChecksum; StreamingUnsigned makes it CRC64NVME
	ChunkSize      int           // of aws-chunked bodies; default 64 KiB
	PageSize       int           // of listings; default 1000
	Verify         bool          // compare every byte read
	InsecureTLS    bool          // accept any certificate
	RequestTimeout time.Duration // of one request; default 2 min

	addr string
	host string
	tls  *tls.Config
}

func (c *Config) normalize() error {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("endpoint %q: want http://host:port", c.Endpoint)
	}
	c.host, c.addr = u.Host, u.Host
	if u.Port() == "" {
		c.addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	if u.Scheme == "https" {
		c.tls = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: c.InsecureTLS}
	}
	c.defaults()
	return c.validate()
}

func (c *Config) defaults() {
	c.Region = or(c.Region, "us-east-1")
	c.Bucket = or(c.Bucket, "s3bench")
	c.Prefix = or(c.Prefix, string(c.Op)+"/")
	c.Parts = or(c.Parts, 8)
	c.Concurrency = or(c.Concurrency, 1)
	c.Objects = or(c.Objects, 1000)
	c.Payload = or(c.Payload, Unsigned)
	c.Checksum = or(c.Checksum, NoChecksum)
	if c.Payload == StreamingUnsigned && c.Checksum == NoChecksum {
		c.Checksum = CRC64NVME
	}
	c.ChunkSize = or(c.ChunkSize, 64<<10)
	c.PageSize = or(c.PageSize, 1000)
	c.RequestTimeout = or(c.RequestTimeout, 2*time.Minute)
	if c.Op == OpPrepare {
		c.Count = uint64(c.Objects)
	}
	if c.Op == OpDelete {
		c.Count = uint64(c.Objects)
	}
	if c.Count > 0 {
		c.Warmup = 0
	}
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (c *Config) validate() error {
	switch c.Op {
	case OpPut, OpGet, OpHead, OpList, OpDelete, OpMixed, OpMultipart, OpPrepare:
	default:
		return fmt.Errorf("unknown operation %q", c.Op)
	}
	switch {
	case c.Count == 0 && c.Duration <= 0:
		return errors.New("give a duration or a count")
	case c.Size < 0 || c.Size > 1<<30:
		return fmt.Errorf("size %d: want 0 to 1 GiB", c.Size)
	case c.Concurrency < 0 || c.Concurrency > 1<<14 || c.Parts < 0 || c.Parts > 10000 || c.Objects < 0 || c.Rewrite < 0:
		return errors.New("concurrency, parts, objects or rewritten keys out of range")
	case c.ChunkSize < 0 || c.PageSize < 0 || c.PageSize > 1000:
		return errors.New("chunk size or page size out of range")
	}
	return nil
}
