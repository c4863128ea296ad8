// Command s3bench drives an S3 endpoint and prints a JSON report; "s3bench
// table" reads such reports from standard input and prints a Markdown table.
//
// Keys come from -access-key and -secret-key, else from AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/undercroft/undercroft/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "s3bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 1 && args[0] == "table" {
		return table(in, out)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	report, err := load.Run(ctx, o.config, &o.observer)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(report); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if report.Total.Failed > o.allowErrors {
		return fmt.Errorf("%d operations failed: %v", report.Total.Failed, report.Total.Errors)
	}
	return nil
}

type options struct {
	config      load.Config
	observer    load.Observer
	allowErrors uint64
}

func parse(args []string) (*options, error) {
	o := &options{observer: load.Observer{Root: os.DirFS("/")}}
	f := flag.NewFlagSet("s3bench", flag.ContinueOnError)
	o.targetFlags(f)
	o.loadFlags(f)
	o.observerFlags(f)
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.observer.MetricsURL != "" && len(o.observer.Counters) == 0 {
		return nil, errors.New("-metrics-url needs -counters")
	}
	return o, nil
}

// targetFlags say where the server is.
func (o *options) targetFlags(f *flag.FlagSet) {
	c := &o.config
	f.StringVar(&c.Endpoint, "endpoint", "http://127.0.0.1:9000", "S3 endpoint")
	f.StringVar(&c.Credentials.AccessKey, "access-key", os.Getenv("AWS_ACCESS_KEY_ID"), "access key")
	f.StringVar(&c.Credentials.SecretKey, "secret-key", os.Getenv("AWS_SECRET_ACCESS_KEY"), "secret key")
	f.StringVar(&c.Region, "region", "us-east-1", "region in signatures")
	f.StringVar(&c.Bucket, "bucket", "s3bench", "bucket, created when missing")
	f.StringVar(&c.Prefix, "prefix", "", "prefix of keys (default the operation and /)")
	f.BoolVar(&c.InsecureTLS, "insecure", false, "accept any certificate")
	f.DurationVar(&c.RequestTimeout, "timeout", 2*time.Minute, "of one request")
}

// loadFlags say what to do to it.
func (o *options) loadFlags(f *flag.FlagSet) {
	c := &o.config
	f.StringVar(&c.Name, "name", "", "label in reports")
	f.Func("op", "put, get, head, list, delete, mixed, multipart or prepare", func(s string) error {
		c.Op = load.Op(s)
		return nil
	})
	f.Func("size", "bytes of an object or part, as 4KiB or 10MiB", func(s string) (err error) {
		c.Size, err = load.ParseSize(s)
		return err
	})
	f.IntVar(&c.Parts, "parts", 8, "parts of a multipart upload")
	f.IntVar(&c.Concurrency, "concurrency", 1, "connections")
	f.DurationVar(&c.Duration, "duration", 10*time.Second, "measured window")
	f.DurationVar(&c.Warmup, "warmup", 2*time.Second, "before the window")
	f.Uint64Var(&c.Count, "count", 0, "operations in all, instead of a duration")
	f.IntVar(&c.Objects, "objects", 1000, "objects to put first")
	f.IntVar(&c.Rewrite, "rewrite", 0, "keys that put writes again and again, instead of new ones")
	f.BoolVar(&c.SkipPrepare, "skip-prepare", false, "the objects are already there")
	f.Func("payload", "unsigned, signed, streaming or streaming-unsigned", func(s string) (err error) {
		c.Payload, err = load.ParsePayloadMode(s)
		return err
	})
	f.Func("checksum", "none, crc32c or crc64nvme; a trailer when streaming, else a header", func(s string) (err error) {
		c.Checksum, err = load.ParseChecksum(s)
		return err
	})
	f.IntVar(&c.ChunkSize, "chunk-size", 64<<10, "bytes of an aws-chunked chunk")
	f.IntVar(&c.PageSize, "page-size", 1000, "keys of a listing page")
	f.BoolVar(&c.Verify, "verify", false, "compare every byte read")
	f.Uint64Var(&o.allowErrors, "allow-errors", 0, "failed operations that still exit 0")
}

// observerFlags say what to read about it meanwhile.
func (o *options) observerFlags(f *flag.FlagSet) {
	f.Func("pid", "server processes to account, comma separated", pids(&o.observer.PIDs))
	f.Func("beside", "processes to account apart, as a database's, comma separated", pids(&o.observer.Beside))
	f.StringVar(&o.observer.Device, "device", "", "block device whose flushes to count, as vda")
	f.StringVar(&o.observer.MetricsURL, "metrics-url", "", "Prometheus endpoint of the server")
	f.Func("counters", "its counters to report, as a or a{label=\"value\"}, comma separated", func(s string) error {
		o.observer.Counters = strings.Split(s, ",")
		return nil
	})
}

// pids appends the numbers of a flag.
func pids(to *[]int) func(string) error {
	return func(s string) error {
		for text := range strings.SplitSeq(s, ",") {
			pid, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("pid: %w", err)
			}
			*to = append(*to, pid)
		}
		return nil
	}
}

// table reads reports and prints them side by side.
func table(in io.Reader, out io.Writer) error {
	reports, err := load.ReadReports(in)
	if err != nil {
		return err
	}
	return load.WriteTable(out, reports)
}
