package objects

import (
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

// TestBucketCacheIsBoundedInBytes: whoever has many buckets, each with long
// documents, gets no more memory than others.
func TestBucketCacheIsBoundedInBytes(t *testing.T) {
	c, doc := newBucketCache(), make([]byte, 64<<10)
	state := &BucketState{configs: map[ConfigKind][]byte{ConfigPolicy: doc, ConfigCORS: doc}}
	name := func(i int) s3.BucketName { return s3.BucketName(fmt.Sprint("b", i)) }
	for i := range maxCachedBuckets {
		c.put(name(i), state, []byte("g"))
		c.put(name(i), state, []byte("h")) // again: counted once
	}
	held := 0
	for range c.entries {
		held += 2 * len(doc)
	}
	if held > maxCachedBytes {
		t.Errorf("%d bytes of documents are held", held)
	}
	if last := name(maxCachedBuckets - 1); c.get(last, []byte("h")) != state {
		t.Error("the bucket used last is not there")
	}
	for i := range maxCachedBuckets {
		c.put(name(i), &BucketState{}, []byte("g"))
	}
	if len(c.entries) < maxCachedBuckets/2 {
		t.Errorf("only %d small buckets are kept", len(c.entries))
	}
}
