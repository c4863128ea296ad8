package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is the result of one run, the JSON that s3bench prints. Times are in
// the unit that the field's name ends with; MiB and GiB are powers of two.
type Report struct {
	Name        string           `json:"name,omitempty"`
	Op          Op               `json:"op"`
	SizeBytes   int64            `json:"size_bytes"`
	Parts       int              `json:"parts,omitempty"`
	Concurrency int              `json:"concurrency"`
	Payload     PayloadMode      `json:"payload"`
	Checksum    Checksum         `json:"checksum"`
	Started     time.Time        `json:"started"`
	Seconds     float64          `json:"seconds"`
	Total       Stats            `json:"total"`
	Ops         map[Op]Stats     `json:"ops"`
	Server      *ServerStats     `json:"server,omitempty"`
	Beside      *BesideStats     `json:"beside,omitempty"`
	Disk        *DiskStats       `json:"disk,omitempty"`
	Counters    map[string]Delta `json:"counters,omitempty"`
}

// Stats are the operations of one kind that ended within the window. Rates and
// percentiles are of those that succeeded.
type Stats struct {
	Ops        uint64            `json:"ops"`
	Failed     uint64            `json:"failed"`
	Requests   uint64            `json:"requests"`
	Bytes      int64             `json:"bytes"`
	Keys       uint64            `json:"keys,omitempty"`
	OpsPerSec  float64           `json:"ops_per_s"`
	MiBPerSec  float64           `json:"mib_per_s"`
	KeysPerSec float64           `json:"keys_per_s,omitempty"`
	MeanMs     float64           `json:"mean_ms"`
	P50Ms      float64           `json:"p50_ms"`
	P90Ms      float64           `json:"p90_ms"`
	P99Ms      float64           `json:"p99_ms"`
	MaxMs      float64           `json:"max_ms"`
	Errors     map[string]uint64 `json:"errors,omitempty"`
}

// ServerStats are of the observed processes over the window.
type ServerStats struct {
	CPUSeconds        float64 `json:"cpu_s"`
	CPUPer1000Req     float64 `json:"cpu_s_per_1000_requests"`
	CPUMicrosPerReq   float64 `json:"cpu_us_per_request"`
	CPUSecondsPerGiB  float64 `json:"cpu_s_per_gib,omitempty"`
	RSSBytes          int64   `json:"rss_bytes"`        // at the end
	RSSPeakBytes      int64   `json:"rss_peak_bytes"`   // sampled in the window
	HighWaterBytes    int64   `json:"high_water_bytes"` // VmHWM, since the process began
	CoresUsed         float64 `json:"cores_used"`       // CPU seconds per second
	RequestsPerCPUSec float64 `json:"requests_per_cpu_s"`
}

// BesideStats are of the processes that work for the server, over the window.
type BesideStats struct {
	CPUSeconds      float64 `json:"cpu_s"`
	CPUMicrosPerReq float64 `json:"cpu_us_per_request"`
	CoresUsed       float64 `json:"cores_used"`
	RSSBytes        int64   `json:"rss_bytes"` // at the end
}

// DiskStats are of one block device over the window, everything on it included.
type DiskStats struct {
	Device              string  `json:"device"`
	Flushes             uint64  `json:"flushes"`
	FlushesPerOp        float64 `json:"flushes_per_op"`
	Writes              uint64  `json:"writes"`
	BytesWritten        uint64  `json:"bytes_written"`
	BytesWrittenPerByte float64 `json:"bytes_written_per_user_byte,omitempty"`
}

// Delta is how much a counter grew within the window.
type Delta struct {
	Delta float64 `json:"delta"`
	PerOp float64 `json:"per_op"`
}

func (r *run) report(workers []*worker, seen observation) *Report {
	c := r.cfg
	rep := &Report{
		Name: c.Name, Op: c.Op, SizeBytes: c.Size, Concurrency: c.Concurrency,
		Payload: c.Payload, Checksum: c.Checksum, Started: seen.first.at.UTC(),
		Seconds: seen.last.at.Sub(seen.first.at).Seconds(), Ops: map[Op]Stats{},
	}
	if c.Op == OpMultipart {
		rep.Parts = c.Parts
	}
	var all tally
	all.errors = map[string]uint64{}
	byOp := map[Op]*tally{}
	for _, w := range workers {
		for op, t := range w.tallies {
			if byOp[op] == nil {
				byOp[op] = &tally{errors: map[string]uint64{}}
			}
			byOp[op].merge(t)
			all.merge(t)
		}
	}
	for op, t := range byOp {
		rep.Ops[op] = t.stats(rep.Seconds)
	}
	rep.Total = all.stats(rep.Seconds)
	rep.addObservation(seen)
	return rep
}

func (t *tally) merge(o *tally) {
	t.hist.Merge(&o.hist)
	t.ok += o.ok
	t.failed += o.failed
	t.requests += o.requests
	t.bytes += o.bytes
	t.keys += o.keys
	for code, n := range o.errors {
		t.errors[code] += n
	}
}

