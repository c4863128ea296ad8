package testcluster_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// yard is a store whose disks come and go, and what there is of them.
type yard struct {
	*testcluster.Cluster
	t    *testing.T
	rng  *rand.Rand
	dirs []string // mounted, or to be
	away string   // the one that is not mounted, if any
	next int
	rest sync.RWMutex // held for reading by clients, for writing by a restart
	did  map[string]int
}

func newYard(t *testing.T, seed uint64) *yard {
	t.Helper()
	y := &yard{t: t, rng: rand.New(rand.NewPCG(seed, 3)), dirs: []string{"/d1", "/d2", "/d3", "/d4", "/d5"}, did: map[string]int{}}
	y.Cluster = testcluster.New(t, testcluster.Options{Dirs: y.dirs})
	makeBucket(t, y.Cluster)
	return y
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// may takes a refusal for an answer.
func (y *yard) may(what string, err error) bool {
	y.t.Helper()
	if errors.Is(err, single.ErrRefused) {
		y.did[what+" refused"]++
		return false
	}
	if err != nil {
		y.t.Fatalf("%s: %v", what, err)
	}
	y.did[what]++
	return true
}

func (y *yard) look() {
	y.Advance(3 * time.Hour) // what failed again and again may come back
	y.LookAtDisks(y.t.Context())
	y.must(y.AwaitMirrors(y.t.Context()))
}

func (y *yard) list() []single.DiskStatus {
	y.t.Helper()
	list, err := y.Disks(y.t.Context())
	y.must(err)
	return list
}

// some is one of the directories that are mounted.
func (y *yard) some() string {
	for {
		if dir := y.dirs[y.rng.IntN(len(y.dirs))]; dir != y.away {
			return dir
		}
	}
}

// step does one thing to the disks.
func (y *yard) step() {
	switch ctx := y.t.Context(); y.rng.IntN(12) {
	case 0, 1:
		y.add()
	case 2, 3:
		y.unmount()
	case 4:
		y.mount()
	case 5, 6:
		_, err := y.DrainDisk(ctx, y.some())
		y.may("drain", err)
	case 7:
		_, err := y.CancelDrain(ctx, y.some())
		y.may("cancel", err)
	case 8:
		y.restart()
	case 9:
		y.giveUp()
	default:
		y.work()
		y.must(y.AwaitMirrors(ctx))
		y.removeDrained()
	}
}

func (y *yard) add() {
	if len(y.dirs) < 9 {
		y.grow()
	}
}

func (y *yard) grow() {
	y.next++
	dir := fmt.Sprint("/n", y.next)
	y.must(y.FS.MkdirAll(dir, 0o750))
	_, err := y.AddDisk(y.t.Context(), dir)
	if y.may("add", err) {
		y.dirs = append(slices.Clone(y.dirs), dir)
		y.must(y.AwaitMirrors(y.t.Context()))
	}
}

// unmount takes one directory away: more at a time, and reads could fail.
func (y *yard) unmount() {
	if y.away != "" || len(y.dirs) < 5 {
		return
	}
	y.away = y.some()
	y.must(y.FS.Rename(y.away, y.away+".away"))
	if y.rng.IntN(2) == 0 {
		y.must(y.FS.MkdirAll(y.away, 0o750)) // the mount point
	}
	y.did["unmount"]++
	if y.rng.IntN(3) > 0 {
		y.look()
	}
}

func (y *yard) mount() {
	if y.away == "" {
		return
	}
	y.must(y.FS.RemoveAll(y.away))
	y.must(y.FS.Rename(y.away+".away", y.away))
	y.away = ""
	y.did["mount"]++
	y.look()
}

func (y *yard) restart() {
	y.rest.Lock()
	defer y.rest.Unlock()
	y.SetDirs(y.dirs...)
	y.Restart()
	y.did["restart"]++
}

// giveUp removes the directory that is not mounted for good.
func (y *yard) giveUp() {
	if y.away == "" {
		return
	}
	y.look()
	for _, d := range y.list() {
		if d.Path != y.away {
			continue
		}
		_, err := y.RemoveLostDisk(y.t.Context(), d.ID)
		if !y.may("remove lost", err) {
			return
		}
	}
	y.must(y.FS.RemoveAll(y.away))
	y.must(y.FS.RemoveAll(y.away + ".away"))
	y.without(y.away)
	y.away = ""
}

func (y *yard) without(dir string) {
	y.dirs = slices.DeleteFunc(slices.Clone(y.dirs), func(d string) bool { return d == dir })
}

func (y *yard) removeDrained() {
	for _, d := range y.list() {
		if !d.Drained || d.Path == y.away {
			continue
		}
		_, err := y.RemoveDisk(y.t.Context(), d.Path)
		if y.may("remove", err) {
			y.must(y.FS.RemoveAll(d.Path))
			y.without(d.Path)
		}
	}
}

// work lets the steward work. A job may meet the disk that is away.
func (y *yard) work() {
	y.t.Helper()
	if _, err := y.Steward.Drain(y.t.Context()); err != nil && y.away == "" {
		y.t.Errorf("steward: %v", err)
	}
}

// settle brings everything back and lets the steward finish.
func (y *yard) settle() {
	y.t.Helper()
	y.mount()
	y.look()
	for _, d := range y.list() {
		if d.State == "draining" {
			_, err := y.CancelDrain(y.t.Context(), d.ID)
			y.may("cancel", err)
		}
	}
	for range 4 {
		y.Advance(2 * time.Hour)
		y.work()
	}
	for range 3 {
		if h := y.Steward.Health(); h == nil || h.NoTarget == 0 {
			break
		}
		y.grow() // what was lost of wide partitions has nowhere to go
		y.Advance(2 * time.Hour)
		y.work()
	}
	y.restart() // a mirror that was met while it was not mounted waits a minute otherwise
	y.work()
	y.look()
}

// client changes keys that only it writes.
type client struct {
	y    *yard
	n    uint64
	rng  *rand.Rand
	keys map[s3.Key][]string // tags of what a key may hold; "" is nothing
}

func (c *client) step() {
	c.y.rest.RLock()
	defer c.y.rest.RUnlock()
	key := s3.Key(fmt.Sprintf("c%d/%d", c.n, c.rng.IntN(8)))
	switch c.rng.IntN(6) {
	case 0:
		_, err := c.y.Objects.DeleteObject(c.y.t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: key})
		c.did(key, "", err)
	case 1, 2:
		c.read(key)
	default:
		data := content(c.rng.Uint64(), []int{100, 9000, 200_000, 1 << 20}[c.rng.IntN(4)])
		_, err := c.y.Objects.PutObject(c.y.t.Context(), objects.PutObjectInput{Bucket: bucket, Key: key, Body: bodyOf(data)})
		c.did(key, tagOf(data), err)
	}
}

