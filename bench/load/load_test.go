package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/bench/nullserver"
)

func start(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestRunCountsEveryOperation(t *testing.T) {
	t.Parallel()
	url := start(t, nullserver.New(nullserver.MD5))
	cases := []struct {
		cfg      Config
		ops      uint64
		requests uint64
		bytes    int64
		keys     uint64
	}{
		{Config{Op: OpPut, Size: 4096, Count: 200, Concurrency: 8}, 200, 200, 200 * 4096, 0},
		{Config{Op: OpPut, Size: 200 << 10, Count: 8, Payload: Signed, Checksum: CRC32C}, 8, 8, 8 * 200 << 10, 0},
		{Config{Op: OpPut, Size: 200 << 10, Count: 8, Payload: Streaming}, 8, 8, 8 * 200 << 10, 0},
		{Config{Op: OpPut, Size: 1000, Count: 8, Payload: Streaming, Checksum: CRC64NVME}, 8, 8, 8000, 0},
		{Config{Op: OpPut, Size: 0, Count: 8, Payload: StreamingUnsigned}, 8, 8, 0, 0},
		{Config{Op: OpPut, Size: 10, Count: 8, Rewrite: 3}, 8, 8, 80, 0},
		{Config{Op: OpGet, Size: 3 << 20, Count: 20, Objects: 3, Concurrency: 2}, 20, 20, 60 << 20, 0},
		{Config{Op: OpHead, Size: 10, Count: 20, Objects: 3}, 20, 20, 0, 0},
		{Config{Op: OpDelete, Size: 10, Objects: 30, Concurrency: 3}, 30, 30, 0, 0},
		{Config{Op: OpList, Size: 1, Objects: 25, PageSize: 10, Count: 6}, 6, 6, 0, 50},
		{Config{Op: OpMultipart, Size: 5 << 20, Parts: 3, Count: 2}, 2, 10, 30 << 20, 0},
		{Config{Op: OpPrepare, Size: 7, Objects: 40, Concurrency: 4}, 40, 40, 280, 0},
	}
	for _, tc := range cases {
		t.Run(fmt.Sprintf("%s %d %s", tc.cfg.Op, tc.cfg.Size, tc.cfg.Payload), func(t *testing.T) {
			t.Parallel()
			tc.cfg.Endpoint, tc.cfg.Bucket = url, strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
			rep, err := Run(t.Context(), tc.cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := []any{rep.Total.Ops, rep.Total.Failed, rep.Total.Requests, rep.Total.Bytes, rep.Total.Keys}
			want := []any{tc.ops, uint64(0), tc.requests, tc.bytes, tc.keys}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ops, failed, requests, bytes, keys (-want +got):\n%s%v", diff, rep.Total.Errors)
			}
			if rep.Total.P50Ms > rep.Total.P99Ms || rep.Total.P99Ms > rep.Total.MaxMs || rep.Total.MaxMs <= 0 {
				t.Errorf("percentiles out of order: %+v", rep.Total)
			}
		})
	}
}

func TestRunByDurationMixesOperations(t *testing.T) {
	t.Parallel()
	url := start(t, nullserver.New(nullserver.Discard))
	rep, err := Run(t.Context(), Config{
		Endpoint: url, Op: OpMixed, Size: 512, Objects: 50, Concurrency: 4,
		Warmup: 20 * time.Millisecond, Duration: 300 * time.Millisecond,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []Op{OpGet, OpHead, OpPut, OpDelete} {
		if rep.Ops[op].Ops == 0 || rep.Ops[op].Failed != 0 {
			t.Errorf("%s: %+v", op, rep.Ops[op])
		}
	}
	if rep.Ops[OpGet].Ops < rep.Ops[OpPut].Ops || rep.Seconds < 0.25 || rep.Seconds > 5 {
		t.Errorf("shares or window wrong: %v s, %+v", rep.Seconds, rep.Ops)
	}
}

// TestRunReportsErrorsByCode feeds refusals, wrong lengths and cut connections.
func TestRunReportsErrorsByCode(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			return
		}
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>"))
		case 1:
			_, _ = w.Write(make([]byte, 99)) // one byte short
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	rep, err := Run(t.Context(), Config{Endpoint: url, Op: OpGet, Size: 100, Count: 40, SkipPrepare: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"SlowDown": 10, "WrongBody": 10, "Connection": 10, "HTTP404": 10}
	if diff := cmp.Diff(want, rep.Total.Errors); diff != "" || rep.Total.Failed != 40 || rep.Total.Ops != 0 {
		t.Errorf("%d failed, %d ok, errors (-want +got):\n%s", rep.Total.Failed, rep.Total.Ops, diff)
	}
}

func TestRunVerifiesBytesWhenAsked(t *testing.T) {
	t.Parallel()
	url := start(t, nullserver.New(nullserver.Discard)) // answers its pattern, not what was put
	cfg := Config{Endpoint: url, Op: OpGet, Size: 100, Count: 3, Objects: 2, Verify: true}
	rep, err := Run(t.Context(), cfg, nil)
	if err != nil || rep.Total.Errors["WrongBody"] != 3 {
		t.Errorf("err %v, report %+v", err, rep)
	}
}

func TestRunRefusesBadConfig(t *testing.T) {
	t.Parallel()
	good := Config{Endpoint: "http://127.0.0.1:1", Op: OpPut, Count: 1}
	for name, spoil := range map[string]func(*Config){
		"scheme":    func(c *Config) { c.Endpoint = "ftp://h" },
		"no host":   func(c *Config) { c.Endpoint = "http://" },
		"operation": func(c *Config) { c.Op = "boil" },
		"no end":    func(c *Config) { c.Count = 0 },
		"size":      func(c *Config) { c.Size = -1 },
		"page":      func(c *Config) { c.PageSize = 1001 },
		"nobody":    func(*Config) {}, // nothing listens on port 1
	} {
		c := good
		spoil(&c)
		if rep, err := Run(t.Context(), c, nil); err == nil {
			t.Errorf("%s: accepted: %+v", name, rep)
		}
	}
}

func TestObserverReadsProcAndMetrics(t *testing.T) {
	t.Parallel()
	const diskLine = " 254       0 vda 35251 7398 2256770 6251 6313 19545 1040688 2704 0 4004 9205 3231 74 141664 238 %d 10\n"
	stat := func(ticks int) []byte {
		return fmt.Appendf(nil, "7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 %d 5 0 0 20 0 9 0 1 2 3\n", ticks)
	}
	metrics := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "# HELP x y\nflushes_total{disk=\"a b}\"} 3\nflushes_total{disk=\"2\"} 4.5 1700000000\nflushes_total_x 9\nother 1e3\n")
	}))
	proc := fstest.MapFS{
		"proc/7/stat":    {Data: stat(100)},
		"proc/7/status":  {Data: []byte("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")},
		"proc/8/stat":    {Data: stat(10)},
		"proc/8/status":  {Data: []byte("VmHWM:\t    9 kB\nVmRSS:\t    8 kB\n")},
		"proc/diskstats": {Data: fmt.Appendf(nil, diskLine, 100)},
	}
	o := &Observer{
		Root: proc, PIDs: []int{7}, Beside: []int{8}, Device: "vda", MetricsURL: metrics,
		Counters: []string{"flushes_total", `flushes_total{disk="2"}`, "other", "absent"},
	}
	w, err := o.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]float64{"flushes_total": 7.5, `flushes_total{disk="2"}`: 4.5, "other": 1000, "absent": 0}, w.first.counters); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	w.cancel()
	w.group.Wait()
	proc["proc/7/stat"] = &fstest.MapFile{Data: stat(350)}
	proc["proc/8/stat"] = &fstest.MapFile{Data: stat(60)}
	proc["proc/diskstats"] = &fstest.MapFile{Data: fmt.Appendf(nil, diskLine, 130)}
	seen, err := w.end(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rep := &Report{Total: Stats{Ops: 10, Requests: 1000, Bytes: 1 << 29}, Seconds: 5}
	rep.addObservation(seen)
	wantServer := &ServerStats{
		CPUSeconds: 2.5, CPUPer1000Req: 2.5, CPUMicrosPerReq: 2500, CPUSecondsPerGiB: 5, CoresUsed: 0.5,
		RSSBytes: 1 << 20, RSSPeakBytes: 1 << 20, HighWaterBytes: 2 << 20, RequestsPerCPUSec: 400,
	}
	if diff := cmp.Diff(wantServer, rep.Server); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&BesideStats{CPUSeconds: 0.5, CPUMicrosPerReq: 500, CoresUsed: 0.1, RSSBytes: 8 << 10}, rep.Beside); diff != "" {
		t.Errorf("beside (-want +got):\n%s", diff)
	}
	if rep.Disk.Flushes != 30 || rep.Disk.FlushesPerOp != 3 || rep.Disk.Device != "vda" {
		t.Errorf("disk %+v", rep.Disk)
	}
	for _, broken := range []*Observer{
		{Root: proc, PIDs: []int{9}},
		{Root: proc, Beside: []int{9}},
		{Root: proc, Device: "sda"},
		{Root: proc, MetricsURL: metrics + "\x00", Counters: []string{"x"}},
	} {
		if _, err := broken.begin(t.Context()); err == nil {
			t.Errorf("%+v observed something", broken)
		}
	}
}

