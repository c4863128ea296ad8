package objects_test

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// failing ends with an error instead of io.EOF.
type failing struct {
	rest []byte
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, f.err
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// stepped hands out a body in steps and tells before each.
type stepped struct {
	rest []byte
	step int
	n    int
	at   func(n int)
}

func (s *stepped) Read(p []byte) (int, error) {
	s.at(s.n)
	s.n++
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// classes are one size of each way of an object.
func classes() []int {
	if raceEnabled {
		return []int{1, 8193, mib + 1}
	}
	return []int{1, 8193, 300 * kib, 4*mib + 1, 9*mib + 1}
}

// TestBodiesThatFailLeaveNothing holds for each way of an object that a body
// that is not what was declared is refused and changes nothing.
func TestBodiesThatFailLeaveNothing(t *testing.T) {
	e := open(t)
	e.put("k", []byte("before"))
	broken := errors.New("signature")
	bodies := map[string]struct {
		make func(data []byte) objects.Body
		want error
	}{
		"cut": {func(d []byte) objects.Body {
			return objects.Body{Reader: &failing{d[:len(d)/2], io.ErrUnexpectedEOF}, Size: int64(len(d))}
		}, io.ErrUnexpectedEOF},
		"error at the end": {func(d []byte) objects.Body {
			return objects.Body{Reader: &failing{d, broken}, Size: int64(len(d))}
		}, broken},
		"unsized, error at the end": {func(d []byte) objects.Body {
			return objects.Body{Reader: &failing{d, broken}, Size: -1}
		}, broken},
		"short": {func(d []byte) objects.Body {
			return objects.Body{Reader: bodyOf(d[:len(d)-1]).Reader, Size: int64(len(d))}
		}, s3.NewError(s3.IncompleteBody)},
		"long": {func(d []byte) objects.Body {
			return objects.Body{Reader: bodyOf(append(slices.Clip(d), 1)).Reader, Size: int64(len(d))}
		}, s3.NewError(s3.IncompleteBody)},
		"wrong MD5": {func(d []byte) objects.Body {
			b := bodyOf(d)
			b.MD5 = make([]byte, md5.Size)
			return b
		}, s3.NewError(s3.BadDigest)},
		"wrong checksum": {func(d []byte) objects.Body {
			b := unsized(d)
			b.Checksum, b.Expected = checksum.SHA256, said(sumOf(checksum.SHA256, []byte("else")))
			return b
		}, s3.NewError(s3.BadDigest)},
		"bad trailer": {func(d []byte) objects.Body {
			b := bodyOf(d)
			b.Expected = func() (string, error) { return "", broken }
			return b
		}, broken},
	}
	for name, body := range bodies {
		for _, size := range classes() {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				data := bytesOf(uint64(size), size)
				if _, err := e.tryPut("k", body.make(data)); !errors.Is(err, body.want) {
					t.Errorf("error %v, want %v", err, body.want)
				}
				if _, err := e.tryPut("new", body.make(data)); !errors.Is(err, body.want) {
					t.Errorf("error %v, want %v", err, body.want)
				}
				u := e.upload("new")
				if _, err := e.tryPart(u, 1, body.make(data)); !errors.Is(err, body.want) {
					t.Errorf("error of the part %v, want %v", err, body.want)
				}
				e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "new", Upload: u.ID}))
				e.absent("new")
				e.holds("k", []byte("before"))
			})
		}
	}
	e.noIntents()
	if s := e.Summary(); s.Refs != 0 || s.DataIDs != 0 || s.Parts != 0 || s.Objects != 1 {
		t.Errorf("something is left over: %v", s)
	}
}

func said(value string) func() (string, error) {
	return func() (string, error) { return value, nil }
}

func TestEmptyBodies(t *testing.T) {
	e := open(t)
	for name, body := range map[string]objects.Body{"sized": bodyOf(nil), "unsized": unsized(nil)} {
		body.Checksum, body.Expected = checksum.SHA1, said(sumOf(checksum.SHA1, nil))
		o, err := e.tryPut(s3.Key(name), body)
		e.must(err)
		if o.ETag != etagOf(nil) || o.Checksums[0].Value != sumOf(checksum.SHA1, nil) {
			t.Errorf("%s: %+v", name, o)
		}
		e.holds(s3.Key(name), nil)
	}
	for name, body := range map[string]objects.Body{
		"long":   {Reader: bodyOf([]byte("x")).Reader},
		"digest": {Reader: bodyOf(nil).Reader, MD5: make([]byte, md5.Size)},
	} {
		if _, err := e.tryPut(s3.Key(name), body); err == nil {
			t.Errorf("%s is accepted", name)
		}
		e.absent(s3.Key(name))
	}
}

func TestChecksumsOfBodies(t *testing.T) {
	e := open(t)
	all := []checksum.Algorithm{
		checksum.CRC32, checksum.CRC32C, checksum.CRC64NVME, checksum.SHA1, checksum.SHA256, checksum.SHA512, checksum.MD5,
	}
	for _, a := range all {
		for _, size := range []int{0, 100, 10_000, 300 * kib} {
			data := bytesOf(uint64(a), size)
			body := bodyOf(data)
			sum := md5.Sum(data)
			body.Checksum, body.Expected, body.MD5 = a, said(sumOf(a, data)), sum[:]
			o, err := e.tryPut("k", body)
			e.must(err)
			want := objects.Checksum{Algorithm: a.String(), Type: "FULL_OBJECT", Value: sumOf(a, data)}
			if len(o.Checksums) != 1 || o.Checksums[0] != want {
				t.Errorf("checksums of %d bytes %v, want %v", size, o.Checksums, want)
			}
			e.holds("k", data)
		}
	}
}

func TestTooLargeIsRefusedAtOnce(t *testing.T) {
	e := open(t)
	_, err := e.tryPut("k", objects.Body{Reader: &failing{err: errors.New("was read")}, Size: s3.MaxPutSize + 1})
	e.refuse(err, s3.EntityTooLarge)
}

// TestBodiesWithoutMemory holds that a body for which there is no buffer is refused and
// does not wait for ever.
func TestBodiesWithoutMemory(t *testing.T) {
	e := open(t, func(o *single.Options) { o.BufferMemory = 2 * mib })
	buf, err := e.Store.Buffer(e.ctx, mib)
	e.must(err)
	defer buf.Free()
	_, err = e.tryPut("k", bodyOf(bytesOf(1, mib)))
	e.refuse(err, s3.SlowDown)
	e.put("small", bytesOf(1, 9000))
	buf.Free()
	e.put("k", bytesOf(1, mib))
}
