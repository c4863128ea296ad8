package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/observability"
)

const adminUsageText = `Ask a running server, or check the directories of a stopped one.

Usage: undercroft admin COMMAND [FLAGS]

What there is to see
  status    how the store is: whether it is healthy, and what is missing
  check     go through the whole state and report what does not fit
  jobs      what the background jobs do and how far they are

What there is to do
  repair    rebuild what was lost, or see what stops that
  scrub     read all data and find what is damaged
  compact   move what is left of partitions that are mostly garbage
  lifecycle apply the lifecycle rules of buckets
  pause, resume
            stop a background job, and let it go on
  disk      list, add, drain and remove disks while the server runs
  drain     take everything off a disk: disk drain
  account   manage accounts: create, list, show, set, disable, enable, delete
  user      manage the users of accounts and their policies
  key       manage access keys: create, list, rotate, disable, enable, delete
  keys      manage encryption keys: list, show, create, rotate, disable, enable, delete
  metadata  backup --out DIR: a consistent copy of the metadata, made on the server's machine while it runs

"undercroft admin COMMAND --help" explains one and its like: jobs those of background work,
account those of accounts, users and keys.

Flags of status and check
  --admin URL
      The admin listener of the server. Default http://127.0.0.1:9001.
  --json
      status only: print all that the server says of itself, as JSON.
  --data DIR
      check only: look at these directories instead, while no server uses them; repeat
      it, or write /mnt/d{1...6}. Nothing is changed.
  --metadata PLACE
      check only: look at metadata that is elsewhere, fdb:FILE say, as the server was told.

Exit codes: 0 all is well, 1 the check found something or could not run, 2 bad usage.

Examples
  undercroft admin status
  undercroft admin check --admin http://10.0.0.5:9001
  undercroft admin check --data '/mnt/d{1...6}'
  undercroft admin repair --now --watch --data /mnt/d1
  undercroft admin account create --data /mnt/d1 --name "Backups"
`

// defaultAdminURL is where a server listens that was not told otherwise.
const defaultAdminURL = "http://127.0.0.1:9001"

// adminFlags are the flags of the admin commands.
type adminFlags struct {
	url     string
	stopped []string // the settings of a stopped server
	asJSON  bool
}

// adminCommand is `undercroft admin`.
func adminCommand(ctx context.Context, p process, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: undercroft admin COMMAND; the commands are %s", errUsage, strings.Join(adminCommands(), ", "))
	}
	command := args[0]
	if isHelp(command) {
		return write(p.stdout, adminUsageText)
	}
	if t, ok := findTopic(command); ok {
		return t.command(ctx, p, args)
	}
	if command != "status" && command != "check" {
		return fmt.Errorf("%w: unknown admin command %q; the commands are %s", errUsage, command, strings.Join(adminCommands(), ", "))
	}
	flags, err := parseAdminFlags(args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return write(p.stdout, adminUsageText)
	}
	if err != nil {
		return err
	}
	switch {
	case len(flags.stopped) > 0 && command != "check":
		return fmt.Errorf("%w: --data and --metadata are only for check", errUsage)
	case flags.asJSON && command != "status":
		return fmt.Errorf("%w: --json is only for status", errUsage)
	case len(flags.stopped) > 0:
		return checkOffline(ctx, p, flags.stopped)
	}
	client, err := admin.NewClient(flags.url)
	if err != nil {
		return fmt.Errorf("%w: --admin: %w", errUsage, err)
	}
	if command == "status" {
		return statusCommand(ctx, p, client, flags)
	}
	return client.Check(ctx, p.stdout) // it names the request
}

func parseAdminFlags(args []string) (adminFlags, error) {
	set := flag.NewFlagSet("admin", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	var flags adminFlags
	set.StringVar(&flags.url, "admin", defaultAdminURL, "")
	set.BoolVar(&flags.asJSON, "json", false, "")
	set.Func("data", "", func(s string) error { flags.stopped = append(flags.stopped, "--data="+s); return nil })
	set.Func("metadata", "", func(s string) error { flags.stopped = append(flags.stopped, "--metadata="+s); return nil })
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return adminFlags{}, flag.ErrHelp
	} else if err != nil {
		return adminFlags{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	if set.NArg() > 0 {
		return adminFlags{}, fmt.Errorf("%w: %q is not expected", errUsage, set.Arg(0))
	}
	return flags, nil
}

// checkOffline checks the directories of a stopped server.
func checkOffline(ctx context.Context, p process, settings []string) error {
	cfg, err := config.Load(config.Sources{Kind: config.Offline, Args: settings})
	if err != nil {
		return err // it is one complete line already
	}
	checker := assembleOffline(cfg, parts{
		logger: observability.NewLogger(p.stderr, slog.LevelWarn, observability.Text),
		now:    p.now,
	})
	if err := checker.Check(ctx, p.stdout); err != nil {
		return fmt.Errorf("%w: %w", admin.ErrCheckFailed, err)
	}
	return nil
}