func TestReportRoundTripsAndPrints(t *testing.T) {
	t.Parallel()
	url := start(t, nullserver.New(nullserver.Discard))
	rep, err := Run(t.Context(), Config{Endpoint: url, Op: OpPut, Size: 4096, Count: 5, Name: "PUT 4 KiB"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for range 2 {
		if err := enc.Encode(rep); err != nil {
			t.Fatal(err)
		}
	}
	var fields map[string]any
	if err := json.Unmarshal(bytes.SplitN(buf.Bytes(), []byte("\n"), 2)[0], &fields); err != nil {
		t.Fatal(err)
	}
	total, ok := fields["total"].(map[string]any)
	for _, name := range []string{"ops_per_s", "mib_per_s", "p50_ms", "p90_ms", "p99_ms", "max_ms"} {
		if _, there := total[name]; !ok || !there {
			t.Errorf("total has no %s", name)
		}
	}
	back, err := ReadReports(&buf)
	if err != nil || len(back) != 2 {
		t.Fatalf("read %d reports: %v", len(back), err)
	}
	if diff := cmp.Diff(rep.Total.Ops, back[1].Total.Ops); diff != "" {
		t.Error(diff)
	}
	var out strings.Builder
	if err := WriteTable(&out, back); err != nil || strings.Count(out.String(), "| PUT 4 KiB |") != 2 {
		t.Errorf("table (%v):\n%s", err, out.String())
	}
	if _, err := ReadReports(strings.NewReader("{\"op\":1}")); err == nil {
		t.Error("a broken report was read")
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "4096": 4096, "4KiB": 4096, "128MiB": 128 << 20, "1GiB": 1 << 30, "-1": -1, "4kb": -1, "": -1} {
		got, err := ParseSize(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("ParseSize(%q) = %d, %v", text, got, err)
		}
	}
	if got := FormatSize(10 << 20); got != "10MiB" {
		t.Errorf("FormatSize = %s", got)
	}
}
