package sim

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// batch runs calls at once and records what they answered. The world is not
// brought up to date: see settle.
func (m *machine) batch(calls []*call) history {
	replies := make([]*reply, len(calls))
	h := make(history, len(calls))
	p := m.proc
	troubled := m.troubled()
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() {
			h[i] = porcupine.Operation{ClientId: i, Input: c, Call: m.at.Add(1)}
			replies[i] = m.exec(p, c, troubled)
			h[i].Output, h[i].Return = replies[i], m.at.Add(1)
			if replies[i].unknown {
				h[i].Return = math.MaxInt64
			}
		})
	}
	wg.Wait()
	for i, c := range calls {
		m.note("%v -> %v", c, replies[i])
		m.count("op " + string(c.action))
	}
	return h
}

// exec does one call.
func (m *machine) exec(p *process, c *call, troubled bool) *reply { //nolint:revive // says what errors are excused
	r := &reply{}
	err := m.do(p, c, r)
	if p.killed.Load() { // nobody hears what it answers
		r.unknown, r.err = true, errors.Join(errKilled, err).Error()
		return r
	}
	if err == nil {
		return r
	}
	r.err = err.Error()
	code := s3.CodeOf(err)
	switch {
	case isAnswer(code):
		r.code = code
	case errors.Is(err, partition.ErrGone) && m.replaced(p, c, r): // its data rested for too short a time
		r.unknown = true
		m.count("get-cut")
	case code == s3.SlowDown || code == s3.ServiceUnavailable || code == s3.StorageFull || code == s3.ConditionalRequestConflict:
		r.unknown = true
		if !troubled {
			m.t.Errorf("refused while nothing is wrong: %v: %v", c, err)
		}
	default:
		r.unknown = true
		m.t.Errorf("%v: %v", c, err)
	}
	return r
}

// replaced reports whether a version that was being read is not there any more.
func (m *machine) replaced(p *process, c *call, r *reply) bool {
	if c.action != aGet {
		return false
	}
	now := &reply{}
	err := m.read(p, &call{action: aHead, key: c.key, version: c.version}, now)
	return err != nil && (isAnswer(s3.CodeOf(err)) || passes(err)) || err == nil && !now.version.is(r.version)
}

// isAnswer reports whether a code says what is the case rather than that
// something failed.
func isAnswer(code s3.Code) bool {
	switch code {
	case s3.NoSuchKey, s3.NoSuchVersion, s3.MethodNotAllowed, s3.PreconditionFailed, s3.NoSuchUpload, s3.InvalidPart,
		s3.IncompleteBody, s3.BadDigest, s3.InvalidRequest:
		return true
	}
	return false
}

func nameOf(full string) (s3.BucketName, s3.Key) {
	bucket, key, _ := strings.Cut(full, "/")
	return s3.BucketName(bucket), s3.Key(key)
}

func (c condition) write() objects.WritePrecondition {
	if c.kind == "" {
		return nil
	}
	return func(current *objects.Object) error {
		var v *version
		if current != nil && !current.DeleteMarker {
			v = &version{tag: string(current.ETag)}
		}
		if !c.holds(v) {
			return s3.NewError(s3.PreconditionFailed)
		}
		return nil
	}
}

func versionOf(o *objects.Object, n uint64) version {
	return version{id: string(o.VersionID), tag: string(o.ETag), n: n}
}

// body is what a call sends.
func (m *machine) body(c *call) objects.Body {
	data, _ := m.lib.content(c.tag)
	b := objects.Body{Size: int64(len(data))}
	sum := md5.Sum(data)
	b.MD5 = sum[:]
	switch c.broken {
	case s3.IncompleteBody:
		data = data[:len(data)/2]
	case s3.BadDigest:
		b.MD5[3] ^= 1
	}
	b.Reader = &sender{bytes.NewReader(data), c.pace}
	return b
}

// sender is a client that sends in pieces, with rests.
type sender struct {
	from io.Reader
	rest time.Duration
}

func (s *sender) Read(p []byte) (int, error) {
	if s.rest > 0 {
		time.Sleep(s.rest) //nolint:forbidigo // virtual time: a slow client
	}
	return s.from.Read(p)
}

