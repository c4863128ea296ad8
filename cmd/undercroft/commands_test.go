package main

import (
	"net"
	"strings"
	"testing"
)

func TestCommandsAndExitCodes(t *testing.T) {
	busy, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := busy.Close(); err != nil {
			t.Error(err)
		}
	})
	address := busy.Addr().String()
	tests := []struct {
		name   string
		args   []string
		env    []string
		code   int
		stdout string // contained in it
		stderr string // all of it when it ends in a newline, else contained
	}{
		{"no command", nil, nil, exitUsage, "", "undercroft: usage: undercroft COMMAND; the commands are server, gateway, admin, version and help\n"},
		{"unknown command", []string{"sever"}, nil, exitUsage, "", "undercroft: usage: unknown command \"sever\"; the commands are server, gateway, admin, version and help\n"},
		{"help", []string{"--help"}, nil, exitOK, "undercroft server --data ./data", "\n"},
		{"version", []string{"version"}, nil, exitOK, "undercroft dev go1.", "\n"},
		{"server help", []string{"server", "--help"}, nil, exitOK, "[UNDERCROFT_BUFFER_MEMORY]", "\n"},
		{"admin help", []string{"admin", "--help"}, nil, exitOK, "undercroft admin check", "\n"},
		{"admin command help", []string{"admin", "check", "-h"}, nil, exitOK, "undercroft admin check", "\n"},
		{"no data", []string{"server"}, nil, exitUsage, "", "undercroft: no data directory: give --data DIR, UNDERCROFT_DATA or data: in the configuration file\n"},
		{"bad variable", []string{"server", "--data=d"}, []string{"UNDERCROFT_LISTEN=x"}, exitUsage, "", "undercroft: environment UNDERCROFT_LISTEN: \"x\" is not HOST:PORT\n"},
		{"missing file", []string{"server", "--config=/nonexistent/u.yaml"}, nil, exitUsage, "", "undercroft: configuration file /nonexistent/u.yaml: no such file or directory\n"},
		{"admin port in use", []string{"server", "--data=d", "--admin-listen=" + address}, nil, exitFailure, "", "undercroft: cannot listen on admin-listen " + address + ": address already in use"},
		{"port in use", []string{"server", "--data=d", "--admin-listen=127.0.0.1:0", "--listen=" + address}, nil, exitFailure, "", "undercroft: cannot listen on listen " + address + ": address already in use"},
		{"certificate", []string{"server", "--data=d", "--admin-listen=127.0.0.1:0", "--listen=127.0.0.1:0", "--tls-cert=/nonexistent/c", "--tls-key=/nonexistent/k"}, nil, exitFailure, "", "undercroft: cannot use tls-cert /nonexistent/c with tls-key /nonexistent/k"},
		{"admin without command", []string{"admin"}, nil, exitUsage, "", "undercroft: usage: undercroft admin COMMAND; the commands are " + strings.Join(adminCommands(), ", ") + "\n"},
		{"unknown admin command", []string{"admin", "chek"}, nil, exitUsage, "", "undercroft: usage: unknown admin command \"chek\"; the commands are " + strings.Join(adminCommands(), ", ") + "\n"},
		{"unknown admin flag", []string{"admin", "check", "--fast"}, nil, exitUsage, "", "undercroft: usage: flag provided but not defined: -fast\n"},
		{"admin operand", []string{"admin", "check", "now"}, nil, exitUsage, "", "undercroft: usage: \"now\" is not expected\n"},
		{"status of directories", []string{"admin", "status", "--data=d"}, nil, exitUsage, "", "undercroft: usage: --data and --metadata are only for check\n"},
		{"admin address", []string{"admin", "status", "--admin=localhost"}, nil, exitUsage, "", "undercroft: usage: --admin: \"localhost\" is not a URL such as http://127.0.0.1:9001\n"},
		{"nobody there", []string{"admin", "status", "--admin=http://127.0.0.1:1"}, nil, exitFailure, "", "undercroft: asking http://127.0.0.1:1: "},
		{"bad directory", []string{"admin", "check", "--data=/d{"}, nil, exitUsage, "", "undercroft: flag --data: \"/d{\": a { without its }\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			code, stdout, stderr := runOnce(t, echoAssembler, tt.env, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout, tt.stdout) || (tt.stdout == "" && stdout != "") {
				t.Errorf("stdout %q, want %q in it", stdout, tt.stdout)
			}
			if strings.HasSuffix(tt.stderr, "\n") && stderr != strings.TrimPrefix(tt.stderr, "\n") || !strings.Contains(stderr, strings.TrimPrefix(tt.stderr, "\n")) {
				t.Errorf("stderr %q, want %q", stderr, tt.stderr)
			}
		})
	}
}

func TestFailureToPrintIsAFailure(t *testing.T) {
	var stderr lines
	code := run(t.Context(), process{args: []string{"help"}, stdout: closedWriter{}, stderr: &stderr})
	if code != exitFailure || !strings.Contains(stderr.String(), "printing: ") {
		t.Errorf("code %d, stderr %q", code, stderr.String())
	}
}

type closedWriter struct{}

func (closedWriter) Write([]byte) (int, error) { return 0, net.ErrClosed }
