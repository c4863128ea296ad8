package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/single"
)

// TestRefusalsOfDisksAreSaidOnce: who asks says that it was refused.
func TestRefusalsOfDisksAreSaidOnce(t *testing.T) {
	_, err := changedDisk(single.Changed{}, fmt.Errorf("%w: /d1 is in use", single.ErrRefused))
	if !errors.Is(err, admin.ErrDisk) || !errors.Is(err, single.ErrRefused) || err.Error() != "/d1 is in use" {
		t.Errorf("%v", err)
	}
	if _, err := changedDisk(single.Changed{}, single.ErrClosed); errors.Is(err, admin.ErrDisk) {
		t.Errorf("what no request is at fault for: %v", err)
	}
}
