package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// clockTicks is USER_HZ, which Linux fixes at 100 for everything in /proc.
const clockTicks = 100

// Observer watches the server from outside while a run is measured. A nil
// observer, and every part that is not set, observes nothing.
type Observer struct {
	Root       fs.FS // the root file system, for proc; os.DirFS("/")
	PIDs       []int // of the server's processes
	Beside     []int // of processes that work for it, as those of a database
	Device     string
	MetricsURL string   // Prometheus text format
	Counters   []string // names in it, as a or a{label="value"}; series of one name are summed
	HTTP       *http.Client
}

// sample is what is read at one moment.
type sample struct {
	at       time.Time
	cpu      time.Duration
	rss, hwm int64
	beside   besideSample
	disk     diskCounters
	counters map[string]float64
}

type besideSample struct {
	cpu time.Duration
	rss int64
}

type diskCounters struct{ writes, sectors, flushes uint64 }

// window is an observation under way.
type window struct {
	observer *Observer
	first    sample
	cancel   context.CancelFunc
	group    sync.WaitGroup
	peak     int64
}

// observation is a window that ended.
type observation struct {
	first, last sample
	peak        int64
	device      string
}

// begin takes the first sample and starts watching resident memory.
func (o *Observer) begin(ctx context.Context) (*window, error) {
	first, err := o.take(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &window{observer: o, first: first, cancel: cancel, peak: first.rss}
	if o != nil && len(o.PIDs) > 0 {
		w.group.Go(func() { w.watch(ctx) })
	}
	return w, nil
}

func (w *window) watch(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if rss, _, err := w.observer.memory(w.observer.PIDs); err == nil {
				w.peak = max(w.peak, rss)
			}
		}
	}
}

func (w *window) end(ctx context.Context) (observation, error) {
	w.cancel()
	w.group.Wait()
	last, err := w.observer.take(ctx)
	seen := observation{first: w.first, last: last, peak: max(w.peak, last.rss)}
	if w.observer != nil {
		seen.device = w.observer.Device
	}
	return seen, err
}

func (o *Observer) take(ctx context.Context) (sample, error) {
	s := sample{at: time.Now()}
	if o == nil {
		return s, nil
	}
	var err error
	if s.cpu, err = o.cpu(o.PIDs); err != nil {
		return s, err
	}
	if s.rss, s.hwm, err = o.memory(o.PIDs); err != nil {
		return s, err
	}
	if s.beside.cpu, err = o.cpu(o.Beside); err != nil {
		return s, err
	}
	if s.beside.rss, _, err = o.memory(o.Beside); err != nil {
		return s, err
	}
	if o.Device != "" {
		if s.disk, err = o.diskstats(); err != nil {
			return s, err
		}
	}
	if o.MetricsURL != "" {
		s.counters, err = o.scrape(ctx)
	}
	return s, err
}

// cpu sums user and system time of the processes, their waited-for children
// included.
func (o *Observer) cpu(pids []int) (time.Duration, error) {
	var ticks uint64
	for _, pid := range pids {
		stat, err := fs.ReadFile(o.Root, "proc/"+strconv.Itoa(pid)+"/stat")
		if err != nil {
			return 0, fmt.Errorf("read stat: %w", err)
		}
		// The command may hold spaces; fields are counted from its last bracket.
		text := string(stat)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 15 {
			return 0, fmt.Errorf("stat of %d: %d fields", pid, len(fields))
		}
		for _, f := range fields[11:15] {
			n, err := strconv.ParseUint(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("stat of %d: %w", pid, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / clockTicks), nil
}

func (o *Observer) memory(pids []int) (rss, hwm int64, err error) {
	for _, pid := range pids {
		status, err := fs.ReadFile(o.Root, "proc/"+strconv.Itoa(pid)+"/status")
		if err != nil {
			return 0, 0, fmt.Errorf("read status: %w", err)
		}
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(line, ":")
			if name != "VmRSS" && name != "VmHWM" {
				continue
			}
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("status of %d: %w", pid, err)
			}
			if name == "VmRSS" {
				rss += kib << 10
			} else {
				hwm += kib << 10
			}
		}
	}
	return rss, hwm, nil
}

// diskstats reads the counters of one block device: writes completed, sectors
// written and flush requests completed.
func (o *Observer) diskstats() (diskCounters, error) {
	text, err := fs.ReadFile(o.Root, "proc/diskstats")
	if err != nil {
		return diskCounters{}, fmt.Errorf("read diskstats: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 19 || f[2] != o.Device {
			continue
		}
		var d diskCounters
		var errs [3]error
		d.writes, errs[0] = strconv.ParseUint(f[7], 10, 64)
		d.sectors, errs[1] = strconv.ParseUint(f[9], 10, 64)
		d.flushes, errs[2] = strconv.ParseUint(f[18], 10, 64)
		return d, errors.Join(errs[:]...)
	}
	return diskCounters{}, fmt.Errorf("no device %q in diskstats", o.Device)
}

// scrape reads the named counters; one that is absent counts as zero, because
// many libraries publish a labelled series only when it was first used.
func (o *Observer) scrape(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.MetricsURL, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	client := o.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s", resp.Status)
	}
	return readCounters(resp.Body, o.Counters)
}

func readCounters(r io.Reader, wanted []string) (map[string]float64, error) {
	sums := make(map[string]float64, len(wanted))
	for _, counter := range wanted {
		sums[counter] = 0
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series := lines.Text()
		end := strings.IndexAny(series, "{ ")
		if end <= 0 {
			continue
		}
		name, rest, labels := series[:end], series[end:], ""
		if brace := strings.LastIndexByte(rest, '}'); brace >= 0 {
			labels, rest = rest[1:brace], rest[brace+1:]
		}
		asked := slices.DeleteFunc(slices.Clone(wanted), func(counter string) bool { return !selects(counter, name, labels) })
		if len(asked) == 0 {
			continue
		}
		value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
		for _, counter := range asked {
			sums[counter] += n
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return sums, nil
}

// selects reports whether a counter as it was asked for, a or a{label="value"}, is of a series.
func selects(counter, name, labels string) bool {
	of, label, _ := strings.Cut(counter, "{")
	return of == name && strings.Contains(labels, strings.TrimSuffix(label, "}"))
}
