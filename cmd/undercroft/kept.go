package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/undercroft/undercroft/internal/vfs"
)

// What was generated at the first start is kept in every data directory, in a
// file of its own in the directory .undercroft with mode 0600, as one JSON
// object with a checksum. All directories hold the same. A directory where the
// file is missing or damaged gets it at the next start; directories that disagree
// stop the start.
const (
	stateDirectory = ".undercroft"
	maxKept        = 64 << 10 // bytes of a file that can be ours
)

// kept is one such file; T is its content.
type kept[T comparable] struct {
	name string // of the file
	what string // what it holds, for people
	// check refuses content that this program does not know, in words that
	// follow the file's name.
	check func(content T) error
}

// path returns the file's place in a data directory.
func (k kept[T]) path(directory string) string {
	return filepath.Join(directory, stateDirectory, k.name)
}

// find returns what the directories keep and the first file that does; file is
// empty where none does. It writes nothing.
func (k kept[T]) find(files vfs.FS, directories []string) (content T, file string, err error) {
	var unreadable error
	var none T
	for _, directory := range directories {
		path := k.path(directory)
		found, err := k.read(files, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case isAway(err), errors.Is(err, vfs.ErrDamaged):
			unreadable = err // the others may keep it too
		case err != nil:
			return none, "", err
		case file == "":
			content, file = found, path
		case found != content:
			return none, "", fmt.Errorf("%s and %s hold different %s: remove the one that is not to be used", file, path, k.what)
		}
	}
	if file == "" && unreadable != nil {
		return none, "", unreadable
	}
	return content, file, nil
}

// isAway reports whether an error is that of a directory which cannot be used,
// as that of a disk that failed, and not that of its file.
func isAway(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENXIO)
}

func (k kept[T]) read(files vfs.FS, path string) (content T, err error) {
	var none T
	text, err := vfs.ReadFile(files, path, maxKept)
	if err != nil {
		return none, fmt.Errorf("reading %s: %w", k.what, err)
	}
	if content, err = k.parse(text); err != nil {
		return none, fmt.Errorf("%s %w", path, err)
	}
	return content, nil
}

// parse reads a file's text. Files without a checksum are older.
func (k kept[T]) parse(text []byte) (content T, err error) {
	var none T
	object, err := vfs.CutSum(text)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(object))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&content)
	}
	if err != nil {
		// The parser's own words could repeat the secret.
		return none, fmt.Errorf("does not hold %s: %w", k.what, vfs.ErrDamaged)
	}
	return content, k.check(content)
}

// keep writes content durably into each directory that has none or a damaged one.
func (k kept[T]) keep(files vfs.FS, directories []string, content T) error {
	if len(directories) == 0 {
		return fmt.Errorf("keeping %s: no data directory is open", k.what)
	}
	for _, directory := range directories {
		_, err := k.read(files, k.path(directory))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, vfs.ErrDamaged) {
			err = k.write(files, directory, content)
		}
		if err != nil {
			return fmt.Errorf("keeping %s: %w", k.what, err)
		}
	}
	return nil
}

func (k kept[T]) write(files vfs.FS, directory string, content T) error {
	if err := vfs.MkdirAll(files, filepath.Join(directory, stateDirectory), 0o700); err != nil {
		return err // it names the directory
	}
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	return vfs.WriteFile(files, k.path(directory), vfs.AddSum(text), 0o600)
}

// checkFormat refuses another format than the one this program knows.
func checkFormat(got, known int) error {
	if got != known {
		return fmt.Errorf("has format %d; this binary knows format %d", got, known)
	}
	return nil
}
