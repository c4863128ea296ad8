package config

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/undercroft/undercroft/keys"
)

// KMSProvider is who keeps the keys of SSE-KMS.
type KMSProvider string

// The providers.
const (
	KMSLocal KMSProvider = "local"
	KMSVault KMSProvider = "vault"
)

// KMS is where the keys of server-side encryption are.
type KMS struct {
	Provider KMSProvider
	// DefaultKey is the key of SSE-KMS for who names none; empty: the local
	// keyring's own, and none of Vault.
	DefaultKey string

	VaultAddress string
	// One of VaultToken, VaultTokenFile and VaultRoleID is set where Provider is
	// KMSVault; VaultSecretIDFile belongs to VaultRoleID.
	VaultToken        Secret
	VaultTokenFile    string
	VaultRoleID       string
	VaultSecretIDFile string
	VaultMount        string
	VaultNamespace    string
	VaultCAFile       string
	// Timeout bounds a call of Vault with all its attempts.
	Timeout time.Duration
	// BucketKeyTTL is how long the data keys of bucket keys are kept in memory;
	// zero is not at all.
	BucketKeyTTL time.Duration
}

func kmsOptions(c *Config) []option {
	const g = groupEncryption
	k := &c.KMS
	return []option{
		{
			"kms", g, "local|vault", "local", "Who keeps the keys of SSE-KMS: the store itself, sealed under the master key, or the transit engine " +
				"of HashiCorp Vault or OpenBao. Those of SSE-S3 are always the store's.",
			&choice[KMSProvider]{&k.Provider, []KMSProvider{KMSLocal, KMSVault}},
		},
		{
			"kms-default-key", g, "NAME", "", "The key of SSE-KMS for requests that name none. Without it, the store makes one of its own; Vault has none then.",
			(*keyName)(&k.DefaultKey),
		},
		{"kms-vault-address", g, "URL", "", "The server, as https://vault.example:8200.", (*serverURL)(&k.VaultAddress)},
		{"kms-vault-mount", g, "PATH", "transit", "Where its transit engine is mounted.", (*text)(&k.VaultMount)},
		{"kms-vault-namespace", g, "NAME", "", "The namespace to ask in, where the server has some.", (*text)(&k.VaultNamespace)},
		{"kms-vault-ca-file", g, "FILE", "", "Certificates in PEM that the server's is to be signed by, in place of the system's.", (*text)(&k.VaultCAFile)},
		{
			"kms-vault-token-file", g, "FILE", "", "A file with the token to present; it is read again when the server refuses one, so that an agent may replace it.",
			(*text)(&k.VaultTokenFile),
		},
		{
			"kms-vault-token", g, "TOKEN", "", "The token itself. A flag shows in the list of processes; prefer the file or the environment.",
			(*secret)(&k.VaultToken),
		},
		{"kms-vault-role-id", g, "ID", "", "The AppRole to log in with, in place of a token.", (*text)(&k.VaultRoleID)},
		{"kms-vault-secret-id-file", g, "FILE", "", "A file with the secret id of the role.", (*text)(&k.VaultSecretIDFile)},
		{
			"kms-timeout", g, "DURATION", "5s", "How long to wait for Vault, repeated requests included; then the client gets 503.",
			&duration{&k.Timeout, 100 * time.Millisecond},
		},
		{
			"kms-bucket-key-ttl", g, "DURATION", "5m", "How long the data keys that Vault sealed for bucket keys are kept in memory: so long may a key that is " +
				"deleted there still be used for them. 0 for not at all.", &duration{&k.BucketKeyTTL, 0},
		},
	}
}

// keyName is the name of a key, or nothing.
type keyName string

func (k *keyName) Set(s string) error {
	if s != "" {
		name, err := keys.Name(s)
		if err != nil {
			return fmt.Errorf("%q is not the name of a key: letters, digits and ._- after a letter or digit", s)
		}
		s = name
	}
	*k = keyName(s)
	return nil
}

func (k *keyName) String() string { return string(*k) }

// serverURL is where an HTTP server is, or nothing.
type serverURL string

func (u *serverURL) Set(s string) error {
	if s != "" {
		parsed, err := url.Parse(s)
		switch {
		case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.RawQuery != "" || parsed.Fragment != "":
			return fmt.Errorf("%q is not like https://vault.example:8200", s)
		case parsed.User != nil:
			return errors.New("it holds a password: give a token instead")
		}
	}
	*u = serverURL(s)
	return nil
}

func (u *serverURL) String() string { return string(*u) }

// secret is a text that does not show itself.
type secret Secret

func (s *secret) Set(text string) error { *s = secret(text); return nil }
func (s *secret) String() string        { return Secret(*s).String() }

// validateKMS checks what the settings of the key provider ask of each other.
func (c Config) validateKMS(origin map[string]string) error {
	k := &c.KMS
	if k.DefaultKey == keys.SSES3 {
		return &Error{Source: origin["kms-default-key"], Problem: keys.SSES3 + " is the key of SSE-S3, and of nothing else"}
	}
	if err := pair(origin, "kms-vault-role-id", "kms-vault-secret-id-file", k.VaultRoleID, k.VaultSecretIDFile); err != nil {
		return err
	}
	var ways []string
	for name, given := range map[string]string{"kms-vault-token": string(k.VaultToken), "kms-vault-token-file": k.VaultTokenFile, "kms-vault-role-id": k.VaultRoleID} {
		if given != "" {
			ways = append(ways, name)
		}
	}
	switch {
	case k.Provider == KMSLocal && (k.VaultAddress != "" || len(ways) > 0):
		return &Error{Source: origin["kms"], Problem: "settings of Vault are given: give kms vault too, or none of them"}
	case k.Provider == KMSLocal:
		return nil
	case k.VaultAddress == "":
		return &Error{Source: origin["kms"], Problem: "it needs kms-vault-address"}
	case len(ways) != 1:
		return &Error{Source: origin["kms"], Problem: "it needs one of kms-vault-token-file, kms-vault-token and kms-vault-role-id"}
	}
	return nil
}
