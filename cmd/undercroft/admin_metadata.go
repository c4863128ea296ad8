package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/undercroft/undercroft/admin"
)

func metadataVerbs() []verb {
	return []verb{{"metadata backup", nil, []string{"out"}, backupMetadata}}
}

// backupMetadata asks for a copy in a directory of the server's machine.
func backupMetadata(ctx context.Context, c *admin.Client, in *verbInput) error {
	out := in.given["out"]
	if out == "" {
		return fmt.Errorf("%w: undercroft admin metadata backup needs --out DIR", errUsage)
	}
	dir, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("%w: --out: %w", errUsage, err)
	}
	if err := c.BackupMetadata(ctx, dir); err != nil {
		return err // it names the request
	}
	return write(in.stdout, "metadata is in "+dir+"\n")
}
