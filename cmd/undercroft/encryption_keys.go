package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keyring"
	"github.com/undercroft/undercroft/keys/transit"
	"github.com/undercroft/undercroft/metadata"
)

// maxSecretFile bounds a file with a token or a secret id, in bytes.
const maxSecretFile = 64 << 10

// keySet is where the keys of server-side encryption are.
type keySet struct {
	cfg     config.KMS
	sealer  *directory.Sealer
	now     func() time.Time
	logger  *slog.Logger
	metrics *keyMetrics

	health *kmsHealth // of vault

	ring  *keyring.Keyring  // nil before open
	vault *transit.Provider // nil: the keyring keeps all keys
	cache *keys.Cache       // of the data keys of bucket keys; nil: there is none
}

// newKeySet prepares the providers; it asks nobody anything.
func newKeySet(cfg config.Config, p parts) (k *keySet, err error) {
	k = &keySet{cfg: cfg.KMS, now: p.now, logger: p.logger, metrics: newKeyMetrics(p.now)}
	if k.sealer, err = directory.NewSealer(p.masterKey, p.previousMasterKey, p.random); err != nil {
		return nil, err
	}
	if cfg.KMS.Provider != config.KMSVault {
		return k, nil
	}
	if k.vault, err = newVault(cfg.KMS); err != nil {
		return nil, err
	}
	k.health = newKMSHealth(k.ask, p.now)
	k.metrics.health = k.health
	if cfg.KMS.BucketKeyTTL > 0 {
		k.cache, err = keys.NewCache(k.metrics.observe("vault", k.vault), keys.CacheOptions{Now: p.now, TTL: cfg.KMS.BucketKeyTTL})
	}
	return k, err
}

func newVault(cfg config.KMS) (*transit.Provider, error) {
	client, err := vaultClient(cfg)
	if err != nil {
		return nil, err
	}
	o := transit.Options{
		Address: cfg.VaultAddress, Mount: cfg.VaultMount, Namespace: cfg.VaultNamespace, Timeout: cfg.Timeout, Client: client,
	}
	switch {
	case cfg.VaultToken != "":
		o.Token = transit.StaticToken(string(cfg.VaultToken))
	case cfg.VaultTokenFile != "":
		o.Token = transit.ReadToken(func() ([]byte, error) { return readSecretFile(cfg.VaultTokenFile) })
	default:
		o.Token = transit.AppRole("approle", cfg.VaultRoleID, func() ([]byte, error) { return readSecretFile(cfg.VaultSecretIDFile) })
	}
	return transit.New(o)
}

// vaultClient trusts the configured certificates; nil: the system's.
func vaultClient(cfg config.KMS) (*http.Client, error) {
	if cfg.VaultCAFile == "" {
		return nil, nil //nolint:nilnil // nil is the provider's own
	}
	text, err := readSecretFile(cfg.VaultCAFile)
	if err != nil {
		return nil, fmt.Errorf("kms-vault-ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("kms-vault-ca-file %s holds no certificate", cfg.VaultCAFile)
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: cfg.Timeout,
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: transit.DefaultConcurrent, MaxConnsPerHost: transit.DefaultConcurrent, IdleConnTimeout: time.Minute,
	}}, nil
}

// readSecretFile reads a small file.
func readSecretFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSecretFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxSecretFile)
	}
	return os.ReadFile(name)
}

// open makes the providers over the metadata.
func (k *keySet) open(_ context.Context, db *metadata.DB) (keys.Providers, error) {
	ring, err := keyring.New(db, k.sealer, keyring.Options{Now: k.now})
	if err != nil {
		return keys.Providers{}, err
	}
	k.ring = ring
	local := k.metrics.observe("local", ring)
	if k.vault == nil {
		return keys.Providers{S3: local, KMS: local, BucketKeys: local, Default: k.defaultKey()}, nil
	}
	out := keys.Providers{S3: local, KMS: k.metrics.observe("vault", k.vault), Default: k.defaultKey()}
	out.BucketKeys = out.KMS
	if k.cache != nil {
		out.BucketKeys = k.cache
	}
	return out, nil
}

// defaultKey is the key of SSE-KMS for who names none; empty: there is none.
func (k *keySet) defaultKey() string {
	if k.vault == nil && k.cfg.DefaultKey == "" {
		return keyring.SSEKMS
	}
	return k.cfg.DefaultKey
}

// close wipes the keys in memory.
func (k *keySet) close() {
	if k.cache != nil {
		k.cache.Close()
	}
	if k.ring != nil {
		k.ring.Close()
	}
	if k.vault != nil {
		k.health.close()
		k.vault.Close()
	}
}

// conditions are what administrators see of the key provider. A store whose
// Vault does not answer serves all that is not encrypted with its keys, so it
// stays ready.
func (k *keySet) conditions() []admin.Condition {
	if k.vault == nil {
		return nil
	}
	return []admin.Condition{{Name: "kms", Advisory: true, Check: k.health.check}}
}

// welcome warns at start of a key provider that does not answer.
func (k *keySet) welcome(ctx context.Context) {
	if k.vault == nil {
		return
	}
	if err := k.health.look(ctx); err != nil && !errors.Is(err, context.Canceled) {
		k.logger.WarnContext(ctx, "the key provider cannot be used; what its keys encrypt is not readable until it can",
			slog.String("address", k.cfg.VaultAddress), slog.String("error", err.Error()))
	}
}

// ask is nil while Vault answers and lets this server use the default key.
func (k *keySet) ask(ctx context.Context) error {
	err := k.vault.Healthy(ctx)
	if err == nil && k.cfg.DefaultKey != "" {
		err = k.vault.Check(ctx, k.cfg.DefaultKey)
	}
	return err
}
