package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/keys/transit/transittest"
)

func TestEncryptionKeysFromTheCommandLine(t *testing.T) {
	data := t.TempDir()
	i := start(t, assemble, "--data="+data, "--log-format=json")
	if list := parse[admin.EncryptionKeyList](t, i.administer(t, data, "keys", "list", "--json")); len(list.Keys) != 0 || list.Provider != "local" || list.Default != "undercroft-sse-kms" {
		t.Errorf("keys of a new store: %+v", list)
	}
	made := parse[admin.EncryptionKey](t, i.administer(t, data, "keys", "create", "invoices", "--description", "Accounting", "--json"))
	if made.Name != "invoices" || made.State != "enabled" || made.Description != "Accounting" || len(made.Versions) != 1 || made.Versions[0].Number != 1 {
		t.Errorf("created %+v", made)
	}
	i.refused(t, "there is or was a key of that name", nil, "keys", "create", "invoices", "--data", data)
	i.refused(t, "a name has letters", nil, "keys", "create", "a/b", "--data", data)
	i.refused(t, "no such encryption key", nil, "keys", "rotate", "none", "--data", data)
	i.refused(t, "needs KEY", nil, "keys", "rotate", "--data", data)
	i.refused(t, "set UNDERCROFT_ROOT_ACCESS_KEY", nil, "keys", "list")
	i.refused(t, "in use by 0 object versions and uploads", nil, "keys", "delete", "invoices", "--data", data)
	rotated := parse[admin.EncryptionKeyChange](t, i.administer(t, data, "keys", "rotate", "invoices", "--json"))
	if len(rotated.Versions) != 2 || rotated.Job != "rewrap" || rotated.Wish == 0 {
		t.Errorf("rotated %+v", rotated)
	}
	if text := i.administer(t, data, "keys", "drop", "invoices", "--watch"); !strings.Contains(text, "rewrap: resting") || !strings.Contains(text, "1 keys without their old versions") {
		t.Errorf("dropping old versions:\n%s", text)
	}
	if text := i.administer(t, data, "keys", "rewrap", "--watch"); !strings.Contains(text, "0 data keys looked at") {
		t.Errorf("rewrapping:\n%s", text)
	}
	if k := parse[admin.EncryptionKey](t, i.administer(t, data, "keys", "show", "invoices", "--json")); len(k.Versions) != 1 || k.Versions[0].Number != 2 || k.Use == nil || k.Use.Objects != 0 {
		t.Errorf("after the drop: %+v", k)
	}
	if text := i.administer(t, data, "keys", "disable", "invoices"); !strings.Contains(text, "disabled") {
		t.Errorf("disabled:\n%s", text)
	}
	i.refused(t, "disabled", nil, "keys", "rotate", "invoices", "--data", data)
	i.administer(t, data, "keys", "enable", "invoices")
	if text := i.administer(t, data, "keys", "delete", "invoices", "--yes"); !strings.Contains(text, "deleted") {
		t.Errorf("deleted:\n%s", text)
	}
	i.refused(t, "deleted", nil, "keys", "enable", "invoices", "--data", data)
	i.refused(t, "sealed under the configured master key already", nil, "keys", "rotate", "--master", "--data", data)
	if text := i.administer(t, data, "keys", "list"); !strings.Contains(text, "invoices  deleted") {
		t.Errorf("keys:\n%s", text)
	}
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d, log:\n%s", code, i.stderr)
	}
	for _, change := range []string{"created", "rotated", "deleted", "old versions of an encryption key ended"} {
		if !strings.Contains(i.stderr.String(), change) {
			t.Errorf("the log does not say %q", change)
		}
	}
}

