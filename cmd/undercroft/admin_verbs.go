package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/vfs"
)

// verb is one command that needs the right to administer.
type verb struct {
	name      string   // "account create", "jobs"
	arguments []string // what is named without a flag: "ACCOUNT"
	flags     []string // the names of the flags it takes, of verbFlags
	run       func(ctx context.Context, c *admin.Client, in *verbInput) error
}

// verbInput is a command line of a verb.
type verbInput struct {
	arguments []string
	given     map[string]string // flags by name; absent: not given
	url       string
	data      []string
	asJSON    bool
	stdout    io.Writer
	screen    screen
}

// argument returns the i-th argument, which there is.
func (in *verbInput) argument(i int) string { return in.arguments[i] }

// optional returns the value of a flag, nil where it is not given.
func (in *verbInput) optional(flag string) *string {
	if value, ok := in.given[flag]; ok {
		return &value
	}
	return nil
}

// topic is verbs that are explained together.
type topic struct {
	help  string
	verbs []verb
}

// topics are all verbs, in the order of the help.
func topics() []topic {
	return []topic{
		{jobUsageText, jobVerbs()},
		{diskUsageText, diskVerbs()},
		{encryptionKeyUsageText, encryptionKeyVerbs()},
		{accountUsageText, slices.Concat(accountVerbs(), userVerbs(), keyVerbs(), metadataVerbs())},
	}
}

// adminCommands are the first words of all commands.
func adminCommands() []string {
	out := []string{"status", "check"}
	for _, t := range topics() {
		for _, v := range t.verbs {
			if word, _, _ := strings.Cut(v.name, " "); !slices.Contains(out, word) {
				out = append(out, word)
			}
		}
	}
	return out
}

// findTopic returns the topic of the verbs that begin with a word, if there is
// one.
func findTopic(word string) (topic, bool) {
	for _, t := range topics() {
		for _, v := range t.verbs {
			if first, _, _ := strings.Cut(v.name, " "); first == word {
				return t, true
			}
		}
	}
	return topic{}, false
}

// find returns the verb that args begin with and what follows it.
func (t topic) find(args []string) (found verb, rest []string, err error) {
	var begin []string
	for _, v := range t.verbs {
		words := strings.Fields(v.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return v, args[len(words):], nil
		}
		if words[0] == args[0] {
			begin = append(begin, strings.Join(words[1:], " "))
		}
	}
	return verb{}, nil, fmt.Errorf("%w: undercroft admin %s COMMAND; the commands are %s", errUsage, args[0], strings.Join(begin, ", "))
}

// command runs `undercroft admin account create` and its like.
func (t topic) command(ctx context.Context, p process, args []string) error {
	if len(args) > 1 && isHelp(args[1]) {
		return write(p.stdout, t.help)
	}
	v, rest, err := t.find(args)
	if err != nil {
		return err
	}
	in, err := v.parse(rest)
	if errors.Is(err, flag.ErrHelp) {
		return write(p.stdout, t.help)
	}
	if err != nil {
		return fmt.Errorf("%w: undercroft admin %s: %w", errUsage, v.name, err)
	}
	in.stdout, in.screen = p.stdout, screen{to: p.stdout, rewrites: p.terminal}
	if local := stoppedServer(v, in); local != nil {
		return local(ctx, p, in)
	}
	client, err := admin.NewClient(in.url)
	if err != nil {
		return fmt.Errorf("%w: --admin: %w", errUsage, err)
	}
	token, err := findToken(p.environ, in.data)
	if err != nil {
		return err
	}
	return v.run(ctx, client.WithToken(token), in)
}

func isHelp(arg string) bool { return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg) }

// parse reads flags and arguments in any order.
func (v verb) parse(args []string) (*verbInput, error) {
	in := &verbInput{given: make(map[string]string)}
	set := flag.NewFlagSet(v.name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&in.url, "admin", defaultAdminURL, "")
	set.Func("data", "", func(s string) error { in.data = append(in.data, s); return nil })
	set.BoolVar(&in.asJSON, "json", false, "")
	for _, name := range v.flags {
		if isSwitch(name) {
			set.BoolFunc(name, "", func(string) error { in.given[name] = ""; return nil })
			continue
		}
		set.Func(name, "", func(s string) error { in.given[name] = s; return nil })
	}
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if args = set.Args(); len(args) > 0 {
			in.arguments, args = append(in.arguments, args[0]), args[1:]
		}
	}
	switch n := len(v.arguments); {
	case len(in.arguments) < n:
		return nil, fmt.Errorf("it needs %s", strings.Join(v.arguments[len(in.arguments):], " and "))
	case len(in.arguments) > n:
		return nil, fmt.Errorf("%q is not expected", in.arguments[n])
	}
	return in, nil
}

func isSwitch(flag string) bool {
	return slices.Contains([]string{"no-key", "now", "watch", "cancel", "lost", "offline", "replace", "accept-problems", "while-running", "yes"}, flag)
}

// findToken returns what opens the admin listener: the token that the named
// directories keep, else that of the root credentials in the environment, else
// that of the directories there.
func findToken(environ, data []string) (string, error) {
	env := make(map[string]string, len(environ))
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	if accessKey, secret := env["UNDERCROFT_ROOT_ACCESS_KEY"], env["UNDERCROFT_ROOT_SECRET_KEY"]; len(data) == 0 && accessKey != "" && secret != "" {
		return admin.RootToken(accessKey, secret), nil
	}
	if text := env["UNDERCROFT_DATA"]; len(data) == 0 && text != "" {
		data = strings.Split(text, ",")
	}
	if len(data) == 0 {
		return "", fmt.Errorf("%w: this needs the root credentials: set UNDERCROFT_ROOT_ACCESS_KEY and UNDERCROFT_ROOT_SECRET_KEY, "+
			"or name a data directory of the server with --data", errUsage)
	}
	return readToken(data)
}

// readToken returns the token of the first directory that keeps one.
func readToken(data []string) (string, error) {
	var cause error
	for _, item := range data {
		directories, err := config.ExpandBraces(item)
		if err != nil {
			return "", fmt.Errorf("%w: --data: %w", errUsage, err)
		}
		for _, directory := range directories {
			kept, err := tokenFile().read(vfs.Default(), tokenFile().path(directory))
			if err == nil {
				return kept.Token, nil
			}
			cause = err
		}
	}
	return "", cause
}

// show prints v as JSON, or with text.
func (in *verbInput) show(v any, text func(w io.Writer)) error {
	if in.asJSON {
		body, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		return write(in.stdout, string(body)+"\n")
	}
	table := tabwriter.NewWriter(in.stdout, 0, 8, 2, ' ', 0)
	text(table)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// line prints the columns of one line; the table's Flush reports what went wrong.
func line(w io.Writer, columns ...string) {
	_, _ = io.WriteString(w, strings.Join(columns, "\t")+"\n")
}

// state is a column of lists: whether something is disabled.
type state bool

// String returns one word.
func (s state) String() string {
	if s {
		return "disabled"
	}
	return "enabled"
}
