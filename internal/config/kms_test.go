package config

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// kmsSamples are those of sample for the settings of keys.
func kmsSamples() map[string][2]string {
	return map[string][2]string{
		"previous-master-key-file": {"/etc/old", "/etc/old"},
		"core-dumps":               {"true", "true"},
		"kms":                      {"vault", "vault"},
		"kms-default-key":          {"alias/mine", "mine"},
		"kms-vault-address":        {"https://vault:8200", "https://vault:8200"},
		"kms-vault-mount":          {"keys/transit", "keys/transit"},
		"kms-vault-namespace":      {"team", "team"},
		"kms-vault-ca-file":        {"ca.pem", "ca.pem"},
		"kms-vault-token-file":     {"/run/token", "/run/token"},
		"kms-vault-token":          {"s.secret", "(hidden)"},
		"kms-vault-role-id":        {"role", "role"},
		"kms-vault-secret-id-file": {"/run/secret", "/run/secret"},
		"kms-timeout":              {"2s", "2s"},
		"kms-bucket-key-ttl":       {"1m", "1m0s"},
	}
}

// kmsCompanions are those of companions.
func kmsCompanions(name string) []string {
	const vault, address, token, role, secret = "--kms=vault", "--kms-vault-address=http://v", "--kms-vault-token-file=t", "--kms-vault-role-id=r", "--kms-vault-secret-id-file=s"
	switch name {
	case "kms":
		return []string{address, token}
	case "kms-vault-address":
		return []string{vault, token}
	case "kms-vault-token-file", "kms-vault-token":
		return []string{vault, address}
	case "kms-vault-role-id":
		return []string{vault, address, secret}
	case "kms-vault-secret-id-file":
		return []string{vault, address, role}
	}
	return nil
}

func TestRefusalsOfKeyProviders(t *testing.T) {
	for _, tt := range [][2]string{
		{"--kms=aws", `flag --kms: "aws" is not one of local, vault`},
		{"--kms=vault", "flag --kms: it needs kms-vault-address"},
		{"--kms=vault --kms-vault-address=http:/", `flag --kms-vault-address: "http:/" is not like https://vault.example:8200`},
		{"--kms=vault --kms-vault-address=https://:8200", `flag --kms-vault-address: "https://:8200" is not like https://vault.example:8200`},
		{"--kms-vault-address=https://u:p@v", "flag --kms-vault-address: it holds a password: give a token instead"},
		{"--kms=vault --kms-vault-address=http://v", "flag --kms: it needs one of kms-vault-token-file, kms-vault-token and kms-vault-role-id"},
		{"--kms=vault --kms-vault-address=http://v --kms-vault-token=a --kms-vault-token-file=b", "flag --kms: it needs one of kms-vault-token-file, kms-vault-token and kms-vault-role-id"},
		{"--kms=vault --kms-vault-address=http://v --kms-vault-role-id=a", "flag --kms-vault-role-id: it needs kms-vault-secret-id-file too"},
		{"--kms-vault-address=http://v", "default of kms: settings of Vault are given: give kms vault too, or none of them"},
		{"--kms-vault-token=x", "default of kms: settings of Vault are given: give kms vault too, or none of them"},
		{"--kms-default-key=a/b", `flag --kms-default-key: "a/b" is not the name of a key: letters, digits and ._- after a letter or digit`},
		{"--kms-default-key=undercroft-sse-s3", "flag --kms-default-key: undercroft-sse-s3 is the key of SSE-S3, and of nothing else"},
		{"--kms-timeout=1ms", "flag --kms-timeout: 1ms is less than 100ms"},
		{"--kms=vault --kms-vault-address=http://v --kms-vault-secret-id-file=s --kms-vault-token=x", "flag --kms-vault-secret-id-file: it needs kms-vault-role-id too"},
	} {
		if _, err := load(append(strings.Fields(tt[0]), "--data=/d"), nil, ""); err == nil || err.Error() != tt[1] {
			t.Errorf("%s: %v, want %s", tt[0], err, tt[1])
		}
	}
}

func TestTokensDoNotShow(t *testing.T) {
	c, err := load([]string{"--data=/d", "--kms=vault", "--kms-vault-address=http://v", "--kms-vault-token=hush-hush"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("config", slog.Any("config", c))
	fmt.Fprintf(&out, "%v %+v %#v", c, c, c)
	if strings.Contains(out.String(), "hush") || !strings.Contains(out.String(), "kms-vault-token=(hidden)") {
		t.Errorf("the log shows %s", out.String())
	}
}
