package testcluster_test

import (
	"testing"

	"github.com/undercroft/undercroft/internal/testcluster"
)

func TestOpen(t *testing.T) {
	c := testcluster.New(t, testcluster.Options{})
	c.Restart()
	c.Crash(50, 1)
}
