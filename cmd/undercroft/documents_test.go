package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/config"
)

// TestCommandsOfTheFoundationDBDocument: each command that the document shows is one.
func TestCommandsOfTheFoundationDBDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations/foundationdb.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?m)(?:^ {4,}|`)undercroft (server|gateway|admin) ([^`\n]+)").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 10 {
		t.Fatalf("%d commands", len(commands))
	}
	word := regexp.MustCompile(`'[^']*'|\S+`)
	for _, c := range commands {
		var args []string
		for _, w := range word.FindAllString(c[2], -1) {
			args = append(args, strings.Trim(w, "'"))
		}
		if err := understood(c[1], args); err != nil {
			t.Errorf("undercroft %s %s: %v", c[1], c[2], err)
		}
	}
}

// understood reports whether a command line of the document would be taken.
func understood(command string, args []string) error {
	root := []string{"--root-access-key=root", "--root-secret-key=12345678"}
	if command == "server" {
		_, err := config.Load(config.Sources{Args: append(args, root...)})
		return err
	}
	if command == "gateway" {
		_, err := config.Load(config.Sources{Kind: config.Gateway, Args: append(args, root...)})
		return err
	}
	if args[0] == "check" || args[0] == "status" {
		flags, err := parseAdminFlags(args[1:])
		if err == nil && len(flags.stopped) > 0 {
			_, err = config.Load(config.Sources{Kind: config.Offline, Args: flags.stopped})
		}
		return err
	}
	if len(args) == 1 || strings.HasPrefix(args[1], "...") {
		return nil // it names what there is
	}
	topic, ok := findTopic(args[0])
	if !ok {
		return errUsage
	}
	v, rest, err := topic.find(args)
	if err != nil {
		return err
	}
	in, err := v.parse(rest)
	if err != nil {
		return err
	}
	if place := in.optional("metadata"); place != nil {
		_, err = config.Load(config.Sources{Kind: config.Offline, Args: []string{"--metadata=" + *place}})
	}
	return err
}
