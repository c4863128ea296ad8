package objects_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

func (y *yard) put(g *testcluster.Gateway, key s3.Key, data []byte) objects.Object {
	y.t.Helper()
	o, err := g.Objects.PutObject(y.t.Context(), objects.PutObjectInput{Bucket: bucket, Key: key, Body: bodyOf(data)})
	y.must(err)
	return o
}

func (y *yard) holds(g *testcluster.Gateway, key s3.Key, data []byte) {
	y.t.Helper()
	if got, err := content(y.t.Context(), g, key); err != nil || !bytes.Equal(got, data) {
		y.t.Fatalf("%s reads back as %d bytes (%v), want the %d written", key, len(got), err, len(data))
	}
}

func (y *yard) work(gateways ...*testcluster.Gateway) {
	y.t.Helper()
	for _, g := range gateways {
		y.must(g.Work(y.t.Context()))
	}
}

// rows are the partitions, by state.
func (y *yard) rows() map[metadata.PartitionState][]metadata.Partition {
	y.t.Helper()
	out := map[metadata.PartitionState][]metadata.Partition{}
	y.must(y.gateways[len(y.gateways)-1].DB.EachPartition(y.t.Context(), "test", func(row *metadata.Partition) error {
		out[row.State] = append(out[row.State], *row)
		return nil
	}))
	return out
}

// TestConfigurationIsSeenByEveryGateway: what one gateway changes of a bucket each other one goes by
// with its next request, though it has the bucket in its cache.
func TestConfigurationIsSeenByEveryGateway(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 3)
			state := func(g *testcluster.Gateway) *objects.BucketState {
				t.Helper()
				b, err := g.Objects.BucketState(t.Context(), bucket)
				y.must(err)
				return b
			}
			for _, kind := range []objects.ConfigKind{objects.ConfigPolicy, objects.ConfigACL, objects.ConfigCORS, objects.ConfigLifecycle} {
				for n, doc := range []string{"one", "two", ""} {
					by := y.gateways[n]
					if doc == "" {
						y.must(by.Objects.DeleteBucketConfig(t.Context(), bucket, kind))
					} else {
						y.must(by.Objects.PutBucketConfig(t.Context(), bucket, kind, []byte(doc)))
					}
					for i, g := range y.gateways {
						if got := string(state(g).Config(kind)); got != doc {
							t.Errorf("gateway %d: document %v is %q, want %q", i, kind, got, doc)
						}
					}
				}
			}
			for n, status := range []s3.VersioningStatus{s3.VersioningEnabled, s3.VersioningSuspended, s3.VersioningEnabled} {
				y.must(y.gateways[n].Objects.PutBucketVersioning(t.Context(), bucket, status))
				for _, g := range y.gateways {
					if o := y.put(g, "k", []byte("v")); (o.VersionID != s3.NullVersion) != (status == s3.VersioningEnabled) {
						t.Errorf("with versioning %s the version is %q", status, o.VersionID)
					}
				}
			}
			y.must(y.gateways[0].Objects.PutObjectLock(t.Context(), bucket, objects.ObjectLock{Mode: objects.RetentionCompliance, Days: 1}))
			locked := y.put(y.gateways[1], "k", []byte("locked"))
			for i, g := range y.gateways {
				_, err := g.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: locked.VersionID})
				if s3.CodeOf(err) != s3.AccessDenied {
					t.Errorf("gateway %d deletes what another one has locked: %v", i, err)
				}
			}
		})
	}
}

// TestABucketThatOthersMakeAnew: a gateway that has a bucket in its cache writes to none that was
// deleted, and to the new one of the name.
func TestABucketThatOthersMakeAnew(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 2)
			a, b := y.gateways[0], y.gateways[1]
			y.put(b, "k", []byte("old"))
			_, err := a.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
			y.must(err)
			y.must(a.Objects.DeleteBucket(t.Context(), bucket))
			_, err = b.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf([]byte("x"))})
			if s3.CodeOf(err) != s3.NoSuchBucket {
				t.Errorf("a write to a bucket that another gateway has deleted: %v", err)
			}
			_, err = a.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: bucket, Owner: owner})
			y.must(err)
			if _, err := content(t.Context(), b, "k"); s3.CodeOf(err) != s3.NoSuchKey {
				t.Errorf("the new bucket holds something: %v", err)
			}
			y.put(b, "k", []byte("new"))
			y.holds(a, "k", []byte("new"))
		})
	}
}

// TestALateWriteOfAGateway: a write is durable and not published. Its gateway is taken for gone, and
// what it wrote to is taken over, sealed and swept. The write fails, and the next one does not.
func TestALateWriteOfAGateway(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 2)
			a, b := y.gateways[0], y.gateways[1]
			kept := bytesOf(1, 300*kib)
			y.put(a, "kept", kept)
			reached, release := a.Hold("put")
			late := make(chan error)
			go func() {
				_, err := a.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "late", Body: bodyOf(bytesOf(2, 300*kib))})
				late <- err
			}()
			<-reached
			y.must(a.Bury(t.Context()))
			y.work(b)
			release()
			if err := <-late; s3.CodeOf(err) != s3.SlowDown {
				t.Errorf("a late write: %v", err)
			}
			again := bytesOf(3, 300*kib)
			y.put(a, "late", again)
			y.work(a, b, a)
			for _, g := range y.gateways {
				y.holds(g, "kept", kept)
				y.holds(g, "late", again)
			}
		})
	}
}

