package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// settle looks at all that is there after a batch and holds that some order of
// its operations explains it. That is the world from then on: what was seen
// once does not go away by itself.
func (m *machine) settle(h history) {
	m.t.Helper()
	if slices.ContainsFunc(h, func(op porcupine.Operation) bool { r, ok := op.Output.(*reply); return ok && r.unknown }) {
		m.decide()
	}
	found, err := m.look()
	if err != nil {
		m.t.Fatalf("look at what is there: %v", err)
	}
	now := m.at.Add(1)
	h = append(h, porcupine.Operation{ClientId: len(h), Input: &call{action: aFound}, Output: &reply{found: found}, Call: now, Return: m.at.Add(1)})
	h.check(m.t, m.world)
	before := m.world
	m.world = found
	for key, versions := range found.keys {
		if slices.EqualFunc(versions, before.keys[key], version.is) {
			continue
		}
		for _, v := range versions {
			m.mustRead(key, v)
		}
	}
}

// decide ends the uncertainty of commits that took too long: one that is
// acknowledged later comes after all of them.
func (m *machine) decide() {
	m.t.Helper()
	if m.outside != nil { // where a later one may be acknowledged first
		if err := m.outside.fence(); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	err := m.again("a later commit", func() error {
		return m.proc.DB.Update(m.proc.ctx, "sim", func(tx *metadata.Tx) error {
			rows, err := tx.Disks()
			if err == nil && len(rows) > 0 {
				err = tx.PutDisk(&rows[0])
			}
			return err
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// look lists all buckets, versions, uploads and parts.
func (m *machine) look() (*world, error) {
	out := &world{modes: m.world.modes, keys: map[string][]version{}, uploads: map[string]upload{}}
	for _, bucket := range slices.Sorted(maps.Keys(m.world.modes)) {
		if err := m.lookAtVersions(bucket, out); err != nil {
			return nil, err
		}
		if err := m.lookAtUploads(bucket, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// again repeats a read that was refused for a reason that passes.
func (m *machine) again(what string, fn func() error) error {
	var err error
	for range 5 {
		err = fn()
		if err == nil || !passes(err) || !m.troubled() {
			break
		}
		m.note("%s: %v", what, err)
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

func (m *machine) lookAtVersions(bucket s3.BucketName, out *world) error {
	in := objects.ListVersionsInput{Bucket: bucket, Max: 1 + m.rng.IntN(20)}
	for {
		var got objects.ListVersionsOutput
		err := m.again("list versions", func() (err error) {
			got, err = m.proc.Objects.ListObjectVersions(m.proc.ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for i := range got.Versions {
			e := entryOf(&got.Versions[i])
			key := string(bucket) + "/" + e.key
			if e.latest != (len(out.keys[key]) == 0) {
				return fmt.Errorf("%s: version %v is listed as latest=%t after %v", key, e.version, e.latest, out.keys[key])
			}
			if !e.version.marker {
				if e.version.n, err = m.numberOf(key, e.version); err != nil {
					return err
				}
			}
			out.keys[key] = append(out.keys[key], e.version)
		}
		if !got.Truncated {
			return nil
		}
		in.KeyMarker, in.VersionMarker = got.NextKey, got.NextVersion
	}
}

// numberOf is what a version is described by: known, or asked for.
func (m *machine) numberOf(key string, v version) (uint64, error) {
	if old := m.world.find(key, v.id); old != nil && old.tag == v.tag && v.id != string(s3.NullVersion) {
		return old.n, nil
	}
	r := &reply{}
	err := m.again("head", func() error { return m.read(m.proc, &call{action: aHead, key: key, version: v.id}, r) })
	return r.version.n, err
}

func (m *machine) lookAtUploads(bucket s3.BucketName, out *world) error {
	in := objects.ListUploadsInput{Bucket: bucket, Max: 1 + m.rng.IntN(5)}
	for {
		var got objects.ListUploadsOutput
		err := m.again("list uploads", func() (err error) {
			got, err = m.proc.Objects.ListMultipartUploads(m.proc.ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, u := range got.Uploads {
			id := string(bucket) + "/" + string(u.ID)
			x := upload{key: string(bucket) + "/" + string(u.Key), n: m.world.uploads[id].n, parts: map[int]string{}}
			if x.n == 0 {
				x.n = m.lib.uploadNumber(id) // 0: nobody was told of it
			}
			var parts objects.ListPartsOutput
			err := m.persist("list parts", func() (err error) {
				parts, err = m.proc.Objects.ListParts(m.proc.ctx, objects.ListPartsInput{Bucket: bucket, Key: u.Key, Upload: u.ID, Max: 100})
				return err
			})
			if err != nil {
				return fmt.Errorf("list parts: %w", err)
			}
			for _, p := range parts.Parts {
				x.parts[p.Number] = string(p.ETag)
			}
			out.uploads[id] = x
		}
		if !got.Truncated {
			return nil
		}
		in.KeyMarker, in.UploadMark = got.NextKey, got.NextUpload
	}
}

// mustRead holds that a version reads back, with its description.
func (m *machine) mustRead(key string, v version) {
	m.t.Helper()
	if v.marker {
		return
	}
	r := &reply{}
	err := m.again("get", func() error { return m.read(m.proc, &call{action: aGet, key: key, version: v.id}, r) })
	if err != nil || !v.is(r.version) {
		m.t.Errorf("%s: version %v reads back as %v (%v)", key, v, r.version, err)
	}
}

// verify holds that the store shows the world, every byte of it.
func (m *machine) verify() {
	m.t.Helper()
	m.settle(nil)
	for _, key := range slices.Sorted(maps.Keys(m.world.keys)) {
		for _, v := range m.world.keys[key] {
			m.mustRead(key, v)
		}
	}
	m.check()
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// sample reads a few versions.
func (m *machine) sample(n int) {
	m.t.Helper()
	keys := slices.Sorted(maps.Keys(m.world.keys))
	for range n {
		if len(keys) > 0 {
			key := one(m.plan, keys)
			m.mustRead(key, one(m.plan, m.world.keys[key]))
		}
	}
}

// check runs the checker of the metadata.
func (m *machine) check() {
	m.t.Helper()
	var report strings.Builder
	err := m.persist("check", func() error {
		report.Reset()
		return m.proc.Check(context.WithoutCancel(m.proc.ctx), &report)
	})
	if err != nil {
		m.t.Errorf("check: %v\n%s", err, report.String())
	}
}
