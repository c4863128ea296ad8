package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// load reads flags, an environment and the text of a configuration file; the
// file is named only when it has text.
func load(args, environ []string, file string) (Config, error) {
	if file != "" {
		args = append([]string{"--config", "u.yaml"}, args...)
	}
	return Load(Sources{Args: args, Environ: environ, ReadFile: func(name string) ([]byte, error) {
		if name != "u.yaml" {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(file), nil
	}})
}

// sample returns a value of a setting that is not its default, and what the
// value reads as once it is set.
func sample(t *testing.T, name string) (given, want string) {
	t.Helper()
	samples := map[string][2]string{
		"data":                     {"/a{1...2},/b", "/a1,/a2,/b"},
		"scheme":                   {"1+1", "1+1"},
		"partition-size":           {"128MiB", "128MiB"},
		"media":                    {"ssd", "ssd"},
		"inline-limit":             {"4096", "4KiB"},
		"background-share":         {"50", "50"},
		"repair-delay":             {"1h", "1h0m0s"},
		"repair-bandwidth":         {"50MiB", "50MiB"},
		"scrub-interval":           {"24h", "24h0m0s"},
		"scrub-bandwidth":          {"1MiB", "1MiB"},
		"compact-bandwidth":        {"2MiB", "2MiB"},
		"lifecycle-rate":           {"500", "500"},
		"lifecycle-debug-interval": {"10s", "10s"},
		"listen":                   {"0.0.0.0:1", "0.0.0.0:1"},
		"admin-listen":             {"[::1]:2", "[::1]:2"},
		"domain":                   {"S3.example.test,b.test", "s3.example.test,b.test"},
		"tls-cert":                 {"c.pem", "c.pem"},
		"website-domain":           {"Web.Example.com", "web.example.com"},
		"tls-key":                  {"k.pem", "k.pem"},
		"region":                   {"eu-west-1", "eu-west-1"},
		"allow-sigv2":              {"true", "true"},
		"root-access-key":          {"root", "root"},
		"root-secret-key":          {"very secret", "(hidden)"},
		"master-key-file":          {"/etc/master", "/etc/master"},
		"master-key":               {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "(hidden)"},
		"object-ownership":         {"ObjectWriter", "ObjectWriter"},
		"public-access-block":      {"off", "off"},
		"max-buckets":              {"7", "7"},
		"default-encryption":       {"AES256", "AES256"},
		"sse-c-without-tls":        {"off", "off"},
		"storage-class":            {"STANDARD_IA,GLACIER_IR=1+1,COLD_2", "STANDARD_IA,GLACIER_IR=1+1,COLD_2"},
		"buffer-memory":            {"1GiB", "1GiB"},
		"max-connections":          {"7", "7"},
		"max-header-bytes":         {"16KiB", "16KiB"},
		"header-timeout":           {"3s", "3s"},
		"idle-timeout":             {"4s", "4s"},
		"stall-timeout":            {"5s", "5s"},
		"shutdown-timeout":         {"0s", "0s"},
		"log-level":                {"debug", "debug"},
		"metadata-accept-loss":     {"true", "true"},
		"collect-delay":            {"1h", "1h0m0s"},
		"metadata":                 {"fdb:/etc/fdb/fdb.cluster?prefix=shop", "fdb:/etc/fdb/fdb.cluster?prefix=shop"},
		"metadata-witness":         {"/var/lib/w", "/var/lib/w"},
		"log-format":               {"json", "json"},
		"access-log":               {"true", "true"},
	}
	maps.Copy(samples, kmsSamples())
	s, found := samples[name]
	if !found {
		t.Fatalf("no sample for setting %q: add one to this test", name)
	}
	return s[0], s[1]
}

// companions are the other settings without which one is refused.
func companions(name string) []string {
	var args []string
	if name != "data" {
		args = append(args, "--data=/x,/y")
	}
	args = append(args, kmsCompanions(name)...)
	switch name {
	case "tls-cert":
		args = append(args, "--tls-key=k")
	case "tls-key":
		args = append(args, "--tls-cert=c")
	case "root-access-key":
		args = append(args, "--root-secret-key=12345678")
	case "root-secret-key":
		args = append(args, "--root-access-key=abc")
	}
	return args
}

func valueOf(c *Config, name string) string {
	for _, o := range options(c) {
		if o.name == name {
			return o.value.String()
		}
	}
	return "no such setting"
}

func TestEverySettingByEverySource(t *testing.T) {
	var fallback Config
	rows := options(&fallback)
	if _, err := apply(rows, defaults(rows)); err != nil {
		t.Fatal(err)
	}
	for _, o := range options(new(Config)) {
		t.Run(o.name, func(t *testing.T) {
			given, want := sample(t, o.name)
			if valueOf(&fallback, o.name) == want {
				t.Fatalf("the sample %q is the default: it would prove nothing", given)
			}
			sources := map[string]func() (Config, error){
				"flag": func() (Config, error) {
					return load(append(companions(o.name), "--"+o.name+"="+given), nil, "")
				},
				"environment": func() (Config, error) {
					return load(companions(o.name), []string{envName(o.name) + "=" + given}, "")
				},
				"file": func() (Config, error) {
					return load(companions(o.name), nil, o.name+": '"+given+"'\n")
				},
			}
			configs := make(map[string]Config)
			for source, read := range sources {
				c, err := read()
				if err != nil {
					t.Fatalf("%s: %v", source, err)
				}
				if got := valueOf(&c, o.name); got != want {
					t.Errorf("%s: got %q, want %q", source, got, want)
				}
				configs[source] = c
			}
			for source, c := range configs {
				if diff := cmp.Diff(configs["flag"], c); diff != "" {
					t.Errorf("%s differs from flag (-flag +%s):\n%s", source, source, diff)
				}
			}
		})
	}
}

func TestDefaultsAreThoseOfTheTable(t *testing.T) {
	c, err := load([]string{"--data", "/d"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options(&c) {
		if o.fallback != "" && o.value.String() != o.fallback && !strings.HasPrefix(o.value.String(), o.fallback) {
			t.Errorf("%s: default reads %q, the table says %q", o.name, o.value.String(), o.fallback)
		}
	}
	if diff := cmp.Diff([]string{"/d"}, c.Data); diff != "" {
		t.Error(diff)
	}
	if c.BufferMemory != 192*MiB || c.InlineLimit != 8*KiB || !c.Scheme.Auto() || c.LogLevel != slog.LevelInfo || c.TLS() {
		t.Errorf("unexpected defaults: %+v", c)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "region: from-file\ndata: /d\n"
	env := []string{"UNDERCROFT_REGION=from-env"}
	tests := []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string
	}{
		{"default", []string{"--data=/d"}, nil, "", "us-east-1"},
		{"file over default", nil, nil, file, "from-file"},
		{"environment over file", nil, env, file, "from-env"},
		{"flag over environment", []string{"--region=from-flag"}, env, file, "from-flag"},
		{"empty variable counts as absent", nil, []string{"UNDERCROFT_REGION="}, file, "from-file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(tt.args, tt.environ, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if c.Region != tt.want {
				t.Errorf("region = %q, want %q", c.Region, tt.want)
			}
		})
	}
}

func TestListsFromEverySource(t *testing.T) {
	want := []string{"/mnt/d1", "/mnt/d2", "/mnt/e"}
	for name, read := range map[string]func() (Config, error){
		"repeated flag": func() (Config, error) { return load([]string{"--data", "/mnt/d{1...2}", "--data", "/mnt/e"}, nil, "") },
		"commas":        func() (Config, error) { return load([]string{"--data", "/mnt/d{1,2}, /mnt/e"}, nil, "") },
		"sequence":      func() (Config, error) { return load(nil, nil, "data:\n  - /mnt/d{1...2}\n  - /mnt/e\n") },
		"flow sequence": func() (Config, error) { return load(nil, nil, `data: ["/mnt/d{1...2}", /mnt/e]`) },
		"file by environment": func() (Config, error) {
			return Load(Sources{Environ: []string{"UNDERCROFT_CONFIG=x"}, ReadFile: func(string) ([]byte, error) {
				return []byte("data: /mnt/d{1...2},/mnt/e"), nil
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := read()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, c.Data); diff != "" {
				t.Error(diff)
			}
		})
	}
	if c, err := load(nil, nil, "data: ['/mnt/a,b']"); err != nil || len(c.Data) != 1 {
		t.Errorf("a comma in an item of a sequence: %q, %v; want one directory", c.Data, err)
	}
}

func TestRefusals(t *testing.T) {
	d := func(args ...string) []string { return append(args, "--data=/d") }
	tests := []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string
	}{
		{"nothing", nil, nil, "", "no data directory: give --data DIR, UNDERCROFT_DATA or data: in the configuration file"},
		{"unknown flag", d("--colour=red"), nil, "", "command line: unknown flag --colour"},
		{"flag without value", []string{"--data"}, nil, "", "command line: flag needs an argument: --data"},
		{"operand", d("x", "y"), nil, "", `command line: "x" is not expected; settings are flags`},
		{"unknown variable", d(), []string{"UNDERCROFT_COLOUR=red"}, "", "environment UNDERCROFT_COLOUR: unknown setting"},
		{"unknown key", d(), nil, "region: x\ncolour: red\n", "u.yaml:2: colour: unknown setting"},
		{"nested file", d(), nil, "config: y", "u.yaml:1: config: a configuration file cannot name another"},
		{"doubled key", d(), nil, "region: x\n\nregion: y\n", "u.yaml:3: region: already given in line 1"},
		{"no value", d(), nil, "region:\n", "u.yaml:1: region: it has no value"},
		{"not a mapping", d(), nil, "- region\n", "u.yaml:1: expected settings as `name: value`"},
		{"sequence for a scalar", d(), nil, "region: [a, b]", "u.yaml:1: region: it is given more than once"},
		{"mapping for a list", nil, nil, "data: {1...2}", "u.yaml:1: data: it is not a plain value (quote one that begins with a brace)"},
		{"broken yaml", d(), nil, "a: [", "u.yaml: line 1: did not find expected node content"},
		{"two documents", d(), nil, "region: a\n---\nregion: b\n", "u.yaml: it holds more than one YAML document"},
		{"no file", d("--config=gone"), nil, "", "configuration file gone: file does not exist"},
		{"two files", d("--config=a", "--config=b"), nil, "", "flag --config: it is given more than once"},
		{"bad flag", d("--listen=9000"), nil, "", `flag --listen: "9000" is not HOST:PORT`},
		{"bad port", d("--listen=:70000"), nil, "", `flag --listen: ":70000": the port is not a number from 0 to 65535`},
		{"bad variable", d(), []string{"UNDERCROFT_LOG_LEVEL=loud"}, "", `environment UNDERCROFT_LOG_LEVEL: "loud" is not one of debug, info, warn, error`},
		{"bad value in file", d(), nil, "\nbuffer-memory: lots\n", `u.yaml:2: buffer-memory: "lots" is not a size such as 4096, 8KiB or 192MiB`},
		{"bad value though overridden", d("--region=ok"), nil, "region: NOT OK", `u.yaml:1: region: "NOT OK" is not a region name (lowercase letters, digits and hyphens, at most 64)`},
		{"scalar flag twice", d("--region=a", "--region=b"), nil, "", "flag --region: it is given more than once"},
		{"size too small", d("--buffer-memory=1MiB"), nil, "", "flag --buffer-memory: 1MiB is not between 16MiB and 1TiB"},
		{"duration", d("--idle-timeout=5"), nil, "", `flag --idle-timeout: "5" is not a duration such as 30s or 5m`},
		{"duration too short", d("--idle-timeout=-5s"), nil, "", "flag --idle-timeout: -5s is less than 100ms"},
		{"media", d("--media=tape"), nil, "", `flag --media: "tape" is not one of hdd, ssd`},
		{"count", d("--max-connections=0"), nil, "", "flag --max-connections: 0 is not between 1 and 1048576"},
		{"not a count", d("--max-connections=many"), nil, "", `flag --max-connections: "many" is not a whole number`},
		{"boolean", d("--access-log=perhaps"), nil, "", `flag --access-log: "perhaps" is neither true nor false`},
		{"scheme", d("--scheme=4"), nil, "", `flag --scheme: "4" is neither auto nor data+parity such as 4+2`},
		{"scheme out of range", d("--scheme=0+1"), nil, "", `flag --scheme: "0+1": data shards are 1 to 32, parity shards 0 to 8`},
		{"scheme too wide", d("--scheme=4+2"), nil, "", "flag --scheme: 4+2 needs 6 data directories, there are 1"},
		{"directory twice", d("--data=/d/"), nil, "", `flag --data: directory "/d" is given twice`},
		{"directory in directory", d("--data=/d/e"), nil, "", `flag --data: directory "/d" holds another data directory`},
		{"empty directory", []string{"--data=/a,,/b"}, nil, "", `flag --data: "" is not a directory name`},
		{"brace", []string{"--data=/d{1..3}"}, nil, "", `flag --data: "/d{1..3}": braces hold a range {1...6} or alternatives {a,b}, not {1..3}`},
		{"domain", d("--domain=a_b"), nil, "", `flag --domain: "a_b" is not a domain name`},
		{"class", d("--storage-class=cold"), nil, "", `flag --storage-class: "cold" is no name of a storage class: use STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, REDUCED_REDUNDANCY or GLACIER_IR, or one of your own of up to 64 of A-Z, 0-9 and _`},
		{"class twice", d("--storage-class=STANDARD_IA,STANDARD_IA=1+0"), nil, "", `flag --storage-class: storage class "STANDARD_IA" is given twice`},
		{"class STANDARD", d("--storage-class=STANDARD=1+0"), nil, "", "flag --storage-class: storage class STANDARD is always there: the setting scheme says how it is kept"},
		{"class archived", d("--storage-class=GLACIER=1+0"), nil, "", "flag --storage-class: clients expect objects in storage class GLACIER to be restored before they are read, which is not built: use GLACIER_IR"},
		{"too many classes", d("--storage-class=A,B,C,D,E,F,G,H,I"), nil, "", "flag --storage-class: 9 storage classes: give 8 at most"},
		{"class without a scheme", d("--storage-class=STANDARD_IA=4"), nil, "", `flag --storage-class: storage class STANDARD_IA: "4" is neither auto nor data+parity such as 4+2`},
		{"class too wide", d("--storage-class=STANDARD_IA=4+2"), nil, "", "flag --storage-class: STANDARD_IA=4+2 needs 6 data directories, there are 1: give more of them, or fewer shards"},
		{"domain address", d("--domain=127.0.0.1"), nil, "", `flag --domain: "127.0.0.1" is not a domain name`},
		{"domain twice", d("--domain=a.b", "--domain=A.B."), nil, "", `flag --domain: domain "a.b" is given twice`},
		{"same address", d("--listen=:1", "--admin-listen=:1"), nil, "", "flag --admin-listen: it is the same address as listen"},
		{"certificate alone", d(), nil, "tls-cert: c", "u.yaml:1: tls-cert: it needs tls-key too"},
		{"key alone", d("--tls-key=k"), nil, "", "flag --tls-key: it needs tls-cert too"},
		{"a key too few", d("--tls-cert=a", "--tls-cert=b", "--tls-key=k"), nil, "", "flag --tls-key: tls-cert names 2 files and tls-key 1: each certificate needs its key, in the same order"},
		{"one domain for both", d("--domain=s3.test", "--website-domain=S3.test"), nil, "", `flag --website-domain: "s3.test" is a domain too: S3 and websites need names of their own`},
		{"access key alone", d(), []string{"UNDERCROFT_ROOT_ACCESS_KEY=abc"}, "", "environment UNDERCROFT_ROOT_ACCESS_KEY: it needs root-secret-key too"},
		{"secret alone", d(), []string{"UNDERCROFT_ROOT_SECRET_KEY=hush-hush"}, "", "environment UNDERCROFT_ROOT_SECRET_KEY: it needs root-access-key too"},
		{"short access key", d("--root-access-key=ab"), nil, "", "flag --root-access-key: an access key has 3 to 128 characters"},
		{"access key with slash", d("--root-access-key=a/b"), nil, "", `flag --root-access-key: an access key has no spaces, control characters, non-ASCII characters or any of / , = "`},
		{"short secret", d("--root-secret-key=hush"), nil, "", "flag --root-secret-key: a secret key has at least 8 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.args, tt.environ, tt.file)
			if err == nil {
				t.Fatalf("accepted; want %q", tt.want)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if _, ok := errors.AsType[*Error](err); !ok || strings.Contains(err.Error(), "\n") {
				t.Errorf("%T %q is not one line of a config.Error", err, err)
			}
		})
	}
}

func TestHelpIsAskedFor(t *testing.T) {
	for _, arg := range []string{"-h", "--help"} {
		if _, err := load([]string{"--data=/d", arg}, nil, ""); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: %v, want ErrHelp", arg, err)
		}
	}
}

