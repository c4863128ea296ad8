//go:build !linux

package vfs

import "errors"

func openDirect(uintptr) (DirectFile, error) { return nil, errors.ErrUnsupported }
