package steward_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keyring"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/steward"
)

// vaulted is a store whose objects are encrypted with a keyring, and the keyring of
// another gateway, which changes keys.
type vaulted struct {
	*env
	other *keyring.Keyring
	job   *steward.Rewrap
}

func newVaulted(t *testing.T) *vaulted {
	t.Helper()
	open := func(db *metadata.DB) (*keyring.Keyring, error) {
		seal, err := directory.NewSealer(directory.MasterKey{1}, directory.MasterKey{}, rand.Reader)
		if err != nil {
			return nil, err
		}
		return keyring.New(db, seal, keyring.Options{Now: db.Now})
	}
	o := quick(1)
	o.Edit = func(so *single.Options) {
		so.Steward.Interval = -1
		so.Keys = func(_ context.Context, db *metadata.DB) (keys.Providers, error) {
			ring, err := open(db)
			return keys.Providers{S3: ring, KMS: ring, BucketKeys: ring, Default: keyring.SSEKMS}, err
		}
	}
	v := &vaulted{env: newEnv(t, o)}
	var err error
	v.other, err = open(v.DB)
	v.must(err)
	v.job = steward.NewRewrap(v.DB, v.Objects, v.other, nil)
	return v
}

func kms(key string) objects.Encryption {
	return objects.Encryption{Mode: objects.EncryptedKMS, KeyID: key}
}

func (v *vaulted) putSealed(key string, data []byte, e objects.Encryption) {
	v.t.Helper()
	_, err := v.Objects.PutObject(v.t.Context(), objects.PutObjectInput{Bucket: bucket, Key: s3.Key(key), Owner: owner, Body: body(data), Encryption: e})
	v.must(err)
}

// pass asks for a pass and makes it.
func (v *vaulted) pass() {
	v.t.Helper()
	v.job.RunNow()
	for more := true; more; {
		p, err := v.job.Step(v.t.Context())
		v.must(err)
		more = p.More
	}
}

func (v *vaulted) versions(key string) string {
	v.t.Helper()
	row, err := v.other.Show(v.t.Context(), key)
	v.must(err)
	var out []string
	for _, version := range row.Versions {
		out = append(out, fmt.Sprint(version.Number))
	}
	return strings.Join(out, " ")
}

func (v *vaulted) wantVersions(key, want string) {
	v.t.Helper()
	if got := v.versions(key); got != want {
		v.t.Errorf("%s has versions %s, want %s", key, got, want)
	}
}

type keyChange func(context.Context, string) (metadata.EncryptionKey, error)

func (v *vaulted) change(key string, changes ...keyChange) {
	v.t.Helper()
	for _, change := range changes {
		_, err := change(v.t.Context(), key)
		v.must(err)
	}
}

