package sim

import (
	"errors"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// passes reports whether an error is one of a store that is away, or was for a moment.
func passes(err error) bool {
	if errors.Is(err, errKilled) {
		return false
	}
	code := s3.CodeOf(err)
	return code == s3.SlowDown || code == s3.ServiceUnavailable ||
		errors.Is(err, kv.ErrUnknownCommit) || errors.Is(err, kv.ErrTimeout) || errors.Is(err, kv.ErrUnavailable)
}

// persist does again what fails because the metadata is away, where it may be at any
// moment: whoever asks for it would.
func (m *machine) persist(what string, fn func() error) error {
	err := fn()
	for n := 0; n < 60 && err != nil && m.restless() && passes(err); n++ {
		m.did("done-again", "%s: %v", what, err)
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		err = fn()
	}
	return err
}

// administer is persist for changes of the disks, which are refused the second time if
// they were made the first.
func (m *machine) administer(what string, fn func() (single.Changed, error)) error {
	maybe := false
	return m.persist(what, func() error {
		_, err := fn()
		if maybe && errors.Is(err, single.ErrRefused) {
			return nil
		}
		maybe = maybe || errors.Is(err, kv.ErrUnknownCommit)
		return err
	})
}

func (m *machine) addDisk(path string) error {
	return m.administer("add a disk", func() (single.Changed, error) { return m.proc.AddDisk(m.proc.ctx, path) })
}

func (m *machine) status() (st single.Status) {
	m.t.Helper()
	err := m.persist("status", func() (err error) {
		st, err = m.proc.Status(m.proc.ctx)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

// remove does a call that deletes, which has to succeed.
func (m *machine) remove(c *call) {
	m.t.Helper()
	maybe := false
	err := m.persist(string(c.action), func() error {
		err := m.do(m.proc, c, &reply{})
		if maybe && s3.CodeOf(err) == s3.NoSuchUpload {
			return nil
		}
		maybe = err != nil
		return err
	})
	if err != nil {
		m.t.Fatalf("%v: %v", c, err)
	}
}