func (c *client) did(key s3.Key, tag string, err error) {
	switch code := s3.CodeOf(err); {
	case err == nil:
		c.keys[key] = []string{tag}
	case code == s3.SlowDown, code == s3.ServiceUnavailable:
		c.keys[key] = append(c.may(key), tag)
	default:
		c.y.t.Errorf("write of %s: %v", key, err)
	}
}

func (c *client) may(key s3.Key) []string {
	if tags := c.keys[key]; len(tags) > 0 {
		return tags
	}
	return []string{""}
}

func (c *client) read(key s3.Key) {
	tag := ""
	out, err := c.y.Objects.GetObject(c.y.t.Context(), objects.GetObjectInput{Bucket: bucket, Key: key})
	if err == nil {
		var data bytes.Buffer
		_, err = out.Body.WriteTo(&data)
		err = errors.Join(err, out.Body.Close())
		tag = tagOf(data.Bytes())
	} else if s3.CodeOf(err) == s3.NoSuchKey {
		err = nil
	} else if s3.CodeOf(err) == s3.SlowDown {
		return // the clock was moved on under it
	}
	if err != nil || !slices.Contains(c.may(key), tag) {
		c.y.t.Errorf("%s reads back as %q (%v), want one of %q", key, tag, err, c.may(key))
	}
}

// TestDisksComeAndGo does at random what can be done to disks, beside clients. In the end
// everything is there, and whole.
func TestDisksComeAndGo(t *testing.T) {
	seeds, steps := uint64(4), 60
	switch {
	case long():
		seeds, steps = 40, 150
	case testing.Short(), raceEnabled:
		seeds, steps = 1, 40
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { disksComeAndGo(t, seed, steps) })
	}
}

func disksComeAndGo(t *testing.T, seed uint64, steps int) {
	t.Helper()
	y := newYard(t, seed)
	var clients []*client
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for n := range uint64(2) {
		c := &client{y: y, n: n, rng: rand.New(rand.NewPCG(seed, n)), keys: map[s3.Key][]string{}}
		clients = append(clients, c)
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if i < 40*steps {
					c.step()
				}
			}
		})
	}
	for range steps {
		y.step()
		if t.Failed() {
			break
		}
	}
	close(stop)
	wg.Wait()
	y.settle()
	for _, c := range clients {
		for key := range c.keys {
			c.read(key)
		}
	}
	if st, err := y.Status(t.Context()); err != nil || !st.Healthy {
		t.Errorf("in the end: %+v, %v", st, err)
	}
	y.MustCheck()
	t.Logf("%v", y.did)
	if y.did["add"]+y.did["unmount"]+y.did["drain"]+y.did["restart"] < 4 {
		t.Errorf("too little was done: %v", y.did)
	}
}