// TestKeysAreRotatedAndOldVersionsEnd: no data is rewritten, everything reads as
// before, and a version ends only when it is retired and nothing is sealed under it.
func TestKeysAreRotatedAndOldVersionsEnd(t *testing.T) {
	v := newVaulted(t)
	_, err := v.other.Create(t.Context(), "mine", "")
	v.must(err)
	want := map[string][]byte{}
	for i, e := range []objects.Encryption{{Mode: objects.EncryptedS3}, kms("mine"), kms(""), {}} {
		for _, size := range []int{100, 2 * mib} {
			name := fmt.Sprintf("%d-%d", i, size)
			want[name] = content(uint64(i+size), size)
			v.putSealed(name, want[name], e)
		}
	}
	u, err := v.Objects.CreateMultipartUpload(t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: "parts", Owner: owner, Encryption: kms("mine")})
	v.must(err)
	want["parts"] = content(77, mib)
	part := v.part(u, 1, want["parts"])

	used := []string{keys.SSES3, "mine", keyring.SSEKMS}
	for _, key := range used {
		v.change(key, v.other.Rotate)
	}
	v.pass()
	if note := v.job.Work().Note; !strings.Contains(note, "7 data keys looked at, 7 sealed anew") {
		t.Errorf("the pass says %q", note)
	}
	for _, key := range used {
		v.wantVersions(key, "1 2") // nobody asked for their end
		v.change(key, v.other.Retire)
	}
	v.pass()
	for _, key := range used {
		v.wantVersions(key, "2")
	}
	v.complete(u, part)
	for name, data := range want {
		v.holds(name, data)
	}
	// Nothing is left to do, and without being asked nothing is done.
	if p, err := v.job.Step(t.Context()); err != nil || p.Done != 0 || p.More {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestVersionsInUseAreKept: what cannot be sealed anew keeps the versions that open it.
func TestVersionsInUseAreKept(t *testing.T) {
	v := newVaulted(t)
	_, err := v.other.Create(t.Context(), "mine", "")
	v.must(err)
	data := content(5, 100)
	v.putSealed("a", data, kms("mine"))
	v.change("mine", v.other.Rotate, v.other.Retire, v.other.Disable)
	v.pass()
	v.wantVersions("mine", "1 2")
	if note := v.job.Work().Note; !strings.Contains(note, "1 left") {
		t.Errorf("the pass says %q", note)
	}
	v.change("mine", v.other.Enable)
	v.holds("a", data)
	v.pass()
	v.wantVersions("mine", "2")
	v.holds("a", data)
}

// TestObjectsOfADeletedKeyAreUnreadableAtOnce, and so are those of a disabled one,
// whichever gateway says so.
func TestObjectsOfADeletedKeyAreUnreadableAtOnce(t *testing.T) {
	v := newVaulted(t)
	for _, key := range []string{"mine", "yours"} {
		_, err := v.other.Create(t.Context(), key, "")
		v.must(err)
	}
	data := content(9, mib)
	v.putSealed("a", data, kms("mine"))
	v.putSealed("b", data, kms("yours"))
	v.holds("a", data)
	refused := func(code s3.Code) {
		t.Helper()
		if got, err := v.tryGet("a"); !errors.Is(err, s3.NewError(code)) || len(got) != 0 {
			t.Errorf("%d bytes, %v; want %s", len(got), err, code)
		}
		v.holds("b", data)
	}
	v.change("mine", v.other.Disable)
	refused(s3.KMSDisabled)
	v.change("mine", v.other.Enable)
	v.holds("a", data)
	use, err := v.CountKeyUse(t.Context(), "mine", 1<<40)
	if err != nil || use != (single.KeyUse{Objects: 1}) {
		t.Errorf("%+v is sealed under the key, %v", use, err)
	}
	v.change("mine", v.other.Delete)
	refused(s3.KMSNotFound)
	// Nor does the name come back with another key.
	if _, err := v.other.Create(t.Context(), "mine", ""); !errors.Is(err, keyring.ErrExists) {
		t.Errorf("the name was given again: %v", err)
	}
	// What is left of the object can be deleted.
	v.remove("a")
}

// during is a body that does something before its last byte is read.
type during struct {
	data []byte
	do   func()
}

func (d *during) Read(p []byte) (int, error) {
	if len(d.data) == 1 && d.do != nil {
		d.do()
		d.do = nil
	}
	if len(d.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.data[:max(len(d.data)-1, 1)])
	d.data = d.data[n:]
	return n, nil
}

// TestUploadsThatOutliveAVersion: what was sealed under a version when its body
// began is published under the newest, and not at all once the version is gone.
func TestUploadsThatOutliveAVersion(t *testing.T) {
	v := newVaulted(t)
	_, err := v.other.Create(t.Context(), "mine", "")
	v.must(err)
	data := content(3, mib)
	put := func(key string, do func()) error {
		_, err := v.Objects.PutObject(t.Context(), objects.PutObjectInput{
			Bucket: bucket, Key: s3.Key(key), Owner: owner, Encryption: kms("mine"),
			Body: objects.Body{Reader: &during{data, do}, Size: int64(len(data))},
		})
		return err
	}
	v.must(put("a", func() { v.change("mine", v.other.Rotate, v.other.Retire) }))
	v.pass()
	v.wantVersions("mine", "2")
	v.holds("a", data)
	err = put("b", func() {
		v.change("mine", v.other.Rotate, v.other.Retire)
		v.pass()
		v.wantVersions("mine", "3")
	})
	if s3.CodeOf(err) != s3.ServiceUnavailable {
		t.Errorf("published under a version that is gone: %v", err)
	}
	if _, err := v.tryGet("b"); s3.CodeOf(err) != s3.NoSuchKey {
		t.Errorf("half of it is there: %v", err)
	}
	v.must(put("b", nil))
	v.holds("b", data)
	v.holds("a", data)
}

// failing is a keyring that cannot be reached now and then.
type failing struct {
	keys.Provider
	down *atomic.Bool
}

func (f failing) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	if f.down.Load() {
		return nil, fmt.Errorf("%w: on purpose", keys.ErrUnavailable)
	}
	return f.Provider.Rewrap(ctx, keyID, sealed, encCtx)
}

// TestRewrapGoesOnWhereItStopped once the provider is there again.
func TestRewrapGoesOnWhereItStopped(t *testing.T) {
	v := newVaulted(t)
	_, err := v.other.Create(t.Context(), "mine", "")
	v.must(err)
	data := content(1, 100)
	for n := range 3 {
		v.putSealed(fmt.Sprint(n), data, kms("mine"))
	}
	v.change("mine", v.other.Rotate)
	p := failing{v.other, new(atomic.Bool)}
	svc := objects.New(v.DB, v.Store, objects.Options{Keys: keys.Providers{S3: p, KMS: p, BucketKeys: p}, Now: v.DB.Now})
	v.job = steward.NewRewrap(v.DB, svc, v.other, nil)
	p.down.Store(true)
	v.job.RunNow()
	for range 2 {
		if _, err := v.job.Step(t.Context()); !errors.Is(err, keys.ErrUnavailable) {
			t.Fatalf("a step without a provider: %v", err)
		}
	}
	p.down.Store(false)
	for more := true; more; {
		out, err := v.job.Step(t.Context())
		v.must(err)
		more = out.More
	}
	if note := v.job.Work().Note; !strings.Contains(note, "3 sealed anew") {
		t.Errorf("the pass says %q", note)
	}
	v.change("mine", v.other.Retire)
	v.pass()
	v.wantVersions("mine", "2")
	v.holds("0", data)
}
