package single

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// parityFor is the most parity that a partition of any storage class has with so many
// disks: the metadata survive the loss of as many.
func (s *System) parityFor(disks int) int {
	most := s.schemeFor(disks).M
	for _, scheme := range s.opts.Classes {
		most = max(most, scheme.M)
	}
	return most
}

// affordableClasses is as affordable, for the storage classes besides STANDARD.
// Zero stays: such a class goes by the scheme of STANDARD.
func (s *System) affordableClasses() map[string]partition.Scheme {
	out := maps.Clone(s.opts.Classes)
	st := s.mirror.Status()
	have := max(st.Reached, len(st.Members))
	for name, scheme := range out {
		if st.Reached > 0 && have <= scheme.M {
			out[name] = partition.Scheme{K: scheme.K, M: have - 1}
		}
	}
	return out
}

// warnOfRetiredClasses says which storage classes have data and are not configured.
func (s *System) warnOfRetiredClasses(ctx context.Context) {
	for _, c := range s.Store.Classes() {
		if c.Retired {
			s.opts.Logger.WarnContext(ctx, "a storage class that holds data is not configured any more: its objects are read as before, nothing new is written to it, "+
				"and what compaction writes anew gets the scheme of STANDARD; configure it again, or copy its objects to another class",
				slog.String("class", c.Name), slog.String("scheme", c.Wanted.String()))
		}
	}
}

// ClassStatus describes a storage class.
type ClassStatus struct {
	Name   string `json:"name"`
	Scheme string `json:"scheme"`        // of new partitions, for all known disks
	InUse  string `json:"scheme_in_use"` // for those in service
	// Retired says that it is not configured and has partitions.
	Retired    bool  `json:"retired,omitempty"`
	Partitions int64 `json:"partitions"`
	Bytes      int64 `json:"bytes"`         // of objects in them
	Encoded    int64 `json:"encoded_bytes"` // with the parity of each partition
	// Ratio is Encoded to Bytes; that of the scheme where there are none.
	Ratio float64 `json:"ratio"`
}

// classStatus describes the storage classes, STANDARD first.
func (s *System) classStatus(ctx context.Context) ([]ClassStatus, error) {
	var found metadata.ClassUsages
	err := s.DB.EachPartitionLive(ctx, "status", func(row *metadata.Partition, live int64) error {
		found.Count(row, live)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the storage classes: %w", err)
	}
	used := map[string]metadata.ClassUsage{}
	for _, u := range found.List() {
		used[u.Class] = u
	}
	classes := s.Store.Classes()
	out := make([]ClassStatus, len(classes))
	for i, c := range classes {
		u := used[c.Name]
		out[i] = ClassStatus{
			Name: className(c.Name), Scheme: schemeText(c.Wanted.K, c.Wanted.M), InUse: schemeText(c.InUse.K, c.InUse.M), Retired: c.Retired,
			Partitions: u.Partitions, Bytes: u.Bytes, Encoded: u.Encoded, Ratio: u.Ratio(),
		}
		if u.Bytes == 0 {
			out[i].Ratio = float64(c.Wanted.K+c.Wanted.M) / float64(c.Wanted.K)
		}
	}
	return out, nil
}

// className is the name of a class for people.
func className(name string) string {
	if name == "" {
		return "STANDARD"
	}
	return name
}

// retiredAdvice says what to do about storage classes that are not configured.
func retiredAdvice(classes []ClassStatus) (advice []string) {
	for _, c := range classes {
		if c.Retired && c.Bytes > 0 {
			advice = append(advice, fmt.Sprintf("storage class %s is not configured and holds %d bytes: start with --storage-class %s=K+M again, "+
				"or copy its objects to another class", c.Name, c.Bytes, c.Name))
		}
	}
	return advice
}

// classMetrics shows what storage classes hold, as repair saw it last.
type classMetrics struct{ partitions, bytes, encoded *prometheus.Desc }

func newClassMetrics() *classMetrics {
	metric := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("undercroft_storage_class_"+name, help, []string{"storage_class"}, nil)
	}
	return &classMetrics{
		partitions: metric("partitions", "Partitions of the storage class."),
		bytes:      metric("bytes", "Bytes of objects in the partitions of the storage class."),
		encoded:    metric("encoded_bytes", "Bytes of objects in the partitions of the storage class, with the parity of each."),
	}
}

func (m *classMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.partitions, m.bytes, m.encoded} {
		ch <- d
	}
}

func (m *classMetrics) collect(found []metadata.ClassUsage, ch chan<- prometheus.Metric) {
	for _, u := range found {
		for d, v := range map[*prometheus.Desc]int64{m.partitions: u.Partitions, m.bytes: u.Bytes, m.encoded: u.Encoded} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), className(u.Class))
		}
	}
}