func (m *machine) do(p *process, c *call, r *reply) error {
	svc, ctx := p.Objects, p.ctx
	bucket, key := nameOf(c.key)
	switch c.action {
	case aPut:
		out, err := svc.PutObject(ctx, objects.PutObjectInput{
			Bucket: bucket, Key: key, Body: m.body(c), Attributes: m.attributes(c.n), Precondition: c.cond.write(),
			Encryption: m.encryption(),
		})
		r.version = versionOf(&out, c.n)
		return err
	case aDelete:
		out, err := svc.DeleteObject(ctx, objects.DeleteObjectInput{
			Bucket: bucket, Key: key, VersionID: s3.VersionID(c.version), Precondition: c.cond.write(),
		})
		r.version = version{id: string(out.VersionID)}
		return err
	case aCopy:
		from, fromKey := nameOf(c.from)
		in := objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: from, Key: fromKey, VersionID: s3.VersionID(c.version)},
			Bucket: bucket, Key: key, Encryption: m.encryption(),
		}
		if c.n != 0 {
			in.Replace, in.Attributes, in.StorageClass = true, attributes(c.n), m.class(c.n)
		}
		out, err := svc.CopyObject(ctx, in)
		r.version = versionOf(&out.Object, c.n)
		return err
	case aGet, aHead:
		if err := m.move(p, c); err != nil {
			return err
		}
		return m.read(p, c, r)
	case aList, aListVersions:
		return m.list(ctx, svc, c, r)
	}
	return m.doUpload(ctx, svc, c, r)
}

func (m *machine) doUpload(ctx context.Context, svc *objects.Service, c *call, r *reply) error {
	bucket, key := nameOf(c.key)
	_, id := nameOf(c.id)
	switch c.action {
	case aCreate:
		out, err := svc.CreateMultipartUpload(ctx, objects.CreateUploadInput{
			Bucket: bucket, Key: key, Attributes: m.attributes(c.n), Encryption: m.encryption(),
		})
		if r.id = string(bucket) + "/" + string(out.ID); err == nil {
			m.lib.nameUpload(r.id, c.n)
		}
		return err
	case aPart:
		out, err := svc.UploadPart(ctx, objects.UploadPartInput{
			Bucket: bucket, Key: key, Upload: s3.UploadID(id), Number: c.number, Body: m.body(c),
		})
		r.tag = string(out.ETag)
		return err
	case aPartCopy:
		from, fromKey := nameOf(c.from)
		in := objects.UploadPartCopyInput{
			Source: objects.CopySource{Bucket: from, Key: fromKey, VersionID: s3.VersionID(c.version)},
			Bucket: bucket, Key: key, Upload: s3.UploadID(id), Number: c.number,
		}
		if c.length > 0 {
			in.Range = &s3.ByteRange{First: c.offset, Last: c.offset + c.length - 1}
		}
		out, err := svc.UploadPartCopy(ctx, in)
		if err != nil {
			return err
		}
		r.tag = string(out.Part.ETag)
		// What is copied is the version named: no other has its id.
		pieces, _ := m.lib.pieces(c.source)
		if c.length > 0 {
			pieces = cut(pieces, c.offset, c.length)
		}
		m.lib.learn(r.tag, pieces)
		return nil
	case aComplete:
		in := objects.CompleteUploadInput{Bucket: bucket, Key: key, Upload: s3.UploadID(id), Size: -1, Precondition: c.cond.write()}
		for i, n := range c.numbers {
			in.Parts = append(in.Parts, objects.CompletedPart{Number: n, ETag: s3.ETag(c.tags[i])})
		}
		out, err := svc.CompleteMultipartUpload(ctx, in)
		r.version = versionOf(&out, c.n)
		return err
	case aAbort:
		return svc.AbortMultipartUpload(ctx, objects.AbortUploadInput{Bucket: bucket, Key: key, Upload: s3.UploadID(id)})
	}
	return fmt.Errorf("no such action: %s", c.action)
}

