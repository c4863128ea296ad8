package single

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/metadata/kv/meter"
)

// storeCollector shows a metadata store that is reached over a network.
type storeCollector struct {
	m *metadataStore

	views, updates, reads, commits          *prometheus.Desc
	transactions, attempts, bytes, failures *prometheus.Desc
	inFlight, open, locked, silence         *prometheus.Desc
	refused, outages, reportAge             *prometheus.Desc
}

// MetadataStoreCollector returns the metrics of a metadata store that is reached
// over a network, none for metadata that is here.
func (s *System) MetadataStoreCollector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("undercroft_metadata_"+name, help, labels, nil)
	}
	return &storeCollector{
		m:            s.remote,
		views:        desc("view_seconds", "Time of transactions that only read, retries included; of the class probe it is that of a read version.", "class"),
		updates:      desc("update_seconds", "Time of transactions that may write, retries included.", "class"),
		reads:        desc("update_read_seconds", "Time that attempts of such transactions took up to their commit.", "class"),
		commits:      desc("commit_seconds", "Time of commits.", "class"),
		transactions: desc("transactions_total", "Transactions that ended.", "class"),
		attempts:     desc("transaction_attempts_total", "Attempts of transactions: what is more than transactions was done again.", "class"),
		bytes:        desc("committed_bytes_total", "Bytes of transactions that were committed, their conflict ranges included.", "class"),
		failures:     desc("transaction_failures_total", "Attempts that found a conflict or were too old, and transactions that ended for want of an answer.", "class", "reason"),
		inFlight:     desc("transactions_in_flight", "Transactions under way."),
		open:         desc("store_refused", "1 while transactions fail at once because the metadata store does not answer."),
		locked:       desc("store_locked", "1 while the metadata store answers no request because somebody has locked it."),
		silence:      desc("store_silence_seconds", "Time since the metadata store answered last."),
		refused:      desc("transactions_refused_total", "Transactions that failed without asking the metadata store."),
		outages:      desc("store_outages_total", "How often the metadata store went away."),
		reportAge:    desc("store_report_age_seconds", "Age of what the metadata store told of itself."),
	}
}

// Describe implements [prometheus.Collector]. What the store tells of itself is not
// known before it does, so that nothing is described.
func (c *storeCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	if c.m == nil {
		return
	}
	counts := c.m.meter.Counts()
	for i := range counts {
		c.class(ch, &counts[i])
	}
	st := c.m.breaker.Status()
	gauge(ch, c.inFlight, float64(st.InFlight))
	gauge(ch, c.open, flag(st.Open))
	gauge(ch, c.locked, flag(st.Locked))
	gauge(ch, c.silence, st.Silence.Seconds())
	counter(ch, c.refused, st.Refused)
	counter(ch, c.outages, st.Opened)
	t := c.m.told.Load()
	if t == nil {
		return
	}
	gauge(ch, c.reportAge, c.m.now().Sub(t.at).Seconds())
	for _, g := range t.Gauges {
		gauge(ch, prometheus.NewDesc("undercroft_metadata_cluster_"+g.Name, g.Help, nil, nil), g.Value)
	}
}

func (c *storeCollector) class(ch chan<- prometheus.Metric, n *meter.Counts) {
	histogram := func(desc *prometheus.Desc, h meter.Histogram) {
		if h.Count > 0 {
			ch <- prometheus.MustNewConstHistogram(desc, h.Count, h.Sum.Seconds(), h.Buckets, n.Class)
		}
	}
	histogram(c.views, n.Views)
	histogram(c.updates, n.Updates)
	histogram(c.reads, n.Reads)
	histogram(c.commits, n.Commits)
	counter(ch, c.transactions, n.Transactions, n.Class)
	counter(ch, c.attempts, n.Attempts, n.Class)
	counter(ch, c.bytes, n.Bytes, n.Class)
	for reason, times := range n.Outcomes {
		counter(ch, c.failures, times, n.Class, reason.String())
	}
}

func gauge(ch chan<- prometheus.Metric, desc *prometheus.Desc, v float64) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
}

func counter(ch chan<- prometheus.Metric, desc *prometheus.Desc, v uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
}

func flag(set bool) float64 { //nolint:revive // it is the value
	if set {
		return 1
	}
	return 0
}
