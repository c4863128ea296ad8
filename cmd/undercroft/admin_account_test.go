package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/iam/directory"
)

// administer runs an admin command against a server and wants success.
func (i *instance) administer(t *testing.T, data string, args ...string) string {
	t.Helper()
	args = append([]string{"admin"}, append(args, "--admin", i.admin, "--data", data)...)
	code, stdout, stderr := runOnce(t, nil, nil, args...)
	if code != exitOK || stderr != "" {
		t.Fatalf("%v: %d %s", args, code, stderr)
	}
	return stdout
}

// hasAccount wants a server to list an account.
func (i *instance) hasAccount(t *testing.T, data, id string) {
	t.Helper()
	if out := i.administer(t, data, "account", "list"); !strings.Contains(out, id) {
		t.Errorf("no account %s: %s", id, out)
	}
}

// refused runs an admin command and wants one clear line.
func (i *instance) refused(t *testing.T, want string, environ []string, args ...string) {
	t.Helper()
	code, stdout, stderr := runOnce(t, nil, environ, append([]string{"admin"}, append(args, "--admin", i.admin)...)...)
	if code == exitOK || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
		t.Errorf("%v: %d %q %q, want %q", args, code, stdout, stderr, want)
	}
}

func parse[T any](t *testing.T, text string) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