// TestAGatewayIsKilled: in the midst of an upload. Another one completes it, and has all that the
// dead one was told was written; what the dead one had on its way is garbage.
func TestAGatewayIsKilled(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 3)
			a, b := y.gateways[0], y.gateways[1]
			first, second := bytesOf(1, 5*mib), bytesOf(2, 100*kib)
			u, err := a.Objects.CreateMultipartUpload(t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: "k"})
			y.must(err)
			part := func(g *testcluster.Gateway, n int, data []byte) objects.CompletedPart {
				t.Helper()
				p, err := g.Objects.UploadPart(t.Context(), objects.UploadPartInput{Bucket: bucket, Key: "k", Upload: u.ID, Number: n, Body: bodyOf(data)})
				y.must(err)
				return objects.CompletedPart{Number: n, ETag: p.ETag}
			}
			parts := []objects.CompletedPart{part(a, 1, first), part(b, 2, second)}
			reached, release := a.Hold("put-part")
			lost := make(chan error)
			go func() {
				_, err := a.Objects.UploadPart(t.Context(), objects.UploadPartInput{Bucket: bucket, Key: "k", Upload: u.ID, Number: 2, Body: bodyOf(bytesOf(3, 100*kib))})
				lost <- err
			}()
			<-reached
			a.Kill()
			y.must(a.Bury(t.Context()))
			y.work(b, y.gateways[2])
			for _, rows := range y.rows() {
				for _, row := range rows {
					if row.Writer == a.Store.Writer() {
						t.Errorf("partition %x is of the dead one still, in state %d", row.ID, row.State)
					}
				}
			}
			release()
			if err := <-lost; err == nil {
				t.Error("a dead gateway acknowledged a part")
			}
			_, err = b.Objects.CompleteMultipartUpload(t.Context(), objects.CompleteUploadInput{Bucket: bucket, Key: "k", Upload: u.ID, Parts: parts, Size: -1})
			y.must(err)
			y.holds(b, "k", append(bytes.Clone(first), second...))
			y.holds(y.gateways[2], "k", append(bytes.Clone(first), second...))
		})
	}
}

// TestReadersOfOtherGatewaysFollow: one gateway has read where data is, and reads on while another
// one seals, compacts and drops.
func TestReadersOfOtherGatewaysFollow(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 2)
			a, b := y.gateways[0], y.gateways[1]
			const n = 24
			key := func(i int) s3.Key { return s3.Key(fmt.Sprintf("k%02d", i)) }
			var open []objects.Reading
			for i := range n {
				y.put(a, key(i), bytesOf(uint64(i), mib))
			}
			for i := 0; i < n; i += 4 { // b has seen where it is, and begun to read it
				y.holds(b, key(i), bytesOf(uint64(i), mib))
				out, err := b.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: key(i)})
				y.must(err)
				open = append(open, out.Body)
			}
			for i := range n {
				if i%4 != 0 {
					_, err := a.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: key(i)})
					y.must(err)
				}
			}
			y.work(a)
			sealed := y.rows()[metadata.PartitionSealed]
			for _, row := range sealed {
				for next := int64(0); next >= 0; {
					out, err := a.Store.Compact(t.Context(), row.ID, partition.CompactOptions{From: next, All: true})
					y.must(err)
					next = out.Next
				}
			}
			y.work(a)
			for _, rows := range y.rows() {
				for _, row := range rows {
					if len(sealed) == 0 || row.ID == sealed[0].ID {
						t.Errorf("nothing was dropped of %d partitions", len(sealed))
					}
				}
			}
			for i, body := range open {
				var got bytes.Buffer
				_, err := body.WriteTo(&got)
				if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got.Bytes(), bytesOf(uint64(4*i), mib)) {
					t.Errorf("a body that was open reads as %d bytes, %v", got.Len(), err)
				}
			}
			for i := 0; i < n; i += 4 {
				y.holds(b, key(i), bytesOf(uint64(i), mib))
			}
		})
	}
}

// TestTheFirstLockOfAnotherGateway: a gateway whose clock is years ahead was there before anything was
// locked. It goes by the lock time all the same.
func TestTheFirstLockOfAnotherGateway(t *testing.T) {
	engine := mem.New(mem.Options{})
	ahead := 0 * time.Hour
	now := func() time.Time { return time.Now().Add(ahead) }
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	y := &yard{Gateways: testcluster.NewGateways(t, testcluster.GatewaysOptions{Engine: engine, Now: now}), t: t}
	a := y.Start()
	ahead = 10 * 365 * 24 * time.Hour
	b := y.Start()
	y.gateways = []*testcluster.Gateway{a, b}
	ahead = 0
	_, err := a.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: bucket, Owner: owner, ObjectLock: true})
	y.must(err)
	until := a.Objects.LockTime().Add(time.Hour).Truncate(time.Millisecond)
	o, err := a.Objects.PutObject(t.Context(), objects.PutObjectInput{
		Bucket: bucket, Key: "k", Body: bodyOf([]byte("x")),
		Lock: objects.Lock{Retention: objects.Retention{Mode: objects.RetentionCompliance, Until: until}},
	})
	y.must(err)
	ahead = 10 * 365 * 24 * time.Hour
	_, err = b.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: o.VersionID})
	if s3.CodeOf(err) != s3.AccessDenied {
		t.Errorf("a gateway whose clock is ahead deletes what is locked: %v", err)
	}
}
