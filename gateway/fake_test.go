package gateway

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// fakeObjects keeps objects of one bucket in a map. It does what S3 means as
// far as a test of the translation needs it, and records what it was asked.
// What it does not have panics, as the embedded interface is nil.
type fakeObjects struct {
	objects.API

	mu      sync.Mutex // guards what follows
	stored  map[s3.Key]fakeObject
	configs map[objects.ConfigKind][]byte
	asked   []any
	fail    error // if non-nil, every call returns it

	list    objects.ListObjectsOutput
	buckets objects.ListBucketsOutput
	parts   objects.ListPartsOutput
	uploads objects.ListUploadsOutput
	cutAt   int // if not zero, bodies fail after so many bytes
	onPut   func()
	silent  bool // record nothing
}

type fakeObject struct {
	objects.Object
	data []byte
}

const fakeBucket = s3.BucketName("bucket")

func newFake() *fakeObjects {
	return &fakeObjects{stored: make(map[s3.Key]fakeObject), configs: make(map[objects.ConfigKind][]byte)}
}

func (f *fakeObjects) record(in any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.silent {
		f.asked = append(f.asked, in)
	}
	return f.fail
}

// lastAsked returns the last recorded input of a type.
func lastAsked[T any](f *fakeObjects) (last T, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.asked {
		if v, is := in.(T); is {
			last, ok = v, true
		}
	}
	return last, ok
}

func (f *fakeObjects) keys() []s3.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.stored))
}

// BucketState is asked by every request, so that it is not recorded.
func (f *fakeObjects) BucketState(_ context.Context, name s3.BucketName) (*objects.BucketState, error) {
	b, err := fakeBucketOf(name)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return objects.NewBucketState(b, maps.Clone(f.configs)), nil
}

func (f *fakeObjects) PutBucketConfig(_ context.Context, name s3.BucketName, kind objects.ConfigKind, doc []byte) error {
	return f.configure(name, func() { f.configs[kind] = doc })
}

func (f *fakeObjects) DeleteBucketConfig(_ context.Context, name s3.BucketName, kind objects.ConfigKind) error {
	return f.configure(name, func() { delete(f.configs, kind) })
}

func (f *fakeObjects) configure(name s3.BucketName, change func()) error {
	if err := f.record(name); err != nil {
		return err
	}
	_, err := fakeBucketOf(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		change()
	}
	return err
}

func fakeBucketOf(name s3.BucketName) (objects.Bucket, error) {
	if name != fakeBucket {
		return objects.Bucket{}, s3.NewError(s3.NoSuchBucket).With("BucketName", string(name))
	}
	return objects.Bucket{Name: name, Owner: fakeOwner(), Region: "us-east-1"}, nil
}

func fakeOwner() s3.OwnerID { return s3.OwnerID(iam.RootIdentity().CanonicalID) }

func (f *fakeObjects) BucketUsage(_ context.Context, name s3.BucketName) (objects.BucketUsage, error) {
	return objects.BucketUsage{Objects: 3, Bytes: 9}, f.record(name)
}

func (f *fakeObjects) CreateBucket(_ context.Context, in objects.CreateBucketInput) (objects.Bucket, error) {
	return objects.Bucket{Name: in.Name, Region: in.Region}, f.record(in)
}

func (f *fakeObjects) DeleteBucket(_ context.Context, name s3.BucketName) error {
	return f.record(name)
}

func (f *fakeObjects) ListBuckets(_ context.Context, in objects.ListBucketsInput) (objects.ListBucketsOutput, error) {
	return f.buckets, f.record(in)
}

