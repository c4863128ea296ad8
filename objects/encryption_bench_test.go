package objects_test

import (
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// cpuTime is what the process has used of the processors, in seconds.
func cpuTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkEncryption is what objects of 10 MiB cost in core-seconds for each GiB,
// and how much of that encryption adds: plain and encrypted ones by turns, so that
// the noise of the machine meets both.
func BenchmarkEncryption(b *testing.B) {
	const size = 10 * mib
	e, _ := openEncrypting(b)
	data := bytesOf(1, size)
	modes := []string{"plain", "s3", "c1"}
	n := 0
	ops := map[string]func(string){
		"put": func(name string) {
			e.putAs(s3.Key(fmt.Sprint(name, n%4)), data, encryptions()[name])
		},
		"get": func(name string) {
			out, err := e.GetObject(e.ctx, objects.GetObjectInput{
				Bucket: bucket, Key: s3.Key(fmt.Sprint(name, n%4)), CustomerKey: encryptions()[name].Customer,
			})
			e.must(err)
			_, err = out.Body.WriteTo(io.Discard)
			e.must(err)
			e.must(out.Body.Close())
		},
	}
	for _, op := range []string{"put", "get"} {
		b.Run(op, func(b *testing.B) {
			b.SetBytes(int64(size * len(modes)))
			for n = range 4 {
				for _, name := range modes {
					ops["put"](name)
				}
			}
			spent, rounds := make(map[string]float64), 0
			for n = 0; b.Loop(); n++ {
				for i := range modes {
					name := modes[(i+n)%len(modes)]
					before := cpuTime(b)
					ops[op](name)
					spent[name] += cpuTime(b) - before
				}
				if rounds++; n%4 == 0 {
					e.RunSteward()
				}
			}
			for _, name := range modes {
				spent[name] *= (1 << 30) / float64(size*rounds)
			}
			b.ReportMetric(spent["plain"], "core-s/GiB")
			b.ReportMetric(spent["s3"]-spent["plain"], "more-s3/GiB")
			b.ReportMetric(spent["c1"]-spent["plain"], "more-c/GiB")
		})
	}
}