// The master key that a data directory keeps is replaced by one in a file: a
// store that was started with both needs the new one alone from then on.
func TestMasterKeyIsReplaced(t *testing.T) {
	data := t.TempDir()
	i := start(t, assemble, "--data="+data)
	account := parse[iam.CreatedAccount](t, i.administer(t, data, "account", "create", "--name", "main", "--json"))
	i.administer(t, data, "keys", "create", "invoices")
	if code := i.stop(); code != exitOK {
		t.Fatal(code)
	}
	file := filepath.Join(t.TempDir(), "master")
	place(t, file, directory.MasterKey{7}.Text()+"\n")
	previous := "--previous-master-key-file=" + masterKeyFile().path(data)
	i = start(t, assemble, "--data="+data, "--master-key-file="+file, previous)
	i.administer(t, data, "keys", "create", "more")
	out := parse[admin.MasterKeyRotation](t, i.administer(t, data, "keys", "rotate", "--master", "--json"))
	if len(out.Ended) != 1 || out.AccessKeys != 1 || out.EncryptionKeys != 1 || out.Ended[0] == out.MasterKey {
		t.Errorf("replaced: %+v", out)
	}
	if code := i.stop(); code != exitOK {
		t.Fatal(code)
	}
	// The new one alone opens everything, the old one nothing.
	i = start(t, assemble, "--data="+data, "--master-key-file="+file)
	list := parse[admin.EncryptionKeyList](t, i.administer(t, data, "keys", "list", "--json"))
	for _, k := range list.Keys {
		if len(k.Versions) != 1 || k.Versions[0].MasterKey != out.MasterKey {
			t.Errorf("%+v", k)
		}
	}
	i.administer(t, data, "keys", "rotate", "invoices", "--watch")
	if keys := i.administer(t, data, "key", "list", string(account.ID)); !strings.Contains(keys, account.Key.AccessKey.AccessKey) {
		t.Errorf("access keys:\n%s", keys)
	}
	if code := i.stop(); code != exitOK {
		t.Fatal(code)
	}
	code, _, stderr := runOnce(t, assemble, nil, "server", "--data="+data, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0")
	if code == exitOK || !strings.Contains(stderr, "wrong master key") {
		t.Errorf("a start with the old master key: %d %s", code, stderr)
	}
}

func TestServerWithVault(t *testing.T) {
	vault := transittest.New()
	defer vault.Close()
	token := filepath.Join(t.TempDir(), "token")
	place(t, token, transittest.Token+"\n")
	data := t.TempDir()
	i := start(t, assemble, "--data="+data, "--kms=vault", "--kms-vault-address="+vault.Address(), "--kms-vault-token-file="+token)
	ready := func(want string) {
		t.Helper()
		status, body := get(t, i.admin+"/-/readyz")
		if status != 200 || !strings.Contains(strings.Join(strings.Fields(body), " "), want) {
			t.Errorf("ready: %d %s, want %s", status, body, want)
		}
	}
	ready(`"name": "kms", "ok": true`)
	if list := parse[admin.EncryptionKeyList](t, i.administer(t, data, "keys", "list", "--json")); list.Provider != "vault" || list.Default != "" {
		t.Errorf("keys: %+v", list)
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(i.stderr.String(), transittest.Token) {
		t.Error("the token is in the log")
	}
}

// A server starts though its key provider does not answer: it serves what is not
// encrypted with its keys, stays ready, and says so.
func TestServerWithVaultThatIsSealed(t *testing.T) {
	vault := transittest.New()
	defer vault.Close()
	vault.Seal()
	i := start(t, assemble, "--data="+t.TempDir(), "--kms=vault", "--kms-vault-address="+vault.Address(), "--kms-vault-token="+transittest.Token)
	status, body := get(t, i.admin+"/-/readyz")
	if status != 200 || !strings.Contains(body, `"ready": true`) || !strings.Contains(body, "key provider is unavailable: the server is sealed") {
		t.Errorf("ready: %d %s", status, body)
	}
	if _, body := get(t, i.admin+"/-/metrics"); !strings.Contains(body, "undercroft_kms_up 0") {
		t.Error("the metrics do not say that the key provider is down")
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if log := i.stderr.String(); !strings.Contains(log, "the key provider cannot be used") || strings.Contains(log, transittest.Token) {
		t.Errorf("the log:\n%s", log)
	}
}