func (t *tally) stats(seconds float64) Stats {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return Stats{
		Ops: t.ok, Failed: t.failed, Requests: t.requests, Bytes: t.bytes, Keys: t.keys,
		OpsPerSec: ratio(float64(t.ok), seconds), MiBPerSec: ratio(float64(t.bytes)/(1<<20), seconds),
		KeysPerSec: ratio(float64(t.keys), seconds),
		MeanMs:     ms(t.hist.Mean()), P50Ms: ms(t.hist.Quantile(0.5)), P90Ms: ms(t.hist.Quantile(0.9)),
		P99Ms: ms(t.hist.Quantile(0.99)), MaxMs: ms(t.hist.Max()), Errors: t.errors,
	}
}

func (rep *Report) addObservation(seen observation) {
	requests, bytes := float64(rep.Total.Requests), float64(rep.Total.Bytes)
	if cpu := (seen.last.cpu - seen.first.cpu).Seconds(); seen.last.rss > 0 {
		rep.Server = &ServerStats{
			CPUSeconds: cpu, CPUPer1000Req: ratio(cpu*1000, requests), CPUMicrosPerReq: ratio(cpu*1e6, requests),
			CPUSecondsPerGiB: ratio(cpu*(1<<30), bytes), RSSBytes: seen.last.rss, RSSPeakBytes: seen.peak,
			HighWaterBytes: seen.last.hwm, CoresUsed: ratio(cpu, rep.Seconds), RequestsPerCPUSec: ratio(requests, cpu),
		}
	}
	if a, b := seen.first.beside, seen.last.beside; b.rss > 0 {
		cpu := (b.cpu - a.cpu).Seconds()
		rep.Beside = &BesideStats{
			CPUSeconds: cpu, CPUMicrosPerReq: ratio(cpu*1e6, requests), CoresUsed: ratio(cpu, rep.Seconds), RSSBytes: b.rss,
		}
	}
	if a, b := seen.first.disk, seen.last.disk; b != (diskCounters{}) {
		written := (b.sectors - a.sectors) * 512
		rep.Disk = &DiskStats{
			Device: seen.device, Flushes: b.flushes - a.flushes, FlushesPerOp: ratio(float64(b.flushes-a.flushes), float64(rep.Total.Ops)),
			Writes: b.writes - a.writes, BytesWritten: written, BytesWrittenPerByte: ratio(float64(written), bytes),
		}
	}
	for name, after := range seen.last.counters {
		if rep.Counters == nil {
			rep.Counters = map[string]Delta{}
		}
		d := after - seen.first.counters[name]
		rep.Counters[name] = Delta{Delta: d, PerOp: ratio(d, float64(rep.Total.Ops))}
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// WriteTable prints reports as one Markdown table.
func WriteTable(w io.Writer, reports []*Report) error {
	var b strings.Builder
	b.WriteString("| test | ops/s | MiB/s | p50 ms | p90 ms | p99 ms | max ms | server µs/req | beside µs/req | server core-s/GiB | cores | RSS peak MiB | flushes/op | errors |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range reports {
		t := r.Total
		rate := fmt.Sprintf("%.0f", t.OpsPerSec)
		if t.OpsPerSec < 100 {
			rate = fmt.Sprintf("%.1f", t.OpsPerSec)
		}
		if t.Keys > 0 {
			rate += fmt.Sprintf(" (%.0f keys/s)", t.KeysPerSec)
		}
		server := []string{"", "", "", "", ""}
		if s := r.Server; s != nil {
			server = []string{
				fmt.Sprintf("%.1f", s.CPUMicrosPerReq), r.beside(), r.perGiB(),
				fmt.Sprintf("%.2f", s.CoresUsed), fmt.Sprintf("%.0f", float64(s.RSSPeakBytes)/(1<<20)),
			}
		}
		flushes := ""
		if r.Disk != nil {
			flushes = fmt.Sprintf("%.3f", r.Disk.FlushesPerOp)
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f | %.2f | %.2f | %.2f | %.1f | %s | %s | %s |\n", r.label(), rate, t.MiBPerSec,
			t.P50Ms, t.P90Ms, t.P99Ms, t.MaxMs, strings.Join(server, " | "), flushes, errorList(t.Errors))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// perGiB leaves the figure out when too few bytes were moved to mean anything.
func (rep *Report) perGiB() string {
	if rep.Total.Bytes < 1<<27 {
		return ""
	}
	return fmt.Sprintf("%.2f", rep.Server.CPUSecondsPerGiB)
}

// beside is the CPU per request of the processes beside the server, where there are any.
func (rep *Report) beside() string {
	if rep.Beside == nil {
		return ""
	}
	return fmt.Sprintf("%.1f", rep.Beside.CPUMicrosPerReq)
}

func (rep *Report) label() string {
	if rep.Name != "" {
		return rep.Name
	}
	return fmt.Sprintf("%s %s c=%d %s", rep.Op, FormatSize(rep.SizeBytes), rep.Concurrency, rep.Payload)
}

func errorList(counts map[string]uint64) string {
	if len(counts) == 0 {
		return "0"
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, counts[code]))
	}
	return strings.Join(parts, ", ")
}

// ReadReports reads reports that follow each other in one stream of JSON.
func ReadReports(in io.Reader) ([]*Report, error) {
	var reports []*Report
	for dec := json.NewDecoder(in); ; {
		r := new(Report)
		err := dec.Decode(r)
		if errors.Is(err, io.EOF) {
			return reports, nil
		}
		if err != nil {
			return nil, fmt.Errorf("report %d: %w", len(reports)+1, err)
		}
		reports = append(reports, r)
	}
}