func (f *fakeObjects) PutObject(_ context.Context, in objects.PutObjectInput) (objects.Object, error) {
	if err := f.record(in); err != nil {
		return objects.Object{}, err
	}
	if f.onPut != nil {
		f.onPut()
	}
	data, err := readBody(&in.Body)
	if err != nil {
		return objects.Object{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if in.Precondition != nil {
		var current *objects.Object
		if o, ok := f.stored[in.Key]; ok {
			current = &o.Object
		}
		if err := in.Precondition(current); err != nil {
			return objects.Object{}, err
		}
	}
	sum := md5.Sum(data)
	o := objects.Object{
		Key: in.Key, Size: int64(len(data)), ETag: s3.ETag(hex.EncodeToString(sum[:])), StorageClass: "STANDARD",
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Attributes: in.Attributes, Owner: in.Owner, Tags: in.Tags,
		Encryption: encryptedAs(&in.Encryption),
	}
	if in.Body.Checksum != 0 {
		o.Checksums = []objects.Checksum{{Algorithm: in.Body.Checksum.String(), Type: "FULL_OBJECT", Value: sumOf(in.Body.Checksum, data)}}
	}
	f.stored[in.Key] = fakeObject{Object: o, data: data}
	return o, nil
}

func sumOf(a checksum.Algorithm, data []byte) string {
	h := checksum.NewHasher(checksum.SetOf(a))
	_, _ = h.Write(data)
	return a.Encode(h.Sum(a))
}

// readBody reads a body as objects does: all of it, and verified.
func readBody(b *objects.Body) ([]byte, error) {
	data, err := io.ReadAll(b.Reader)
	if err != nil {
		return nil, err
	}
	if sum := md5.Sum(data); b.MD5 != nil && !bytes.Equal(sum[:], b.MD5) {
		return nil, s3.NewError(s3.BadDigest)
	}
	if b.Expected != nil {
		want, err := b.Expected()
		if err != nil {
			return nil, err
		}
		if want != "" && want != sumOf(b.Checksum, data) {
			return nil, s3.NewError(s3.BadDigest)
		}
	}
	return data, nil
}

func (f *fakeObjects) HeadObject(_ context.Context, in objects.GetObjectInput) (*objects.GetObjectOutput, error) {
	if err := f.record(in); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.stored[in.Key]
	var current *objects.Object
	if ok {
		current = &o.Object
	}
	if err := in.Access(current); err != nil {
		return nil, err
	}
	if !ok {
		return nil, s3.NewError(s3.NoSuchKey).With("Key", string(in.Key))
	}
	if in.Precondition != nil {
		if err := in.Precondition(o.ETag, o.Modified); err != nil {
			return nil, err
		}
	}
	out := &objects.GetObjectOutput{Object: o.Object, Length: o.Size}
	if in.Range != nil {
		if out.Offset, out.Length, ok = in.Range.Resolve(o.Size); !ok {
			return nil, s3.RangeError(in.RangeHeader, o.Size)
		}
		out.Partial = true
	}
	out.Body = fakeReading{data: o.data[out.Offset : out.Offset+out.Length], cutAt: f.cutAt}
	return out, nil
}

func (f *fakeObjects) GetObject(ctx context.Context, in objects.GetObjectInput) (*objects.GetObjectOutput, error) {
	return f.HeadObject(ctx, in)
}

type fakeReading struct {
	data  []byte
	cutAt int
}

var errCut = errors.New("the disk is gone")

func (r fakeReading) WriteTo(w io.Writer) (int64, error) {
	if r.cutAt > 0 {
		n, err := w.Write(r.data[:r.cutAt])
		return int64(n), errors.Join(err, errCut)
	}
	n, err := w.Write(r.data)
	return int64(n), err
}

func (fakeReading) Close() error { return nil }

func (f *fakeObjects) DeleteObject(_ context.Context, in objects.DeleteObjectInput) (objects.DeleteObjectOutput, error) {
	if err := f.record(in); err != nil {
		return objects.DeleteObjectOutput{}, err
	}
	if strings.HasPrefix(string(in.Key), "panic") {
		panic("told to")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if o, ok := f.stored[in.Key]; ok && in.Precondition != nil {
		if err := in.Precondition(&o.Object); err != nil {
			return objects.DeleteObjectOutput{}, err
		}
	}
	delete(f.stored, in.Key)
	return objects.DeleteObjectOutput{}, nil
}

func (f *fakeObjects) PutObjectTagging(_ context.Context, in objects.PutObjectTaggingInput) (objects.Object, error) {
	if err := f.record(in); err != nil {
		return objects.Object{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.stored[in.Key]
	if !ok {
		return objects.Object{}, errors.Join(in.Access(nil), s3.NewError(s3.NoSuchKey).With("Key", string(in.Key)))
	}
	if err := in.Access(&o.Object); err != nil {
		return objects.Object{}, err
	}
	o.Tags = in.Tags
	f.stored[in.Key] = o
	return o.Object, nil
}

func (f *fakeObjects) UpdateObjectEncryption(_ context.Context, in objects.UpdateEncryptionInput) (objects.Object, error) {
	o := objects.Object{Owner: fakeOwner()}
	if err := in.Access(&o); err != nil {
		return o, err
	}
	return o, f.record(in)
}

func (f *fakeObjects) ListObjects(_ context.Context, in objects.ListObjectsInput) (objects.ListObjectsOutput, error) {
	return f.list, f.record(in)
}

func (f *fakeObjects) CopyObject(_ context.Context, in objects.CopyObjectInput) (objects.CopyObjectOutput, error) {
	if err := f.record(in); err != nil {
		return objects.CopyObjectOutput{}, err
	}
	if err := in.Source.Access(&objects.Object{ETag: "tag", Owner: fakeOwner()}); err != nil {
		return objects.CopyObjectOutput{}, err
	}
	if in.Source.Precondition != nil {
		if err := in.Source.Precondition("tag", time.Unix(1e9, 0)); err != nil {
			return objects.CopyObjectOutput{}, err
		}
	}
	copied := objects.Object{ETag: "tag", Modified: time.Unix(1e9, 0), Encryption: encryptedAs(&in.Encryption)}
	return objects.CopyObjectOutput{Object: copied, SourceVersionID: "v1", SourceVersioned: true}, nil
}

func (f *fakeObjects) GetObjectAttributes(_ context.Context, in objects.AttributesInput) (objects.AttributesOutput, error) {
	o := objects.Object{
		ETag: "tag-2", Size: 10, StorageClass: "STANDARD", PartCount: 2, Owner: fakeOwner(),
		Checksums: []objects.Checksum{{Algorithm: "CRC32C", Type: "COMPOSITE", Value: "AAAAAA==-2"}},
	}
	if err := in.Access(&o); err != nil {
		return objects.AttributesOutput{}, err
	}
	return objects.AttributesOutput{
		Object: o,
		Parts:  []objects.ObjectPart{{Number: 1, Size: 5, Checksums: []objects.Checksum{{Algorithm: "CRC32C", Value: "AAAAAA=="}}}}, Truncated: true,
	}, f.record(in)
}

func (f *fakeObjects) CreateMultipartUpload(_ context.Context, in objects.CreateUploadInput) (objects.Upload, error) {
	return objects.Upload{
		Key: in.Key, ID: "upload", ChecksumAlgorithm: in.Checksum.String(), ChecksumType: in.ChecksumType, Encryption: encryptedAs(&in.Encryption),
	}, f.record(in)
}

func (f *fakeObjects) UploadPart(_ context.Context, in objects.UploadPartInput) (objects.Part, error) {
	if err := f.record(in); err != nil {
		return objects.Part{}, err
	}
	data, err := readBody(&in.Body)
	sum := md5.Sum(data)
	return objects.Part{Number: in.Number, ETag: s3.ETag(hex.EncodeToString(sum[:])), Encryption: f.parts.Upload.Encryption}, err
}

func (f *fakeObjects) UploadPartCopy(_ context.Context, in objects.UploadPartCopyInput) (objects.UploadPartCopyOutput, error) {
	return objects.UploadPartCopyOutput{Part: objects.Part{ETag: "tag", Encryption: f.parts.Upload.Encryption}}, f.record(in)
}

func (f *fakeObjects) ListParts(_ context.Context, in objects.ListPartsInput) (objects.ListPartsOutput, error) {
	return f.parts, f.record(in)
}

func (f *fakeObjects) ListMultipartUploads(_ context.Context, in objects.ListUploadsInput) (objects.ListUploadsOutput, error) {
	return f.uploads, f.record(in)
}

func (f *fakeObjects) CompleteMultipartUpload(_ context.Context, in objects.CompleteUploadInput) (objects.Object, error) {
	return objects.Object{ETag: "tag-2", Encryption: f.parts.Upload.Encryption}, f.record(in)
}

func (f *fakeObjects) AbortMultipartUpload(_ context.Context, in objects.AbortUploadInput) error {
	return f.record(in)
}
