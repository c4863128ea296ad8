package config

import (
	"strings"
	"testing"
)

func TestMetadata(t *testing.T) {
	for text, want := range map[string]Metadata{
		"":                             {Engine: EnginePebble},
		"pebble":                       {Engine: EnginePebble},
		"pebble:/var/lib/meta/":        {Engine: EnginePebble, Dir: "/var/lib/meta"},
		"fdb:/etc/foundationdb/f.c":    {Engine: EngineFDB, ClusterFile: "/etc/foundationdb/f.c", Prefix: "uc"},
		"fdb:/f?prefix=shop/eu-1":      {Engine: EngineFDB, ClusterFile: "/f", Prefix: "shop/eu-1"},
		"fdb:/f/../g?prefix=a%2Eb":     {Engine: EngineFDB, ClusterFile: "/g", Prefix: "a.b"},
		"fdb:/etc/foundationdb/f.c?":   {Engine: EngineFDB, ClusterFile: "/etc/foundationdb/f.c", Prefix: "uc"},
		"fdb:/f?prefix=" + repeat31():  {Engine: EngineFDB, ClusterFile: "/f", Prefix: repeat31()},
		"pebble:/var/lib/with a space": {Engine: EnginePebble, Dir: "/var/lib/with a space"},
	} {
		args := []string{"--data=/d"}
		if text != "" {
			args = append(args, "--metadata="+text)
		}
		c, err := Load(Sources{Args: args})
		if err != nil || c.Metadata != want {
			t.Errorf("%s: %+v, %v, want %+v", text, c.Metadata, err, want)
		}
		again, err := Load(Sources{Args: []string{"--data=/d", "--metadata=" + c.Metadata.String()}})
		if err != nil || again.Metadata != want {
			t.Errorf("%s rendered as %s: %+v, %v", text, c.Metadata, again.Metadata, err)
		}
	}
}

func repeat31() string { return strings.Repeat("p", maxPrefix) }

func TestMetadataThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"etcd:/x":                           "none of pebble, pebble:DIR and fdb:FILE",
		"/var/lib/meta":                     "none of pebble",
		"fdb":                               "none of pebble",
		"fdb:":                              "the cluster file is missing",
		"fdb:fdb.cluster":                   `"fdb.cluster" is not an absolute path`,
		"fdb:/etc/foundationdb/":            "is a directory",
		"fdb://host/f?prefix=":              "does not have 1 to 31 characters",
		"fdb:/f?prefix=" + repeat31() + "p": "does not have 1 to 31 characters",
		"fdb:/f?prefix=a b":                 "others than letters",
		"fdb:/f?prefix=a%00":                "others than letters",
		"fdb:/f?prefix=%FF":                 "others than letters",
		"fdb:/f?prefix=%zz":                 "is not prefix=NAME",
		"fdb:/f?prefix=a&prefix=b":          "once",
		"fdb:/f?tls=on":                     "all that may follow",
		"pebble:":                           "the directory is missing",
		"pebble:meta":                       `"meta" is not an absolute path`,
		"pebble:/d/meta":                    `"/d" holds another data directory`,
		"pebble:/d":                         `"/d" is given twice`,
		"pebble:/x\ny":                      "is not the name of a directory",
	} {
		_, err := Load(Sources{Args: []string{"--data=/d", "--metadata=" + text}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "flag --metadata: ") {
			t.Errorf("%s: %v does not say where it comes from", text, err)
		}
	}
}

// TestPrefixesAreApart: no store's keys lie among those of another.
func TestPrefixesAreApart(t *testing.T) {
	a, b := Metadata{Prefix: "shop"}, Metadata{Prefix: "shop2"}
	if strings.HasPrefix(string(b.KeyPrefix()), string(a.KeyPrefix())) || string(a.KeyPrefix()) != "shop\x00" {
		t.Errorf("%q, %q", a.KeyPrefix(), b.KeyPrefix())
	}
}

func TestInlineLimitFollowsTheEngine(t *testing.T) {
	for _, c := range []struct {
		args, environ []string
		want          Size
	}{
		{[]string{"--data=/d"}, nil, 8 * KiB},
		{[]string{"--data=/d", "--metadata=pebble:/m"}, nil, 8 * KiB},
		{[]string{"--data=/d", "--metadata=fdb:/f"}, nil, KiB},
		{[]string{"--data=/d", "--metadata=fdb:/f", "--inline-limit=8KiB"}, nil, 8 * KiB},
		{[]string{"--data=/d", "--metadata=fdb:/f"}, []string{"UNDERCROFT_INLINE_LIMIT=0"}, 0},
	} {
		if cfg, err := Load(Sources{Args: c.args, Environ: c.environ}); err != nil || cfg.InlineLimit != c.want {
			t.Errorf("%v %v: %v, %v, want %v", c.args, c.environ, cfg.InlineLimit, err, c.want)
		}
	}
}

func TestWhatNeedsDataDirectories(t *testing.T) {
	const key = "--master-key-file=/k"
	root := []string{"--root-access-key=root", "--root-secret-key=12345678"}
	for _, c := range []struct {
		kind Kind
		args []string
		want string
	}{
		{Server, []string{"--metadata=fdb:/f"}, "no data directory"},
		{Server, []string{"--metadata=pebble:/m"}, "no data directory"},
		{Server, []string{"--metadata=fdb:/f", "--data=/d", "--metadata-witness=/w"}, "a witness is for metadata on the data directories"},
		{Gateway, append(root, "--metadata=fdb:/f", key), ""},
		{Gateway, append(root, key), "a gateway has no data directories and shares"},
		{Gateway, append(root, "--metadata=pebble:/m", key), "a gateway has no data directories and shares"},
		{Gateway, append(root, "--metadata=fdb:/f", "--data=/d", key), "flag --data: a gateway has no data directories"},
		{Gateway, append(root, "--metadata=fdb:/f"), "needs master-key-file"},
		{Gateway, []string{"--metadata=fdb:/f", key}, "needs root-access-key"},
		{Gateway, append(root, "--metadata=fdb:/f", key, "--scheme=4+2"), ""},
		{Gateway, append(root, "--metadata=fdb:/f", key, "--storage-class=STANDARD_IA=2+1"), ""},
		{Offline, []string{"--metadata=fdb:/f"}, ""},
		{Offline, []string{"--metadata=pebble:/m"}, ""},
		{Offline, nil, "no data directory"},
	} {
		_, err := Load(Sources{Kind: c.kind, Args: c.args})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %v: %v, want %q", c.kind, c.args, err, c.want)
		}
	}
}
