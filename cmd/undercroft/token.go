package main

import (
	"crypto/rand"
	"errors"
	"log/slog"

	"github.com/undercroft/undercroft/internal/vfs"
)

// keptToken is the content of the file .undercroft/admin-token. Who can read it
// may administer the server that wrote it. Every start makes another one.
type keptToken struct {
	Format int    `json:"format"`
	Token  string `json:"token"`
}

const tokenFormat = 1

func tokenFile() kept[keptToken] {
	return kept[keptToken]{name: "admin-token", what: "an admin token", check: func(t keptToken) error {
		if err := checkFormat(t.Format, tokenFormat); err != nil {
			return err
		}
		if t.Token == "" {
			return errors.New("does not hold an admin token")
		}
		return nil
	}}
}

// makeToken makes the token of this start and writes it into all directories.
// A full disk does not stop the start: the root credentials serve as well.
func makeToken(files vfs.FS, directories []string, logger *slog.Logger) string {
	token := rand.Text()
	for _, directory := range directories {
		if err := tokenFile().write(files, directory, keptToken{tokenFormat, token}); err != nil {
			logger.Warn("admin token not kept", slog.String("directory", directory), slog.String("error", err.Error()))
		}
	}
	return token
}
