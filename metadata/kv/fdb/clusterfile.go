//go:build fdb

package fdb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/undercroft/undercroft/internal/vfs"
)

// maxClusterFile bounds what is read of a cluster file.
const maxClusterFile = 64 << 10

// checkClusterFile refuses a file that names no coordinators. The client library
// would say so only when it is used.
func checkClusterFile(file string) error {
	content, err := vfs.ReadFile(vfs.Default(), file, maxClusterFile)
	if err != nil {
		return fmt.Errorf("cluster file: %w", err)
	}
	// description:id@address:port,address:port,...
	connection := regexp.MustCompile(`^[A-Za-z0-9_]+:[A-Za-z0-9]+@[^,\s]+:[^,\s]+(,[^,\s]+:[^,\s]+)*$`)
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !connection.MatchString(line) {
			return fmt.Errorf("cluster file %s: %q does not name coordinators", file, line)
		}
		return nil
	}
	return fmt.Errorf("cluster file %s: it names no coordinators", file)
}

// rewritable reports why the client library could not replace the file when the
// coordinators move: it makes a new one beside it.
func rewritable(file string) error {
	const write = 2
	return errors.Join(syscall.Access(file, write), syscall.Access(filepath.Dir(file), write))
}