func TestAccountsFromTheCommandLine(t *testing.T) {
	data := t.TempDir() + "/d{1...2}"
	i := start(t, assemble, "--data="+data)
	made := parse[iam.CreatedAccount](t, i.administer(t, data, "account", "create", "--name", "main", "--email", "tester@ceph.com",
		"--access-key", "MAINKEY", "--secret-key", "main-secret", "--json"))
	if made.CanonicalID != iam.CanonicalIDOf(made.ID) || made.Key == nil || made.Key.AccessKey.AccessKey != "MAINKEY" || made.Key.Secret != "main-secret" {
		t.Errorf("created %+v", made)
	}
	if text := i.administer(t, data, "account", "create", "--name", "plain", "--no-key", "--id", "111122223333"); strings.Contains(text, "secret") || !strings.Contains(text, "111122223333") {
		t.Errorf("an account without a key:\n%s", text)
	}
	if list := parse[[]iam.Account](t, i.administer(t, data, "account", "list", "--json")); len(list) != 3 || list[0].ID != iam.RootAccount {
		t.Errorf("accounts %+v", list)
	}
	if text := i.administer(t, data, "account", "list"); !strings.Contains(text, "tester@ceph.com") || strings.Contains(text, "main-secret") {
		t.Errorf("accounts:\n%s", text)
	}
	i.administer(t, data, "account", "disable", "tester@ceph.com")
	if a := parse[iam.Account](t, i.administer(t, data, "account", "show", "tester@ceph.com", "--json")); !a.Disabled {
		t.Errorf("disabled: %+v", a)
	}
	i.administer(t, data, "account", "enable", string(made.CanonicalID))
	i.administer(t, data, "account", "set", string(iam.RootAccount), "--email", "root@x.org", "--name", "The operator")
	if text := i.administer(t, data, "account", "show", "root@x.org"); !strings.Contains(text, "The operator") || !strings.Contains(text, "enabled") {
		t.Errorf("root:\n%s", text)
	}
	i.refused(t, "has the e-mail address", nil, "account", "create", "--name", "x", "--email", "TESTER@ceph.com", "--data", data)
	i.refused(t, "--no-key contradicts", nil, "account", "create", "--name", "x", "--no-key", "--access-key", "abcd", "--data", data)
	i.refused(t, "no such account", nil, "account", "show", "111122223334", "--data", data)
	i.refused(t, "needs ACCOUNT", nil, "account", "show", "--data", data)
	i.refused(t, `"b" is not expected`, nil, "account", "show", "a", "b", "--data", data)
	i.refused(t, "flag provided but not defined", nil, "account", "list", "--name", "x", "--data", data)
	i.refused(t, "the commands are create, list, show, set, disable, enable, delete", nil, "account")
	i.refused(t, "set UNDERCROFT_ROOT_ACCESS_KEY", nil, "account", "list")
	i.refused(t, "needs the root credentials", []string{"UNDERCROFT_ROOT_ACCESS_KEY=a", "UNDERCROFT_ROOT_SECRET_KEY=b"}, "account", "list")
	i.refused(t, "no such file", nil, "account", "list", "--data", t.TempDir())
	i.administer(t, data, "account", "delete", "111122223333")
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d, log:\n%s", code, i.stderr)
	}
	if strings.Contains(i.stderr.String(), "main-secret") {
		t.Error("a secret is in the log")
	}
	// The token of the start before is worth nothing any more; the accounts stay.
	i = start(t, assemble, "--data="+data)
	if list := parse[[]iam.Account](t, i.administer(t, data, "account", "list", "--json")); len(list) != 2 {
		t.Errorf("accounts after a restart: %+v", list)
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestUsersAndKeysFromTheCommandLine(t *testing.T) {
	data := t.TempDir()
	i := start(t, assemble, "--data="+data, "--root-access-key=operator", "--root-secret-key=open-sesame")
	defer i.stop()
	account := string(parse[iam.CreatedAccount](t, i.administer(t, data, "account", "create", "--name", "main", "--json")).ID)
	policy := filepath.Join(t.TempDir(), "policy.json")
	place(t, policy, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	i.administer(t, data, "user", "create", account, "bob", "--display-name", "Bob")
	u := parse[iam.User](t, i.administer(t, data, "user", "policy", "set", account, "bob", policy, "--json"))
	if u.Name != "bob" || u.DisplayName != "Bob" || !strings.Contains(u.Policy, "s3:*") {
		t.Errorf("bob is %+v", u)
	}
	if text := i.administer(t, data, "user", "policy", "show", account, "bob"); !strings.Contains(text, "s3:*") {
		t.Errorf("policy %q", text)
	}
	k := parse[iam.KeyPair](t, i.administer(t, data, "key", "create", account, "--user", "bob", "--description", "laptop", "--json"))
	if k.User != "bob" || len(k.Secret) != 40 || k.Description != "laptop" {
		t.Errorf("key %+v", k.AccessKey)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	place(t, secret, "secret-of-a-file\n")
	if filed := parse[iam.KeyPair](t, i.administer(t, data, "key", "rotate", k.AccessKey.AccessKey, "--secret-key-file", secret, "--json")); filed.Secret != "secret-of-a-file" {
		t.Errorf("rotated to the secret of a file: %q", filed.Secret)
	}
	i.refused(t, "no such file", nil, "key", "rotate", k.AccessKey.AccessKey, "--secret-key-file", secret+"x", "--data", data)
	i.refused(t, "give one of", nil, "key", "rotate", k.AccessKey.AccessKey, "--secret-key-file", secret, "--secret-key", "12345678", "--data", data)
	rotated := parse[iam.KeyPair](t, i.administer(t, data, "key", "rotate", k.AccessKey.AccessKey, "--json"))
	if rotated.Secret == k.Secret || rotated.Rotated.IsZero() {
		t.Errorf("rotated %+v", rotated.AccessKey)
	}
	i.administer(t, data, "key", "disable", k.AccessKey.AccessKey)
	if text := i.administer(t, data, "key", "list", account, "--user", "bob"); !strings.Contains(text, "disabled") || strings.Contains(text, rotated.Secret) {
		t.Errorf("keys:\n%s", text)
	}
	i.administer(t, data, "key", "enable", k.AccessKey.AccessKey)
	i.administer(t, data, "user", "disable", account, "bob")
	if text := i.administer(t, data, "user", "list", account); !strings.Contains(text, "disabled") {
		t.Errorf("users:\n%s", text)
	}
	i.administer(t, data, "user", "policy", "delete", account, "bob")
	i.administer(t, data, "key", "delete", k.AccessKey.AccessKey)
	i.refused(t, "has the user", nil, "account", "delete", account, "--data", data)
	i.administer(t, data, "user", "delete", account, "bob")
	i.administer(t, data, "account", "delete", account)
	// The root credentials open the listener too.
	environ := []string{"UNDERCROFT_ROOT_ACCESS_KEY=operator", "UNDERCROFT_ROOT_SECRET_KEY=open-sesame"}
	if code, stdout, stderr := runOnce(t, nil, environ, "admin", "account", "list", "--admin", i.admin); code != exitOK || !strings.Contains(stdout, "000000000001") {
		t.Errorf("with the root credentials: %d %q", code, stderr)
	}
	if code, body := get(t, i.admin+"/-/accounts"); code != http.StatusUnauthorized {
		t.Errorf("without any: %d %s", code, body)
	}
}

func TestMasterKeyIsMadeOnceAndKept(t *testing.T) {
	root := t.TempDir()
	data := root + "/d{1...2}"
	i := start(t, assemble, "--data="+data)
	if !strings.Contains(i.stderr.String(), "master key made") {
		t.Errorf("the log does not say that a master key was made:\n%s", i.stderr)
	}
	i.administer(t, data, "account", "create", "--name", "main")
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	file := masterKeyFile().path(filepath.Join(root, "d1"))
	for _, dir := range []string{"d1", "d2"} {
		info, err := os.Stat(masterKeyFile().path(filepath.Join(root, dir)))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", dir, info, err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kept := parse[keptMasterKey](t, string(content))
	if strings.Contains(i.stderr.String(), kept.MasterKey) {
		t.Error("the master key is in the log")
	}
	named := filepath.Join(t.TempDir(), "master")
	place(t, named, kept.MasterKey+"\n")
	for _, args := range [][]string{nil, {"--master-key-file=" + named}, {"--master-key=" + kept.MasterKey}} {
		again := start(t, assemble, append(args, "--data="+data)...)
		if strings.Contains(again.stderr.String(), "master key made") {
			t.Errorf("another master key was made with %q", args)
		}
		again.administer(t, data, "account", "create", "--name", "more")
		if code := again.stop(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestWrongMasterKeyStopsTheStart(t *testing.T) {
	root := t.TempDir()
	i := start(t, assemble, "--data="+root)
	i.administer(t, root, "account", "create", "--name", "main")
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	named := filepath.Join(t.TempDir(), "master")
	wrong := directory.MasterKey{9}.Text()
	for name, tt := range map[string]struct {
		content, want string
		args          []string
		code          int
	}{
		"another in a file": {wrong, "wrong master key", []string{"--master-key-file=" + named}, exitFailure},
		"another":           {"", "wrong master key", []string{"--master-key=" + wrong}, exitFailure},
		"no key in a file":  {"secret words", "is the base64 of 32 bytes", []string{"--master-key-file=" + named}, exitFailure},
		"no file":           {"", "no such file", []string{"--master-key-file=" + named + "x"}, exitFailure},
		"no key":            {"", "is the base64 of 32 bytes", []string{"--master-key=secretwords"}, exitUsage},
		"both":              {wrong, "give one of them", []string{"--master-key-file=" + named, "--master-key=" + wrong}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			place(t, named, tt.content)
			args := append([]string{"server", "--data=" + root, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-level=error"}, tt.args...)
			code, _, stderr := runOnce(t, assemble, nil, args...)
			if code != tt.code || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, wrong) || strings.Contains(stderr, "secretwords") {
				t.Errorf("code %d, stderr %q, want %q", code, stderr, tt.want)
			}
		})
	}
	// A lost master key is not replaced by a new one.
	if err := os.Remove(masterKeyFile().path(root)); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := runOnce(t, assemble, nil, "server", "--data="+root, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-level=error")
	if code != exitFailure || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "the master key is lost") {
		t.Errorf("without the kept master key: %d %q", code, stderr)
	}
	if _, err := os.Stat(masterKeyFile().path(root)); !os.IsNotExist(err) {
		t.Errorf("a new master key was kept: %v", err)
	}
}
