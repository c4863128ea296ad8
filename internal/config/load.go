package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// envPrefix begins every environment variable that is a setting.
const envPrefix = "UNDERCROFT_"

// Sources is where the settings come from.
type Sources struct {
	// Kind is what is configured.
	Kind Kind
	// Args are the arguments after the subcommand.
	Args []string
	// Environ holds NAME=value pairs, as os.Environ returns them.
	Environ []string
	// ReadFile reads the configuration file when one is named.
	ReadFile func(name string) ([]byte, error)
}

// assignment is one setting as a source gave it.
type assignment struct {
	name   string
	source string
	items  []string
	// verbatim items are whole words already; others may be lists with commas.
	verbatim bool
}

// Load reads all sources and returns a configuration that is complete and
// valid, [ErrHelp], or an [Error] about the first bad value.
func Load(src Sources) (Config, error) {
	var c Config
	rows := options(&c)
	flags, file, err := parseFlags(rows, src.Args)
	if err != nil {
		return Config{}, err
	}
	env, envFile, err := parseEnviron(rows, src.Environ)
	if err != nil {
		return Config{}, err
	}
	if file == nil {
		file = envFile
	}
	all := defaults(rows)
	if file != nil {
		entries, err := readFile(rows, *file, src.ReadFile)
		if err != nil {
			return Config{}, err
		}
		all = append(all, entries...)
	}
	all = append(append(all, env...), flags...)
	origin, err := apply(rows, all)
	if err != nil {
		return Config{}, err
	}
	c = c.settled(origin)
	return c, c.validate(src.Kind, origin)
}

func defaults(rows []option) []assignment {
	var all []assignment
	for _, o := range rows {
		if o.fallback != "" {
			all = append(all, assignment{name: o.name, source: "default of " + o.name, items: []string{o.fallback}})
		}
	}
	return all
}

// apply sets the values in order, the weakest source first, and returns where
// each setting that was given came from. A weaker source's value is checked
// too: what is written down wrong is an error even while it is overridden.
func apply(rows []option, all []assignment) (map[string]string, error) {
	byName := make(map[string]value, len(rows))
	for _, o := range rows {
		byName[o.name] = o.value
	}
	origin := make(map[string]string, len(all))
	for _, a := range all {
		if err := assign(byName[a.name], a); err != nil {
			return nil, &Error{Source: a.source, Problem: err.Error()}
		}
		origin[a.name] = a.source
	}
	return origin, nil
}

func assign(v value, a assignment) error {
	many, isList := v.(list)
	switch {
	case isList && a.verbatim:
		return many.SetAll(a.items)
	case isList:
		var items []string
		for _, item := range a.items {
			items = append(items, splitList(item)...)
		}
		return many.SetAll(items)
	case len(a.items) != 1:
		return errors.New("it is given more than once")
	default:
		return v.Set(a.items[0])
	}
}

// parseFlags reads the command line. The file is nil when --config is absent.
func parseFlags(rows []option, args []string) (all []assignment, file *string, err error) {
	set := flag.NewFlagSet("server", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	given := make(map[string][]string)
	var order []string
	record := func(name string) func(string) error {
		return func(item string) error {
			if given[name] == nil {
				order = append(order, name)
			}
			given[name] = append(given[name], item)
			return nil
		}
	}
	for _, o := range rows {
		if _, isBool := o.value.(*boolean); isBool {
			set.BoolFunc(o.name, "", record(o.name))
			continue
		}
		set.Func(o.name, "", record(o.name))
	}
	set.Func(configOption, "", record(configOption))
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, nil, ErrHelp
	} else if err != nil {
		return nil, nil, &Error{Source: "command line", Problem: flagProblem(err)}
	}
	if set.NArg() > 0 {
		return nil, nil, &Error{Source: "command line", Problem: fmt.Sprintf("%q is not expected; settings are flags", set.Arg(0))}
	}
	for _, name := range order {
		source := "flag --" + name
		if name != configOption {
			all = append(all, assignment{name: name, source: source, items: given[name]})
			continue
		}
		if len(given[name]) > 1 {
			return nil, nil, &Error{Source: source, Problem: "it is given more than once"}
		}
		file = &given[name][0]
	}
	return all, file, nil
}

