package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/undercroft/undercroft/admin"
)

// rootArgs are those of a server whose root credentials tests know.
func rootArgs(args ...string) []string {
	return append([]string{"--root-access-key=ROOTKEY", "--root-secret-key=root-secret", "--partition-size=64MiB"}, args...)
}

// fill writes objects of some MiB.
func (i *instance) fill(t *testing.T, count int) {
	t.Helper()
	c := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(i.endpoint), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("ROOTKEY", "root-secret", ""),
	})
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	for n := range count {
		body := bytes.Repeat([]byte{byte(n)}, 4<<20)
		key := aws.String(string(rune('a' + n)))
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: key, Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
}

// fails runs an admin command that ends with 1, and returns what it printed.
func (i *instance) fails(t *testing.T, data string, args ...string) (stdout, stderr string) {
	t.Helper()
	args = append([]string{"admin"}, append(args, "--admin", i.admin, "--data", data)...)
	code, stdout, stderr := runOnce(t, nil, nil, args...)
	if code != exitFailure || stderr == "" {
		t.Fatalf("%v: %d %q %q, want a failure", args, code, stdout, stderr)
	}
	return stdout, stderr
}

func (i *instance) job(t *testing.T, data, name string) admin.Job {
	t.Helper()
	for _, j := range parse[admin.JobList](t, i.administer(t, data, "jobs", "--json")).Jobs {
		if j.Name == name {
			return j
		}
	}
	t.Fatalf("there is no job %s", name)
	return admin.Job{}
}

