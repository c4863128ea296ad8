package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/observability"
)

const usageText = `Undercroft is an S3-compatible object store.

Usage: undercroft COMMAND [FLAGS]

Commands
  server    serve S3 from local directories
  gateway   serve S3 from shared metadata, without directories
  admin     ask a running server, or check its directories
  version   print the version
  help      print this text

"undercroft COMMAND --help" explains a command.

Try it:
  undercroft server --data ./data
`

const serverUsageText = `Serve S3 from local directories, everything in one process.

Usage: undercroft server --data DIR [--data DIR ...] [FLAGS]

Every setting can be given as a flag, as the environment variable shown in brackets,
or in a configuration file. A flag wins over the environment, the environment over the
file. An unknown setting or a bad value stops the start.

Examples
  undercroft server --data ./data
  undercroft server --data '/mnt/d{1...6}' --listen 0.0.0.0:9000 --media ssd
  UNDERCROFT_ROOT_ACCESS_KEY=admin UNDERCROFT_ROOT_SECRET_KEY=... \
    undercroft server --config /etc/undercroft.yaml

`

const gatewayUsageText = `Serve S3 from metadata that is shared in FoundationDB, without data directories.

Usage: undercroft gateway --metadata fdb:FILE[?prefix=NAME] [FLAGS]

Any number of gateways and one server with the data directories serve the same buckets. A
gateway answers for everything in the metadata, objects of up to --inline-limit included; larger
bodies, and parts of uploads, are only at the server that has the data directories, and get 503
here. It keeps nothing: the root credentials and the master key are given to it, the same as
to the server. Settings of data directories have no effect.

Settings are given as to "undercroft server". docs/operations/foundationdb.md says more.

Example
  UNDERCROFT_ROOT_ACCESS_KEY=admin UNDERCROFT_ROOT_SECRET_KEY=... undercroft gateway \
    --metadata fdb:/etc/foundationdb/fdb.cluster --master-key-file /etc/undercroft/master-key

`

// errUsage is an error about the command line; its text is for the user.
var errUsage = errors.New("usage")

// run executes one command and returns the exit code.
func run(ctx context.Context, p process) int {
	err := dispatch(ctx, p)
	if err == nil {
		return exitOK
	}
	if _, err := fmt.Fprintf(p.stderr, "undercroft: %v\n", err); err != nil {
		return exitFailure // nobody is listening
	}
	if _, bad := errors.AsType[*config.Error](err); bad || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}

func dispatch(ctx context.Context, p process) error {
	if len(p.args) == 0 {
		return fmt.Errorf("%w: undercroft COMMAND; the commands are server, gateway, admin, version and help", errUsage)
	}
	command, args := p.args[0], p.args[1:]
	switch command {
	case "server":
		return serverCommand(ctx, p, config.Server, args)
	case "gateway":
		return serverCommand(ctx, p, config.Gateway, args)
	case "admin":
		return adminCommand(ctx, p, args)
	case "version", "-version", "--version":
		build := observability.NewBuild(version)
		return write(p.stdout, fmt.Sprintf("undercroft %s %s\n", build.Version, build.GoVersion))
	case "help", "-h", "-help", "--help":
		return write(p.stdout, usageText)
	default:
		return fmt.Errorf("%w: unknown command %q; the commands are server, gateway, admin, version and help", errUsage, command)
	}
}

// serverHelp prints what `undercroft server --help` and `undercroft gateway --help` print.
func serverHelp(w io.Writer, kind config.Kind) error {
	text := serverUsageText
	if kind == config.Gateway {
		text = gatewayUsageText
	}
	if err := write(w, text); err != nil {
		return err
	}
	if err := config.WriteHelp(w); err != nil {
		return fmt.Errorf("printing help: %w", err)
	}
	return nil
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
