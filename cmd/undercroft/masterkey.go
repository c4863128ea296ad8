package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/vfs"
)

// masterKeyFormat is the format of the file that keeps a generated master key.
const masterKeyFormat = 1

// masterKey encrypts the secrets of access keys.
type masterKey struct {
	key    directory.MasterKey
	origin origin
	file   string // where it is kept, or ""
}

// keptMasterKey is the content of the file .undercroft/master-key.
type keptMasterKey struct {
	Format    int    `json:"format"`
	MasterKey string `json:"masterKey"` // 32 bytes in base64
}

func masterKeyFile() kept[keptMasterKey] {
	return kept[keptMasterKey]{name: "master-key", what: "a master key", check: func(k keptMasterKey) error {
		if err := checkFormat(k.Format, masterKeyFormat); err != nil {
			return err
		}
		if _, err := directory.ParseMasterKey(k.MasterKey); err != nil {
			return errors.New("does not hold a master key")
		}
		return nil
	}}
}

// findMasterKey returns the configured master key, else the one that the data
// directories keep, else a new one. It writes nothing.
func findMasterKey(files vfs.FS, cfg config.Config, random io.Reader) (m masterKey, err error) {
	if cfg.MasterKey != "" {
		m.key, err = directory.ParseMasterKey(string(cfg.MasterKey))
		return m, err
	}
	if cfg.MasterKeyFile != "" {
		m.key, err = readMasterKey(cfg.MasterKeyFile)
		return m, err
	}
	found, file, err := masterKeyFile().find(files, cfg.Data)
	if err != nil {
		return masterKey{}, err
	}
	if file != "" {
		m = masterKey{origin: originKept, file: file}
		m.key, err = directory.ParseMasterKey(found.MasterKey)
		return m, err
	}
	m.origin = originGenerated
	m.key, err = directory.NewMasterKey(random)
	return m, err
}

// previousMasterKey returns the master key that the configured one replaces, or zero.
func previousMasterKey(cfg config.Config) (directory.MasterKey, error) {
	if cfg.PreviousMasterKeyFile == "" {
		return directory.MasterKey{}, nil
	}
	key, err := readMasterKey(cfg.PreviousMasterKeyFile)
	if err != nil {
		return key, fmt.Errorf("previous-%w", err)
	}
	return key, nil
}

// readMasterKey reads the file that the operator named.
func readMasterKey(name string) (directory.MasterKey, error) {
	file, err := os.Open(name)
	if err != nil {
		return directory.MasterKey{}, fmt.Errorf("master-key-file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKept))
	if err = errors.Join(err, file.Close()); err != nil {
		return directory.MasterKey{}, fmt.Errorf("master-key-file: %w", err)
	}
	defer clear(text)
	if kept := (keptMasterKey{}); json.Unmarshal(text, &kept) == nil && kept.MasterKey != "" {
		text = []byte(kept.MasterKey) // a file that a data directory keeps
	}
	key, err := directory.ParseMasterKey(strings.TrimSpace(string(text)))
	if err != nil {
		return directory.MasterKey{}, fmt.Errorf("master-key-file %s: %w", name, err)
	}
	return key, nil
}

// explain says of an error about the master key that there is none.
func (m masterKey) explain(err error) error {
	if m.origin == originGenerated && errors.Is(err, directory.ErrWrongMasterKey) {
		return fmt.Errorf("the master key is lost: none is configured, and no data directory keeps it in %s: %w", masterKeyFile().path("DIR"), err)
	}
	return err
}

// keepMasterKey writes a master key durably into each directory that has none.
func keepMasterKey(files vfs.FS, directories []string, m masterKey) error {
	return masterKeyFile().keep(files, directories, keptMasterKey{masterKeyFormat, m.key.Text()})
}
