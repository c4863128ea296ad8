package objects_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// encryptedVersion is what the model knows of a version.
type encryptedVersion struct {
	key  s3.Key
	id   s3.VersionID
	data []byte
	as   string
}

// encryptionModel holds a store against a list of versions.
type encryptionModel struct {
	*env
	rng      *rand.Rand
	modes    map[string]objects.Encryption
	versions []encryptedVersion
	next     uint64
}

func (m *encryptionModel) key() s3.Key { return s3.Key(fmt.Sprint("key", m.rng.IntN(4))) }

func (m *encryptionModel) mode() string { return names()[m.rng.IntN(len(names()))] }

func (m *encryptionModel) bytes(most int) []byte {
	m.next++
	n := []int{0, 1, 7 * kib, 8*kib + 1, sse.ChunkData, sse.ChunkData + 1, 300 * kib, 5*mib + 77, 64*sse.ChunkData + 1}[m.rng.IntN(9)]
	return bytesOf(m.next, min(n, most))
}

func (m *encryptionModel) add(o objects.Object, data []byte, as string) {
	m.t.Helper()
	if o.Size != int64(len(data)) || o.Encryption.Mode != m.modes[as].Mode {
		m.t.Fatalf("wrote %d bytes in mode %d, want %d in %s", o.Size, o.Encryption.Mode, len(data), as)
	}
	m.versions = append(m.versions, encryptedVersion{o.Key, o.VersionID, data, as})
}

// any is one of the versions, nil while there is none.
func (m *encryptionModel) any() *encryptedVersion {
	if len(m.versions) == 0 {
		return nil
	}
	return &m.versions[m.rng.IntN(len(m.versions))]
}

func (m *encryptionModel) source(v *encryptedVersion) objects.CopySource {
	return objects.CopySource{Bucket: bucket, Key: v.key, VersionID: v.id, CustomerKey: m.modes[v.as].Customer}
}

func (m *encryptionModel) class() s3.StorageClass {
	return []s3.StorageClass{"", "", rare, cold}[m.rng.IntN(4)]
}

// transition moves the ciphertext of a version as it is.
func (m *encryptionModel) transition(v *encryptedVersion) {
	_, err := m.Transition(m.ctx, objects.TransitionInput{
		Bucket: bucket, Key: v.key, VersionID: v.id, Class: []s3.StorageClass{"STANDARD", rare, cold}[m.rng.IntN(3)],
	})
	m.must(err)
}

func (m *encryptionModel) put() {
	as, data := m.mode(), m.bytes(6*mib)
	body := bodyOf(data)
	if m.rng.IntN(2) == 0 {
		body = unsized(data)
	}
	o, err := m.tryPutAs(m.key(), body, m.modes[as])
	m.must(err)
	m.add(o, data, as)
}

func (m *encryptionModel) copy(v *encryptedVersion) {
	as := m.mode()
	out, err := m.CopyObject(m.ctx, objects.CopyObjectInput{
		Source: m.source(v), Bucket: bucket, Key: m.key(), Owner: owner, Encryption: m.modes[as], StorageClass: string(m.class()),
	})
	m.must(err)
	m.add(out.Object, v.data, as)
}

// parts uploads an object of new bytes and of a range of another version.
func (m *encryptionModel) parts(v *encryptedVersion) {
	as, key := m.mode(), m.key()
	u := m.uploadAs(key, m.modes[as])
	data := m.bytes(5 * mib)
	data = append(data, bytesOf(m.next, 5*mib)...)
	list := []objects.CompletedPart{m.partAs(u, 1, data, m.modes[as])}
	in := objects.UploadPartCopyInput{
		Source: m.source(v), Bucket: bucket, Key: key, Upload: u.ID, Number: 7, CustomerKey: m.modes[as].Customer,
	}
	part := v.data
	if n := len(part); n > 1 {
		from := m.rng.IntN(n)
		to := from + m.rng.IntN(n-from)
		in.Range = &s3.ByteRange{First: int64(from), Last: int64(to)}
		part = part[from : to+1]
	}
	out, err := m.UploadPartCopy(m.ctx, in)
	m.must(err)
	o := m.complete(u, append(list, objects.CompletedPart{Number: 7, ETag: out.Part.ETag})...)
	m.add(o, append(data, part...), as)
}

func (m *encryptionModel) remove(v *encryptedVersion) {
	_, err := m.DeleteObject(m.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: v.key, VersionID: v.id})
	m.must(err)
	id := v.id
	m.versions = slices.DeleteFunc(m.versions, func(o encryptedVersion) bool { return o.id == id })
}

