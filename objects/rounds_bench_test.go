package objects_test

import (
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// What small objects cost on the embedded engine, where nothing is sent ahead.
func BenchmarkSmall(b *testing.B) {
	e := open(b)
	data := bytesOf(1, 4096)
	for i := range 256 {
		e.put(s3.Key(fmt.Sprintf("some/key-%03d", i)), data)
	}
	b.Run("PUT", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := e.tryPut(s3.Key(fmt.Sprintf("some/key-%03d", i%256)), bodyOf(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("GET", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: s3.Key(fmt.Sprintf("some/key-%03d", i%256))})
			if err != nil {
				b.Fatal(err)
			}
			if err := out.Body.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("HEAD", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: s3.Key(fmt.Sprintf("some/key-%03d", i%256))}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("LIST", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: bucket, Max: 1000}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
