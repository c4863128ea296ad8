package objects_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestTransitionOfSharedBytes moves objects that share slices, manifests and data with each other, between
// deletions and the collector: each keeps its bytes until it goes, and nothing is left of the last.
func TestTransitionOfSharedBytes(t *testing.T) {
	heavy(t)
	for seed := range rounds(6, 60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			e := open(t, withClasses)
			rnd := rand.New(rand.NewPCG(seed, 7))
			large := bytesOf(seed, 5*mib+77)
			holds := map[s3.Key][]byte{"source": large}
			e.put("source", large)
			u := e.upload("parts")
			var done []objects.CompletedPart
			ranges := []*s3.ByteRange{{First: 3, Last: 5*mib + 2}, {First: 100, Last: 4100}}
			for i, r := range ranges {
				p, err := e.tryPartCopy(u, i+1, "source", r)
				e.must(err)
				done = append(done, objects.CompletedPart{Number: i + 1, ETag: p.Part.ETag})
			}
			e.complete(u, done...)
			holds["parts"] = slices.Concat(large[3:5*mib+3], large[100:4101])
			for i, from := range []s3.Key{"source", "parts", "parts"} {
				to := s3.Key(fmt.Sprint("copy", i))
				e.copyTo(from, to)
				holds[to] = holds[from]
			}
			keys := []s3.Key{"source", "parts", "copy0", "copy1", "copy2"}
			for len(keys) > 0 {
				i := rnd.IntN(len(keys))
				key := keys[i]
				switch rnd.IntN(5) {
				case 0:
					e.remove(key)
					keys = slices.Delete(keys, i, i+1)
				case 1:
					e.RunSteward()
				default:
					e.move(key, []s3.StorageClass{cold, rare, s3.StorageStandard}[rnd.IntN(3)])
				}
				for _, key := range keys {
					e.holds(key, holds[key])
				}
			}
		})
	}
}