// read gets or heads a version; wrong bytes fail the test.
func (m *machine) read(p *process, c *call, r *reply) error {
	bucket, key := nameOf(c.key)
	in := objects.GetObjectInput{Bucket: bucket, Key: key, VersionID: s3.VersionID(c.version)}
	if c.length > 0 {
		in.Range = &s3.ByteRange{First: c.offset, Last: c.offset + c.length - 1}
	}
	get := p.Objects.GetObject
	if c.action == aHead {
		get = p.Objects.HeadObject
	}
	out, err := get(p.ctx, in)
	if err != nil {
		if s3.CodeOf(err) == s3.InvalidRange { // what is read now is shorter
			in.Range = nil
			out, err = get(p.ctx, in)
		}
		if err != nil {
			return err
		}
	}
	n, err := described(out.Object.Attributes)
	if err != nil {
		return err
	}
	r.version = versionOf(&out.Object, n)
	if _, ok := m.lib.pieces(r.version.tag); !ok || out.Object.Size != m.lib.size(r.version.tag) {
		return fmt.Errorf("%s has the entity tag %s and %d bytes, which nobody wrote", c.key, r.version.tag, out.Object.Size)
	}
	if c.action == aHead {
		return nil
	}
	want, _ := m.lib.content(r.version.tag)
	var got bytes.Buffer
	_, err = out.Body.WriteTo(&got)
	err = errors.Join(err, out.Body.Close())
	want = want[out.Offset : out.Offset+out.Length]
	if !bytes.HasPrefix(want, got.Bytes()) {
		m.t.Errorf("%v: wrong bytes: %s", c, differ(want, got.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("cut after %d of %d bytes: %w", got.Len(), len(want), err)
	}
	if got.Len() != len(want) {
		return fmt.Errorf("%d of %d bytes and no error", got.Len(), len(want))
	}
	return nil
}

// differ says how two contents differ.
func differ(want, got []byte) string {
	var ranges []string
	for i := 0; i < len(got); i++ {
		if i < len(want) && got[i] == want[i] {
			continue
		}
		from, zeros := i, true
		for same := 0; i < len(got) && same < 16; i++ {
			zeros = zeros && got[i] == 0
			if same++; i >= len(want) || got[i] != want[i] {
				same = 0
			}
		}
		ranges = append(ranges, fmt.Sprintf("%d..%d (zeros: %t)", from, i, zeros))
	}
	if len(ranges) > 8 {
		ranges = append(ranges[:8], fmt.Sprintf("and %d more", len(ranges)-8))
	}
	return fmt.Sprintf("%d bytes of %d, other at %s", len(got), len(want), strings.Join(ranges, ", "))
}

func (m *machine) list(ctx context.Context, svc *objects.Service, c *call, r *reply) error {
	q := c.request
	r.page = &page{}
	if c.action == aList {
		out, err := svc.ListObjects(ctx, objects.ListObjectsInput{
			Bucket: c.bucket, Prefix: q.prefix, Delimiter: q.delimiter, After: q.after, AfterPrefix: q.afterPrefix, Max: q.max,
		})
		if err != nil {
			return err
		}
		for _, o := range out.Objects {
			m.checkSize(c, string(o.ETag), o.Size)
			r.page.entries = append(r.page.entries, entry{key: o.Key, version: version{tag: string(o.ETag)}, latest: true})
		}
		r.page.prefixes, r.page.truncated = out.CommonPrefixes, out.Truncated
		return nil
	}
	out, err := svc.ListObjectVersions(ctx, objects.ListVersionsInput{
		Bucket: c.bucket, Prefix: q.prefix, Delimiter: q.delimiter, KeyMarker: q.after, AfterPrefix: q.afterPrefix, Max: q.max,
	})
	if err != nil {
		return err
	}
	for _, v := range out.Versions {
		if !v.DeleteMarker {
			m.checkSize(c, string(v.ETag), v.Size)
		}
		r.page.entries = append(r.page.entries, entryOf(&v))
	}
	r.page.prefixes, r.page.truncated = out.CommonPrefixes, out.Truncated
	return nil
}

func entryOf(v *objects.ListedVersion) entry {
	return entry{key: v.Key, version: version{id: string(v.VersionID), marker: v.DeleteMarker, tag: string(v.ETag)}, latest: v.Latest}
}

func (m *machine) checkSize(c *call, tag string, size int64) {
	if _, ok := m.lib.pieces(tag); !ok || m.lib.size(tag) != size {
		m.t.Errorf("%v: an entity tag %s with %d bytes is listed, which nobody wrote", c, tag, size)
	}
}
