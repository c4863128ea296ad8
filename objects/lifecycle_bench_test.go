package objects_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
)

// fillRows writes the rows of objects as those of uploads of 100 KB are, without their data.
func fillRows(b *testing.B, e *env, objects int) {
	b.Helper()
	var row *metadata.Bucket
	e.must(e.DB.View(e.ctx, "fill", func(r *metadata.Reader) (err error) {
		row, err = r.BucketByName(string(bucket))
		return err
	}))
	const batch = 1000
	for from := 0; from < objects; from += batch {
		e.must(e.DB.Update(e.ctx, "fill", func(tx *metadata.Tx) error {
			for i := from; i < min(from+batch, objects); i++ {
				err := tx.PutObject(row.ID, nil, &metadata.Object{
					Key: fmt.Sprintf("tenants/%04d/artifacts/%08x.tar", i/5000, i), Ord: metadata.Ord(1_700_000_000_000_000 + i), Suffix: uint64(i + 1),
					Modified: e.Now().Truncate(time.Millisecond), ETag: "d41d8cd98f00b204e9800998ecf8427e", Owner: string(owner),
					Checksums:  []metadata.Checksum{{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: "AAAAAAAAAAA="}},
					Attributes: metadata.Attributes{ContentType: "application/octet-stream", User: []metadata.Pair{{Name: "mtime", Value: "1700000000"}}},
					Tags:       []metadata.Pair{{Name: "team", Value: strconv.Itoa(i % 7)}},
					Data:       metadata.Data{Kind: metadata.DataEmpty}, Token: metadata.Token{1},
				}, nil)
				if err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// BenchmarkLifecycleScan is how fast one core applies rules to objects that nothing is due for.
// UNDERCROFT_BENCH_OBJECTS=10000000 for as many as the requirement has.
func BenchmarkLifecycleScan(b *testing.B) {
	n := 200_000
	if text := os.Getenv("UNDERCROFT_BENCH_OBJECTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	c := testcluster.New(b, testcluster.Options{FS: vfs.Default(), Dirs: []string{b.TempDir()}, Edit: func(o *single.Options) {
		o.Engine.MemTableBytes, o.Engine.CacheBytes = 64<<20, 256<<20
	}})
	e := &env{Cluster: c, Service: c.Objects, t: b, ctx: b.Context()}
	_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: bucket, Owner: owner})
	e.must(err)
	fillRows(b, e, n)
	for name, rules := range map[string][]string{
		"age":   {lifecycleRule("", expireIn(365))},
		"moves": {lifecycleRule("<Prefix>tenants/</Prefix>", "<Transition><Days>90</Days><StorageClass>COLD</StorageClass></Transition>"+noncurrentIn(30, 3))},
		"tags": {
			lifecycleRule("<Tag><Key>team</Key><Value>8</Value></Tag>", expireIn(1)),
			lifecycleRule("<And><Prefix>tenants/</Prefix><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan></And>", expireIn(365)),
		},
	} {
		b.Run(name, func(b *testing.B) {
			e.t = b
			e.govern(rules...)
			begun, rows := time.Now(), 0
			for b.Loop() {
				got := e.age(48*time.Hour, 4000)
				rows += int(got.Evaluated)
				if got.Acted() != 0 || got.Evaluated != int64(n) {
					b.Fatalf("%+v", got)
				}
			}
			b.ReportMetric(float64(rows)/time.Since(begun).Seconds(), "objects/s")
		})
	}
}

// BenchmarkLifecycleExpire is how fast objects without data are deleted that are due.
func BenchmarkLifecycleExpire(b *testing.B) {
	const n = 20_000
	c := testcluster.New(b, testcluster.Options{FS: vfs.Default(), Dirs: []string{b.TempDir()}})
	e := &env{Cluster: c, Service: c.Objects, t: b, ctx: b.Context()}
	_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: bucket, Owner: owner})
	e.must(err)
	e.govern(lifecycleRule("", expireIn(1)))
	var spent time.Duration
	for b.Loop() {
		fillRows(b, e, n)
		begun := time.Now()
		if got := e.age(96*time.Hour, 4000); got.Expired != n {
			b.Fatalf("%+v", got)
		}
		spent += time.Since(begun)
	}
	b.ReportMetric(float64(b.N*n)/spent.Seconds(), "expired/s")
}
