package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/vfs"
)

// Generated root credentials are kept in every data directory, in the file
// .undercroft/credentials with mode 0600: one JSON object of
//
//	format     1
//	accessKey  20 characters
//	secretKey  40 characters
//
// All directories hold the same pair. A directory without the file gets it at
// the next start; directories that disagree stop the start.
const (
	stateDirectory    = ".undercroft"
	credentialsFile   = "credentials"
	credentialsFormat = 1
	maxCredentials    = 64 << 10 // bytes of a file that can be ours
)

// origin says where root credentials come from.
type origin int

const (
	originConfigured origin = iota
	originKept
	originGenerated
)

// rootCredentials is the key pair of the root account.
type rootCredentials struct {
	AccessKey string
	SecretKey config.Secret
	origin    origin
	file      string // where they are kept, or ""
}

// keptCredentials is the file's content.
type keptCredentials struct {
	Format    int    `json:"format"`
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

// credentialsPath returns the file's place in a data directory.
func credentialsPath(directory string) string {
	return filepath.Join(directory, stateDirectory, credentialsFile)
}

// findRoot returns the configured credentials, else those that the data
// directories keep, else new ones. It writes nothing.
func findRoot(files vfs.FS, cfg config.Config, random io.Reader) (rootCredentials, error) {
	if cfg.RootAccessKey != "" {
		return rootCredentials{AccessKey: cfg.RootAccessKey, SecretKey: cfg.RootSecretKey, origin: originConfigured}, nil
	}
	var found rootCredentials
	var unreadable error
	for _, directory := range cfg.Data {
		file := credentialsPath(directory)
		kept, err := readCredentials(files, file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case isAway(err):
			unreadable = err // the others may keep them too
		case err != nil:
			return rootCredentials{}, err
		case found.file == "":
			found = kept
		case kept.AccessKey != found.AccessKey || kept.SecretKey != found.SecretKey:
			return rootCredentials{}, fmt.Errorf("%s and %s hold different root credentials: remove the one that is not to be used", found.file, file)
		}
	}
	if found.file != "" {
		return found, nil
	}
	if unreadable != nil {
		return rootCredentials{}, unreadable
	}
	accessKey, secret, err := iam.GenerateKey(random)
	if err != nil {
		return rootCredentials{}, fmt.Errorf("making root credentials: %w", err)
	}
	return rootCredentials{AccessKey: accessKey, SecretKey: config.Secret(secret), origin: originGenerated}, nil
}

// isAway reports whether an error is that of a directory which cannot be used,
// as that of a disk that failed, and not that of its file.
func isAway(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENXIO)
}

func readCredentials(files vfs.FS, file string) (rootCredentials, error) {
	content, err := vfs.ReadFile(files, file, maxCredentials)
	if err != nil {
		return rootCredentials{}, fmt.Errorf("reading root credentials: %w", err)
	}
	var kept keptCredentials
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&kept); err != nil {
		// The parser's own words could repeat the secret.
		return rootCredentials{}, fmt.Errorf("%s does not hold root credentials", file)
	}
	if kept.Format != credentialsFormat {
		return rootCredentials{}, fmt.Errorf("%s has format %d; this binary knows format %d", file, kept.Format, credentialsFormat)
	}
	if kept.AccessKey == "" || kept.SecretKey == "" {
		return rootCredentials{}, fmt.Errorf("%s lacks a key", file)
	}
	return rootCredentials{kept.AccessKey, config.Secret(kept.SecretKey), originKept, file}, nil
}

// keepRoot writes the credentials durably into each directory that has none,
// and returns them with the file that keeps them.
func keepRoot(files vfs.FS, directories []string, root rootCredentials) (rootCredentials, error) {
	if len(directories) == 0 {
		return rootCredentials{}, errors.New("keeping root credentials: no data directory is open")
	}
	for _, directory := range directories {
		_, err := files.Stat(credentialsPath(directory))
		if err == nil {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = writeCredentials(files, directory, root)
		}
		if err != nil {
			return rootCredentials{}, fmt.Errorf("keeping root credentials: %w", err)
		}
	}
	if root.file == "" {
		root.file = credentialsPath(directories[0])
	}
	return root, nil
}

func writeCredentials(files vfs.FS, directory string, root rootCredentials) error {
	if err := vfs.MkdirAll(files, filepath.Join(directory, stateDirectory), 0o700); err != nil {
		return err // it names the directory
	}
	content, err := json.MarshalIndent(keptCredentials{credentialsFormat, root.AccessKey, string(root.SecretKey)}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	return vfs.WriteFile(files, credentialsPath(directory), append(content, '\n'), 0o600)
}