func TestForeignVariablesAreNotSettings(t *testing.T) {
	environ := []string{
		"PATH=/bin", "UNDERCROFTED=x",
		"UNDERCROFT_SERVICE_HOST=10.0.0.1", "UNDERCROFT_SERVICE_PORT_S3=9000", "UNDERCROFT_PORT=tcp://10.0.0.1:9000",
		"UNDERCROFT_PORT_9000_TCP_ADDR=10.0.0.1", "UNDERCROFT_PORT_9000_TCP=tcp://10.0.0.1:9000",
	}
	if _, err := load([]string{"--data=/d"}, environ, ""); err != nil {
		t.Error(err)
	}
	if _, err := load([]string{"--data=/d"}, []string{"UNDERCROFT_PORT=9000"}, ""); err == nil {
		t.Error("UNDERCROFT_PORT=9000 looks like a setting and was accepted")
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	const secret = "correct-horse-battery"
	c, err := load([]string{"--data=/d", "--root-access-key=abc", "--root-secret-key=" + secret}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", slog.Any("config", c), slog.Any("secret", c.RootSecretKey))
	for name, shown := range map[string]string{
		"log": log.String(), "%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c), "%s": fmt.Sprint(c.RootSecretKey),
	} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s shows the secret: %s", name, shown)
		}
	}
	if !strings.Contains(log.String(), `"region":"us-east-1"`) {
		t.Errorf("the log does not list the settings: %s", log.String())
	}
	if string(c.RootSecretKey) != secret {
		t.Error("the secret itself is lost")
	}
}

func FuzzFileNeverPanics(f *testing.F) {
	f.Add("data: /d\nregion: eu\n")
	f.Add("data: [/a, '/b{1...3}']\n# c\n")
	f.Add("&a data: *a\n")
	f.Add("---\n...\n--- x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load(Sources{Args: []string{"--config=f"}, ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
		if err == nil && len(c.Data) == 0 {
			t.Error("accepted without a data directory")
		}
	})
}