// flagProblem words the flag package's errors as ours.
func flagProblem(err error) string {
	const unknown = "flag provided but not defined: -"
	if name, found := strings.CutPrefix(err.Error(), unknown); found {
		return "unknown flag --" + strings.TrimPrefix(name, "-")
	}
	return strings.ReplaceAll(err.Error(), ": -", ": --")
}

// parseEnviron reads the UNDERCROFT_* variables. An empty variable counts as
// absent, as it does in most shells' scripts.
func parseEnviron(rows []option, environ []string) (all []assignment, file *string, err error) {
	names := make(map[string]string, len(rows))
	for _, o := range rows {
		names[envName(o.name)] = o.name
	}
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		key, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(key, envPrefix) || text == "" || isServiceLink(key, text) {
			continue
		}
		source := "environment " + key
		if key == envName(configOption) {
			file = &text
			continue
		}
		name, known := names[key]
		if !known {
			return nil, nil, &Error{Source: source, Problem: "unknown setting"}
		}
		all = append(all, assignment{name: name, source: source, items: []string{text}})
	}
	return all, file, nil
}

// isServiceLink recognises the variables that Kubernetes and Docker put into
// containers beside a service named "undercroft": they are nobody's settings.
func isServiceLink(key, text string) bool {
	if strings.Contains(key, "_SERVICE_HOST") || strings.Contains(key, "_SERVICE_PORT") || strings.Contains(key, "_TCP_") ||
		strings.Contains(key, "_UDP_") {
		return true
	}
	return strings.HasPrefix(text, "tcp://") || strings.HasPrefix(text, "udp://")
}

// readFile reads the configuration file.
func readFile(rows []option, name string, read func(string) ([]byte, error)) ([]assignment, error) {
	content, err := read(name)
	if err != nil {
		reason := err
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			reason = pathErr.Err
		}
		return nil, &Error{Source: "configuration file " + name, Problem: reason.Error()}
	}
	return parseFile(rows, name, content)
}

// validate checks what no single setting can know.
func (c Config) validate(kind Kind, origin map[string]string) error {
	if err := c.validateMetadata(kind, origin); err != nil {
		return err
	}
	if err := c.validateNetwork(origin); err != nil {
		return err
	}
	if err := pair(origin, "root-access-key", "root-secret-key", c.RootAccessKey, string(c.RootSecretKey)); err != nil {
		return err
	}
	if c.MasterKey != "" && c.MasterKeyFile != "" {
		return &Error{Source: origin["master-key-file"], Problem: "master-key is given too: give one of them"}
	}
	if err := c.validateKMS(origin); err != nil {
		return err
	}
	if n := c.Scheme.Data + c.Scheme.Parity; n > len(c.Data) && len(c.Data) > 0 {
		return &Error{Source: origin["scheme"], Problem: fmt.Sprintf("%s needs %d data directories, there are %d", c.Scheme, n, len(c.Data))}
	}
	return c.validateClasses(origin["storage-class"])
}

// validateNetwork checks what listeners and host names ask of each other.
func (c Config) validateNetwork(origin map[string]string) error {
	certs, keys := len(c.TLSCerts), len(c.TLSKeys)
	if err := pair(origin, "tls-cert", "tls-key", strings.Join(c.TLSCerts, ","), strings.Join(c.TLSKeys, ",")); err != nil {
		return err
	}
	if certs != keys {
		return &Error{Source: origin["tls-key"], Problem: fmt.Sprintf("tls-cert names %d files and tls-key %d: each certificate needs its key, in the same order", certs, keys)}
	}
	for _, name := range c.WebsiteDomains {
		if slices.Contains(c.Domains, name) {
			return &Error{Source: origin["website-domain"], Problem: fmt.Sprintf("%q is a domain too: S3 and websites need names of their own", name)}
		}
	}
	if c.Listen == c.AdminListen && !strings.HasSuffix(c.Listen, ":0") {
		return &Error{Source: origin["admin-listen"], Problem: "it is the same address as listen"}
	}
	return nil
}

// pair refuses one of two settings that only mean something together.
func pair(origin map[string]string, nameA, nameB, a, b string) error {
	switch {
	case a != "" && b == "":
		return &Error{Source: origin[nameA], Problem: "it needs " + nameB + " too"}
	case a == "" && b != "":
		return &Error{Source: origin[nameB], Problem: "it needs " + nameA + " too"}
	}
	return nil
}