func TestJobsFromTheCommandLine(t *testing.T) {
	data := t.TempDir() + "/d{1...2}"
	i := start(t, assemble, rootArgs("--data="+data)...)
	text := i.administer(t, data, "jobs")
	for _, want := range []string{"JOB ", "collect ", "seal ", "reclaim ", "repair ", "resting"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := i.administer(t, data, "pause", "repair"); text != "job repair is paused until it is resumed\n" {
		t.Errorf("pause printed %q", text)
	}
	if text := i.administer(t, data, "jobs"); !strings.Contains(text, "paused") {
		t.Errorf("jobs:\n%s", text)
	}
	if _, stderr := i.fails(t, data, "repair", "--watch", "--now"); !strings.Contains(stderr, "it is paused; `undercroft admin resume repair` lets it go on") {
		t.Errorf("a watch of a paused job: %s", stderr)
	}
	i.refused(t, "there is no such job: \"dance\"; the jobs are collect, ", nil, "pause", "dance", "--data", data)
	i.refused(t, "it needs JOB", nil, "pause", "--data", data)
	i.refused(t, "this needs the root credentials", nil, "jobs")
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}

	i = start(t, assemble, rootArgs("--data="+data)...)
	for i.job(t, data, "repair").State == "stopped" { // its row is read in the background
	}
	if j := i.job(t, data, "repair"); j.State != "paused" || !j.Paused || j.Asked != 1 || j.Granted != 0 {
		t.Errorf("after a restart: %+v", j)
	}
	i.administer(t, data, "pause", "all")
	i.administer(t, data, "resume", "repair")
	if j := i.job(t, data, "collect"); j.State != "paused" || j.Paused || !j.AllPaused {
		t.Errorf("with all jobs paused: %+v", j)
	}
	_, text, _ = runOnce(t, nil, nil, "admin", "status", "--admin", i.admin)
	if !strings.Contains(text, "job         collect paused, ") || !strings.Contains(text, "all jobs are paused\n") {
		t.Errorf("status:\n%s", text)
	}
	_, text, _ = runOnce(t, nil, nil, "admin", "status", "--json", "--admin", i.admin)
	if st := parse[systemStatus](t, text); !st.Healthy || len(st.Jobs) < 5 || st.Jobs[0].State != "paused" {
		t.Errorf("status:\n%s", text)
	}
	i.administer(t, data, "resume", "all")
	if text := i.administer(t, data, "repair", "--watch", "--now"); !strings.Contains(text, "repair: resting\n") {
		t.Errorf("a watch of what is whole printed %q", text)
	}
	if j := i.job(t, data, "repair"); j.State != "resting" || j.Asked != 2 || j.Granted != 2 {
		t.Errorf("resumed: %+v", j)
	}
	_, body := get(t, i.admin+"/-/metrics")
	for _, want := range []string{`undercroft_job_state{job="repair",state="resting"} 1`, `undercroft_job_steps_total{job="repair"}`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	code, text, _ := runOnce(t, nil, nil, "admin", "status", "--admin", i.admin)
	for _, want := range []string{"healthy     yes\n", "scheme      1+1 for all disks\n", "metadata    2 of 2 mirrors: ", "/d1 active, "} {
		if code != exitOK || !strings.Contains(text, want) {
			t.Errorf("status %d: no %q in\n%s", code, want, text)
		}
	}
	i.stop()
}

// lose takes a directory away from a stopped server.
func lose(t *testing.T, dir string) {
	t.Helper()
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
}

// TestRepairIsWatchedToItsEnd loses a disk of more than there need to be.
func TestRepairIsWatchedToItsEnd(t *testing.T) {
	root := t.TempDir()
	data := root + "/d{1...4}"
	args := rootArgs("--data="+data, "--scheme=2+1")
	i := start(t, assemble, args...)
	i.fill(t, 6)
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	lose(t, busiest(t, root))
	i = start(t, assemble, args...)
	text := i.administer(t, data, "repair")
	if !strings.Contains(text, "short of 1 of their shards") {
		t.Errorf("with a lost disk:\n%s", text)
	}
	text = i.administer(t, data, "repair", "--now", "--watch")
	j := parse[admin.Job](t, i.administer(t, data, "repair", "--json"))
	if j.Partitions == nil || j.Partitions.Impaired() != 0 || j.Done == 0 || j.Granted != 1 {
		t.Errorf("after the watch: %+v %+v; it printed\n%s", j, j.Partitions, text)
	}
	if strings.Contains(text, "\r") {
		t.Errorf("lines were rewritten for no terminal: %q", text)
	}
	i.stop()
}

// TestRepairSaysWhatItCannotDo loses a disk that nothing can take the place of.
func TestRepairSaysWhatItCannotDo(t *testing.T) {
	root := t.TempDir()
	data := root + "/d{1...3}"
	args := rootArgs("--data="+data, "--scheme=2+1")
	i := start(t, assemble, args...)
	i.fill(t, 6)
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	lose(t, busiest(t, root))
	i = start(t, assemble, args...)
	i.interruptedWatch(t, data, "repair", "--watch")
	stdout, stderr := i.fails(t, data, "repair", "--now", "--watch")
	if !strings.Contains(stderr, "not every partition is whole, and nothing can be done now") || !strings.Contains(stdout, "left") || !strings.Contains(stdout, " shard ") {
		t.Errorf("it printed\n%s%s", stdout, stderr)
	}
	code, text, _ := runOnce(t, nil, nil, "admin", "status", "--admin", i.admin)
	for _, want := range []string{"healthy     no\n", "disks that are not in service: 1\n", "partitions that would lose data with the next disk: ", "missing     " + root, "partitions short of 1 of their shards: ", "shards that no other disk can take: "} {
		if code != exitOK || !strings.Contains(text, want) {
			t.Errorf("status %d: no %q in\n%s", code, want, text)
		}
	}
	i.stop()
}

// TestScrubIsWatchedToItsEnd asks for a round over all data.
func TestScrubIsWatchedToItsEnd(t *testing.T) {
	data := t.TempDir() + "/d{1...2}"
	i := start(t, assemble, rootArgs("--data="+data)...)
	i.fill(t, 4)
	text := i.administer(t, data, "scrub", "--now", "--watch", "--json")
	for document := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if j := parse[admin.Job](t, document); j.Name != "scrub" {
			t.Errorf("a line of the watch is %s", document)
		}
	}
	if j := i.job(t, data, "scrub"); j.Granted != 1 || j.State != "resting" || j.Work == nil || j.Work.Total != 0 {
		t.Errorf("after the watch: %+v", j)
	}
	if text := i.administer(t, data, "scrub"); !strings.Contains(text, "the next round begins at ") {
		t.Errorf("scrub printed\n%s", text)
	}
	i.stop()
}

