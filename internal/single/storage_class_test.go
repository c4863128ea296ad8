package single_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// TestStorageClassStatus: what each class holds and takes, and as many mirrors as the
// class with the most parity wants; and after the class has left the configuration.
func TestStorageClassStatus(t *testing.T) {
	classes := map[string]partition.Scheme{"STANDARD_IA": {K: 2, M: 3}, "GLACIER_IR": {}}
	s := newHouse(t, 6, func(o *single.Options) { o.Classes = classes })
	data := bytes.Repeat([]byte("cold"), 25_000)
	_, err := s.Objects.PutObject(t.Context(), objects.PutObjectInput{
		Bucket: "bucket", Key: "cold", Attributes: objects.Attributes{StorageClass: "STANDARD_IA"},
		Body: objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))},
	})
	s.must(err)
	s.RunSteward()
	st, err := s.Status(t.Context())
	s.must(err)
	if len(st.Classes) != 3 || st.Metadata.Wanted != 4 || !st.Healthy {
		t.Fatalf("classes %+v, %d mirrors", st.Classes, st.Metadata.Wanted)
	}
	for i, want := range []single.ClassStatus{
		{Name: "STANDARD", Scheme: "4+2", InUse: "4+2", Partitions: st.Classes[0].Partitions, Bytes: st.Classes[0].Bytes, Encoded: st.Classes[0].Bytes * 3 / 2, Ratio: 1.5},
		{Name: "GLACIER_IR", Scheme: "4+2", InUse: "4+2", Ratio: 1.5},
		{Name: "STANDARD_IA", Scheme: "2+3", InUse: "2+3", Partitions: 1, Bytes: 100_000, Encoded: 250_000, Ratio: 2.5},
	} {
		if got := st.Classes[i]; got != want {
			t.Errorf("class %+v, want %+v", got, want)
		}
	}
	if got := s.metric("undercroft_storage_class_encoded_bytes", "STANDARD_IA"); got != 250_000 {
		t.Errorf("the metric says that the class takes %v", got)
	}

	delete(classes, "STANDARD_IA")
	s.Restart()
	st, err = s.Status(t.Context())
	s.must(err)
	if got := st.Classes[2]; !got.Retired || got.Bytes != 100_000 || got.Scheme != "4+2" {
		t.Errorf("a class that is not configured: %+v", got)
	}
	if !strings.Contains(strings.Join(st.Advice, "\n"), "start with --storage-class STANDARD_IA=K+M again") {
		t.Errorf("advice %q", st.Advice)
	}
	out, err := s.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: "cold"})
	s.must(err)
	var got bytes.Buffer
	_, err = out.Body.WriteTo(&got)
	s.must(err)
	s.must(out.Body.Close())
	if !bytes.Equal(got.Bytes(), data) || out.Object.StorageClass != "STANDARD_IA" {
		t.Errorf("%d bytes of class %s", got.Len(), out.Object.StorageClass)
	}
	moved, err := s.Objects.Transition(t.Context(), objects.TransitionInput{Bucket: "bucket", Key: "cold", Class: s3.StorageStandard})
	if s.must(err); moved.StorageClass != "STANDARD" {
		t.Errorf("moved to %s", moved.StorageClass)
	}
	s.RunSteward()
	st, err = s.Status(t.Context())
	s.must(err)
	if len(st.Advice) != 0 || st.Classes[2].Bytes != 0 {
		t.Errorf("after the objects have left it: %+v, advice %q", st.Classes[2], st.Advice)
	}
}

// metric is the value of a gauge of one storage class.
func (s *shop) metric(name, class string) float64 {
	s.t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(s.Collector())
	families, err := r.Gather()
	s.must(err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == class {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// TestStorageClassAndDrain: a class with more parity than STANDARD needs its disks.
func TestStorageClassAndDrain(t *testing.T) {
	s := newHouse(t, 4, func(o *single.Options) {
		o.Scheme = partition.Scheme{K: 2, M: 1}
		o.Classes = map[string]partition.Scheme{"STANDARD_IA": {K: 1, M: 3}}
	})
	_, err := s.DrainDisk(t.Context(), "/d1")
	refusedChange(t, err, "only 3 disks", "3 parity shards need at least 4")
}
