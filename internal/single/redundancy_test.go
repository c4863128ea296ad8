package single_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
)

// gauges are the metrics of a store without labels, and those of partitions_short by theirs.
func (s *shop) gauges() map[string]float64 {
	s.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	s.must(registry.Register(s.Collector()))
	families, err := registry.Gather()
	s.must(err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

// someShards is a directory with shards of objects, other than the first one, which has
// the metadata.
func (s *shop) someShards() (found string) {
	s.t.Helper()
	dirs := map[string]string{}
	for dir, d := range s.disks() {
		dirs[d.ID] = dir
	}
	s.must(s.DB.EachPartition(s.t.Context(), "test", func(row *metadata.Partition) error {
		return s.DB.View(s.t.Context(), "test", func(r *metadata.Reader) error {
			live, err := r.LiveBytes(row.ID)
			for _, id := range row.Shards {
				if dir := dirs[blobd.DiskID(id).String()]; live > 0 && dir != s.Dirs()[0] {
					found = dir
				}
			}
			return err
		})
	}))
	if found == "" {
		s.t.Fatal("no disk has shards of objects")
	}
	return found
}

// TestHealthIsSaidOnlyWhenItIsTrue follows a disk that goes away for good through
// status and metrics.
func TestHealthIsSaidOnlyWhenItIsTrue(t *testing.T) {
	s := &shop{testcluster.New(t, testcluster.Options{Disks: 5}), t} // 2+2
	_, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"})
	s.must(err)
	s.fill("before")
	s.RunSteward()
	if st, err := s.Status(t.Context()); err != nil || !st.Healthy || st.Redundancy.Repair == nil {
		t.Errorf("with all disks: %+v, %v", st, err)
	}
	dir := s.someShards()
	s.Stop()
	s.unmount(dir)
	s.Start()
	s.RunSteward()
	st, err := s.Status(t.Context())
	if err != nil || st.Healthy || st.Redundancy.Short[1] == 0 || st.Redundancy.Unreadable != 0 || st.Redundancy.Repair.Waiting == 0 {
		t.Errorf("without a disk: %+v, %v", st, err)
	}
	g := s.gauges()
	if g["undercroft_partitions_short 1"] != float64(st.Redundancy.Short[1]) || g["undercroft_repair_waiting_shards"] == 0 {
		t.Errorf("metrics without a disk: %v", g)
	}
	s.Advance(time.Hour)
	s.RunSteward()
	st, err = s.Status(t.Context())
	if err != nil || st.Healthy || fmt.Sprint(st.Redundancy.Short[1:]) != "[0 0]" {
		t.Errorf("rebuilt, and the disk is still missed: %+v, %v", st, err)
	}
	if g := s.gauges(); g["undercroft_repair_shards_total"] == 0 || g["undercroft_repair_bytes_total"] == 0 || g["undercroft_partitions_short 1"] != 0 {
		t.Errorf("metrics after the repair: %v", g)
	}
	s.holds("before")
}