// TestCompactIsWatchedToItsEnd asks for a look at what is worth compacting.
func TestCompactIsWatchedToItsEnd(t *testing.T) {
	data := t.TempDir() + "/d{1...2}"
	i := start(t, assemble, rootArgs("--data="+data)...)
	i.fill(t, 4)
	if text := i.administer(t, data, "compact", "--now", "--watch"); !strings.Contains(text, "compact: resting") {
		t.Errorf("the watch printed\n%s", text)
	}
	if j := i.job(t, data, "compact"); j.Granted != 1 || j.State != "resting" {
		t.Errorf("after the watch: %+v", j)
	}
	if text := i.administer(t, data, "compact"); !strings.HasPrefix(text, "state ") || !strings.Contains(text, " resting\n") {
		t.Errorf("compact printed\n%s", text)
	}
	i.stop()
}

// busiest is the directory with the most files of shards.
func busiest(t *testing.T, root string) (dir string) {
	t.Helper()
	most := 0
	for _, d := range []string{"d2", "d3"} {
		files, err := filepath.Glob(filepath.Join(root, d, "shards", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) > most {
			dir, most = filepath.Join(root, d), len(files)
		}
	}
	return dir
}

// interruptedWatch runs a command on a terminal and ends it, as ctrl-C does, when
// it has printed something.
func (i *instance) interruptedWatch(t *testing.T, data string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	exited := make(chan int, 1)
	var problems lines
	go func() {
		args := append([]string{"admin"}, append(args, "--admin", i.admin, "--data", data)...)
		exited <- run(ctx, process{args: args, stdout: writer, terminal: true, stderr: &problems, now: time.Now})
		if err := writer.Close(); err != nil {
			t.Error(err)
		}
	}()
	buf := make([]byte, 1000)
	n, err := reader.Read(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "\rrepair: ") {
		t.Errorf("a watch begins with %q, %v", buf[:n], err)
	}
	cancel()
	rest, err := io.ReadAll(reader)
	if err != nil || !strings.HasSuffix(string(rest), "\n") {
		t.Errorf("a watch ends with %q, %v", rest, err)
	}
	if code := <-exited; code != exitFailure || problems.String() != "undercroft: no longer watched; the job goes on\n" {
		t.Errorf("an interrupted watch ends with %d, %q", code, problems.String())
	}
}

func TestWhenAWatchEnds(t *testing.T) {
	whole := &admin.PartitionHealth{Short: []int64{3, 0}, Looked: time.Unix(1, 0)}
	short := func(look int64, change func(*admin.PartitionHealth)) *admin.PartitionHealth {
		h := &admin.PartitionHealth{Short: []int64{3, 1}, Looked: time.Unix(look, 0)}
		if change != nil {
			change(h)
		}
		return h
	}
	job := func(state string, granted uint64, h *admin.PartitionHealth) admin.Job {
		return admin.Job{State: state, Granted: granted, Partitions: h}
	}
	queued := func(h *admin.PartitionHealth) { h.Queued = 1 }
	unsealed := func(h *admin.PartitionHealth) { h.Unsealed = 1 }
	for name, tt := range map[string]struct {
		wish  uint64
		seen  []admin.Job // the last one ends it, or not
		ended bool
		err   error
	}{
		"whole":                    {0, []admin.Job{job("resting", 0, whole)}, true, nil},
		"whole, and not yet asked": {2, []admin.Job{job("resting", 1, whole)}, false, nil},
		"paused":                   {0, []admin.Job{job("paused", 0, short(1, nil))}, true, errStopped},
		"pausing":                  {0, []admin.Job{job("pausing", 0, short(1, nil))}, false, nil},
		"elsewhere":                {0, []admin.Job{job("elsewhere", 0, nil)}, true, errStopped},
		"stopped":                  {0, []admin.Job{job("stopped", 0, nil)}, true, errStopped},
		"failed":                   {0, []admin.Job{job("failed", 0, nil)}, false, nil},
		"one look":                 {0, []admin.Job{job("resting", 0, short(1, nil)), job("resting", 0, short(1, nil)), job("resting", 0, short(1, nil))}, false, nil},
		"three looks":              {0, []admin.Job{job("resting", 0, short(1, nil)), job("resting", 0, short(2, nil)), job("resting", 0, short(3, nil))}, true, errNotWhole},
		"granted":                  {1, []admin.Job{job("resting", 1, short(1, nil))}, true, errNotWhole},
		"granted, and something":   {1, []admin.Job{job("resting", 1, short(1, queued))}, false, nil},
		"granted, and unsealed":    {1, []admin.Job{job("resting", 1, short(1, unsealed))}, false, nil},
		"running":                  {1, []admin.Job{job("running", 1, short(1, nil))}, false, nil},
		"another job with work":    {0, []admin.Job{{State: "resting", Work: &admin.JobWork{Done: 1, Total: 2}}}, false, nil},
		"another job at its end":   {0, []admin.Job{{State: "resting", Work: &admin.JobWork{Done: 2, Total: 2}}}, true, nil},
		"another job without work": {0, []admin.Job{{State: "resting"}}, true, nil},
	} {
		w := &watch{wish: tt.wish}
		var ended bool
		var err error
		for i := range tt.seen {
			ended, err = w.ended(&tt.seen[i])
		}
		if !ended {
			err = nil
		}
		if ended != tt.ended || !errors.Is(err, tt.err) {
			t.Errorf("%s: ended %v with %v, want %v with %v", name, ended, err, tt.ended, tt.err)
		}
	}
}

func TestProgressForPeople(t *testing.T) {
	for want, j := range map[string]admin.Job{
		"": {State: "resting"},
		"3 of 40 shards (7%), 6.0 shards a minute, about 6m10s left": {Work: &admin.JobWork{Unit: "shards", Done: 3, Total: 40, Rate: 0.1, Left: 370}},
		"1.0 MiB of 2.0 GiB (0%), 512.0 KiB/s, about 1h08m left":     {Work: &admin.JobWork{Unit: "bytes", Done: 1 << 20, Total: 2 << 30, Rate: 512 << 10, Left: 4094}},
		"9 shards wait, error: no luck":                              {Error: "no luck", Work: &admin.JobWork{Unit: "shards", Note: "9 shards wait"}},
		"all jobs are paused":                                        {AllPaused: true},
		"99 of 100 partitions (99%)":                                 {Work: &admin.JobWork{Unit: "partitions", Done: 99, Total: 100}},
	} {
		if got := progress(&j); got != want {
			t.Errorf("%+v reads %q, want %q", j, got, want)
		}
	}
	for want, d := range map[string]time.Duration{"0s": -1, "59s": 59 * time.Second, "1m00s": time.Minute, "2d1h": 49 * time.Hour, "47h59m": 48*time.Hour - time.Second} {
		if got := short(d); got != want {
			t.Errorf("%s reads %q, want %q", d, got, want)
		}
	}
}

func TestScreen(t *testing.T) {
	for rewrites, want := range map[bool]string{true: "\rone two\rthree  \r\u00b5s   \n", false: "one two\nthree\n\u00b5s\n"} {
		var out strings.Builder
		s := screen{to: &out, rewrites: rewrites}
		for _, text := range []string{"one two", "one two", "three", "\u00b5s"} {
			if err := s.show(text); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.end(), s.end()); err != nil || out.String() != want {
			t.Errorf("rewrites %v: %q, %v, want %q", rewrites, out.String(), err, want)
		}
	}
}
