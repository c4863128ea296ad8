package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/vfs"
)

// credentialsFormat is the format of the file that keeps root credentials.
const credentialsFormat = 1

// origin says where root credentials or a master key come from.
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

// keptCredentials is the content of the file .undercroft/credentials.
type keptCredentials struct {
	Format    int    `json:"format"`
	AccessKey string `json:"accessKey"` // 20 characters
	SecretKey string `json:"secretKey"` // 40 characters
}

func credentialsFile() kept[keptCredentials] {
	return kept[keptCredentials]{name: "credentials", what: "root credentials", check: func(c keptCredentials) error {
		if err := checkFormat(c.Format, credentialsFormat); err != nil {
			return err
		}
		if c.AccessKey == "" || c.SecretKey == "" {
			return errors.New("lacks a key")
		}
		return nil
	}}
}

// findRoot returns the configured credentials, else those that the data
// directories keep, else new ones. It writes nothing.
func findRoot(files vfs.FS, cfg config.Config, random io.Reader) (rootCredentials, error) {
	if cfg.RootAccessKey != "" {
		return rootCredentials{AccessKey: cfg.RootAccessKey, SecretKey: cfg.RootSecretKey, origin: originConfigured}, nil
	}
	found, file, err := credentialsFile().find(files, cfg.Data)
	if err != nil {
		return rootCredentials{}, err
	}
	if file != "" {
		return rootCredentials{found.AccessKey, config.Secret(found.SecretKey), originKept, file}, nil
	}
	accessKey, secret, err := iam.GenerateKey(random)
	if err != nil {
		return rootCredentials{}, fmt.Errorf("making root credentials: %w", err)
	}
	return rootCredentials{AccessKey: accessKey, SecretKey: config.Secret(secret), origin: originGenerated}, nil
}

// keepRoot writes the credentials durably into each directory that has none,
// and returns them with the file that keeps them.
func keepRoot(files vfs.FS, directories []string, root rootCredentials) (rootCredentials, error) {
	content := keptCredentials{credentialsFormat, root.AccessKey, string(root.SecretKey)}
	if err := credentialsFile().keep(files, directories, content); err != nil {
		return rootCredentials{}, err
	}
	if root.file == "" {
		root.file = credentialsFile().path(directories[0])
	}
	return root, nil
}