func (m *encryptionModel) read(v *encryptedVersion) {
	m.t.Helper()
	in := objects.GetObjectInput{Bucket: bucket, Key: v.key, VersionID: v.id, CustomerKey: m.modes[v.as].Customer}
	want := v.data
	if n := len(want); n > 0 && m.rng.IntN(3) > 0 {
		from := m.rng.IntN(n)
		to := from + m.rng.IntN(min(n-from, 1+m.rng.IntN(2*sse.ChunkData)))
		in.Range = &s3.ByteRange{First: int64(from), Last: int64(to)}
		want = want[from : to+1]
	}
	_, got, err := m.tryGet(in)
	m.must(err)
	if !bytes.Equal(got, want) {
		m.t.Fatalf("%s %s, range %+v, reads back wrong: %s", v.key, v.as, in.Range, difference(got, want))
	}
}

// TestEncryptionModel does random operations in all modes and holds every
// version against what was written.
func TestEncryptionModel(t *testing.T) {
	heavy(t)
	for seed := range rounds(3, 60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			e, p := openEncrypting(t, withClasses)
			e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
			m := &encryptionModel{env: e, rng: rand.New(rand.NewPCG(seed, 25)), modes: encryptions()}
			for range 45 {
				v, op := m.any(), m.rng.IntN(15)
				switch {
				case v == nil || op < 3:
					m.put()
				case op < 5:
					m.copy(v)
				case op < 6:
					m.parts(v)
				case op < 8:
					m.remove(v)
				case op == 8:
					p.Rotate([]string{"one", "two", "undercroft-sse-s3"}[m.rng.IntN(3)])
				case op == 9:
					m.rewrapAll()
				case op == 10:
					m.RunSteward()
				case op < 14:
					m.transition(v)
				default:
					m.restart()
				}
				for range 2 {
					if v := m.any(); v != nil {
						m.read(v)
					}
				}
			}
			for i := range m.versions {
				m.read(&m.versions[i])
			}
			e.Summary()
		})
	}
}

// TestInterleaving25 copies encrypted objects to other names and other buckets
// while their sources are replaced, deleted and collected, and keys are rotated.
// What shares data opens under every name, for data is bound to its id and not to
// what it is called.
func TestInterleaving25(t *testing.T) {
	e, p := openEncrypting(t)
	as := encryptions()["kms"]
	const turns = 12
	var known [2 * turns][]byte
	sources := []s3.Key{"a", "b"}
	produce := func(i int) {
		key := sources[i%2]
		if i%4 < 2 {
			known[i] = bytesOf(uint64(i), 200*kib+i)
			e.putAs(key, known[i], as)
			return
		}
		known[i] = e.putParts(key, as, 5*mib+i, 10*kib)
	}
	produce(0)
	produce(1)
	var copies []objects.CopyObjectInput
	for i := range turns {
		var wg sync.WaitGroup
		wg.Go(func() {
			for n, from := range sources {
				in := objects.CopyObjectInput{
					Source: objects.CopySource{Bucket: bucket, Key: from}, Bucket: []s3.BucketName{bucket, other}[n],
					Key: s3.Key(fmt.Sprintf("copy-%d-%d", i, n)), Owner: owner, Encryption: as,
				}
				if _, err := e.CopyObject(e.ctx, in); err == nil {
					copies = append(copies, in)
				} else if code := s3.CodeOf(err); code != s3.NoSuchKey && code != s3.SlowDown {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			e.remove(sources[i%2])
			e.RunSteward()
		})
		if i%3 == 0 {
			wg.Go(func() { p.Rotate("one"); e.rewrapAll() })
		}
		wg.Wait()
		if i+2 < len(known) {
			produce(i + 2)
		}
	}
	e.remove("a")
	e.remove("b")
	e.rewrapAll()
	p.Drop("one")
	e.restart()
	e.RunSteward()
	if len(copies) < turns {
		t.Errorf("only %d copies were made", len(copies))
	}
	for _, c := range copies {
		_, got, err := e.tryGet(objects.GetObjectInput{Bucket: c.Bucket, Key: c.Key})
		e.must(err)
		if !slices.ContainsFunc(known[:], func(k []byte) bool { return bytes.Equal(k, got) }) {
			t.Errorf("%s in %s reads back as nothing that was written", c.Key, c.Bucket)
		}
	}
}
