package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/admin"
)

// listed are the disks by path.
func (i *instance) listed(t *testing.T, data string) map[string]admin.Disk {
	t.Helper()
	out := map[string]admin.Disk{}
	for _, d := range parse[admin.DiskList](t, i.administer(t, data, "disk", "list", "--json")).Disks {
		out[d.Path] = d
	}
	return out
}

// TestDisksFromTheCommandLine grows a store by a disk, takes another one out, and starts it on
// what is left.
func TestDisksFromTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	data := dir + "/d{1...3}"
	i := start(t, assemble, "--data="+data)
	added := filepath.Join(dir, "new")
	i.refused(t, "not there", nil, "disk", "add", added, "--data", data)
	i.refused(t, "absolute", nil, "disk", "add", "new", "--data", data)
	i.refused(t, "set UNDERCROFT_ROOT_ACCESS_KEY", nil, "disk", "list")
	i.refused(t, "the commands are list, add, drain, remove", nil, "disk")
	i.refused(t, "--cancel contradicts --watch", nil, "drain", dir+"/d1", "--cancel", "--watch", "--data", data)
	if err := os.Mkdir(added, 0o750); err != nil {
		t.Fatal(err)
	}
	if text := i.administer(t, data, "disk", "add", added); !strings.Contains(text, "--data "+added) || !strings.Contains(text, "active") {
		t.Errorf("added:\n%s", text)
	}
	for _, name := range []string{"master-key", "admin-token"} {
		if _, err := os.Stat(filepath.Join(added, stateDirectory, name)); err != nil {
			t.Error(err)
		}
	}
	if d := i.listed(t, added)[added]; d.State != "active" || !d.Unlisted { // with the token that is there now
		t.Errorf("%+v", d)
	}
	if text := i.administer(t, data, "disk", "list"); strings.Count(text, "\n") != 5 || !strings.Contains(text, "the next start needs it") {
		t.Errorf("list:\n%s", text)
	}
	i.administer(t, data, "disk", "drain", dir+"/d1")
	if text := i.administer(t, data, "drain", dir+"/d1", "--cancel"); !strings.Contains(text, "active") {
		t.Errorf("cancelled:\n%s", text)
	}
	i.refused(t, "drain "+dir+"/d1", nil, "disk", "remove", dir+"/d1", "--data", data)
	if text := i.administer(t, data, "drain", dir+"/d1", "--watch"); !strings.Contains(text, "drained") {
		t.Errorf("drained:\n%s", text)
	}
	if text := i.administer(t, added, "disk", "remove", dir+"/d1"); !strings.Contains(text, "take it out of --data") {
		t.Errorf("removed:\n%s", text)
	}
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d, log:\n%s", code, i.stderr)
	}
	i = start(t, assemble, "--data="+dir+"/d{2...3}", "--data="+added)
	list := i.listed(t, added)
	if len(list) != 3 || list[added].State != "active" || list[added].Unlisted {
		t.Errorf("%+v", list)
	}
	var mirrors []string
	for path, d := range list {
		if d.Mirror {
			mirrors = append(mirrors, path)
		}
	}
	if slices.Sort(mirrors); len(mirrors) < 2 {
		t.Errorf("the metadata is in %q", mirrors)
	}
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d, log:\n%s", code, i.stderr)
	}
}
