package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// The histories here are of few keys and hold every kind of write; a checker
// then looks for one order of the operations that explains all answers.

const linearKeys = 3

// contents is the state: what each key holds, 0 for nothing.
type contents [linearKeys]int

type action int

const (
	put       action = iota
	putAbsent        // If-None-Match: *
	putMatch         // If-Match of the content expected
	putParts         // a multipart upload
	remove
	removeMatch
	copyKey
	read
	list
	actions = iota
)

// call is one operation, reply its answer.
type call struct {
	action        action
	key, from     int
	value, expect int
}

type reply struct {
	absent, failed, unknown bool
	value                   int
	all                     contents
}

// step says what may follow a state; nothing when the answer cannot be.
func step(state contents, c call, r reply) []contents {
	after := state
	applies := true
	switch c.action {
	case put, putParts:
		after[c.key] = c.value
	case putAbsent:
		applies = state[c.key] == 0
		after[c.key] = c.value
	case putMatch:
		applies = state[c.key] == c.expect
		after[c.key] = c.value
	case remove:
		after[c.key] = 0
	case removeMatch:
		applies = state[c.key] == c.expect
		after[c.key] = 0
	case copyKey:
		applies = state[c.from] != 0
		after[c.key] = state[c.from]
	case read:
		return seen(state, r.value == state[c.key])
	case list:
		return seen(state, r.all == state)
	}
	switch {
	case r.unknown && applies:
		return []contents{state, after}
	case r.unknown || (r.failed || r.absent) && !applies:
		return []contents{state}
	case r.failed || r.absent || !applies:
		return nil
	case c.action == copyKey && after[c.key] != r.value:
		return nil
	}
	return []contents{after}
}

func seen(state contents, as bool) []contents { //nolint:revive // it filters, it does not choose
	if !as {
		return nil
	}
	return []contents{state}
}

// history is what several clients of one gateway did.
type history struct {
	svc *objects.Service
	*record
}

func newHistory(svc *objects.Service) *history { return &history{svc, &record{}} }

// of is the same history as another gateway's clients add to it.
func (h *history) of(svc *objects.Service) *history { return &history{svc, h.record} }

// record is what the clients of all gateways did.
type record struct {
	clock atomic.Int64
	next  atomic.Int64
	tags  sync.Map // s3.ETag to the value that has it

	mu  sync.Mutex // guards ops
	ops []porcupine.Operation
}

func linearKey(i int) s3.Key { return s3.Key(fmt.Sprintf("key/%d", i)) }

// valueOf is the content of a value: inline, batched or in a stripe of its own.
func valueOf(v int) []byte { return bytesOf(uint64(v), []int{20, 9000, 300 * kib}[v%3]) }

func (h *history) valueTagged(tag s3.ETag) int {
	if v, ok := h.tags.Load(tag); ok {
		if n, ok := v.(int); ok {
			return n
		}
	}
	return -1
}

// do runs one operation and records it. Errors that are no answer are
// returned.
func (h *history) do(ctx context.Context, client int, c call) error {
	started := h.clock.Add(1)
	ctx = h.svc.BeginRequest(ctx)
	if c.action != read { // where nothing is kept for readers, its bytes could be freed meanwhile
		_, _ = h.svc.BucketState(ctx, bucket) // as the gateway does: what follows may read its version
	}
	r, err := h.run(ctx, c)
	ended := h.clock.Add(1)
	if c.action == read && errors.Is(err, partition.ErrGone) {
		return nil // nothing is kept for readers here: its bytes were freed meanwhile; wholeAfter looks at those that stay
	}
	if code := s3.CodeOf(err); code == s3.SlowDown || code == s3.ServiceUnavailable {
		if c.action == read || c.action == list {
			return nil // says nothing
		}
		r, err, ended = reply{unknown: true}, nil, math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: c, Output: r, Call: started, Return: ended})
	return err
}

func (h *history) run(ctx context.Context, c call) (r reply, err error) {
	switch c.action {
	case put, putAbsent, putMatch:
		err = h.put(ctx, c)
	case putParts:
		err = h.putParts(ctx, c)
	case remove, removeMatch:
		_, err = h.svc.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: linearKey(c.key), Precondition: h.precondition(c)})
	case copyKey:
		var out objects.CopyObjectOutput
		out, err = h.svc.CopyObject(ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: linearKey(c.from)}, Bucket: bucket, Key: linearKey(c.key),
		})
		r.value = h.valueTagged(out.Object.ETag)
	case read:
		r.value, err = h.read(ctx, c)
	case list:
		r.all, err = h.list(ctx)
	}
	switch s3.CodeOf(err) {
	case s3.PreconditionFailed:
		return reply{failed: true}, nil
	case s3.NoSuchKey:
		return reply{absent: true}, nil
	}
	return r, err
}

func (h *history) precondition(c call) objects.WritePrecondition {
	plain, parts := etagOf(valueOf(c.expect)), multipartTag(valueOf(c.expect))
	return func(current *objects.Object) error {
		matches := true
		switch c.action {
		case putAbsent:
			matches = current == nil
		case putMatch, removeMatch:
			matches = current != nil && (current.ETag == plain || current.ETag == parts)
		}
		if !matches {
			return s3.NewError(s3.PreconditionFailed)
		}
		return nil
	}
}

func (h *history) put(ctx context.Context, c call) error {
	data := valueOf(c.value)
	h.tags.Store(etagOf(data), c.value)
	_, err := h.svc.PutObject(ctx, objects.PutObjectInput{
		Bucket: bucket, Key: linearKey(c.key), Body: bodyOf(data), Precondition: h.precondition(c),
	})
	return err
}

func (h *history) putParts(ctx context.Context, c call) error {
	data := valueOf(c.value)
	h.tags.Store(multipartTag(data), c.value)
	u, err := h.svc.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: linearKey(c.key)})
	if err != nil {
		return err
	}
	p, err := h.svc.UploadPart(ctx, objects.UploadPartInput{Bucket: bucket, Key: u.Key, Upload: u.ID, Number: 1, Body: bodyOf(data)})
	if err != nil {
		return err
	}
	_, err = h.svc.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
		Bucket: bucket, Key: u.Key, Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}}, Size: -1,
	})
	return err
}

func (h *history) read(ctx context.Context, c call) (int, error) {
	out, err := h.svc.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: linearKey(c.key)})
	if err != nil {
		return 0, err
	}
	data, err := drain(out)
	if err != nil {
		return 0, err
	}
	v := h.valueTagged(out.Object.ETag)
	if v < 0 || !bytes.Equal(data, valueOf(v)) {
		return 0, fmt.Errorf("%s has the entity tag of value %d and other bytes", linearKey(c.key), v)
	}
	return v, nil
}

// wholeAfter reads what is left when nobody writes any more.
func (h *history) wholeAfter(t *testing.T) {
	t.Helper()
	for i := range linearKeys {
		if _, err := h.read(mem.Quiet(t.Context()), call{action: read, key: i}); err != nil && s3.CodeOf(err) != s3.NoSuchKey {
			t.Errorf("in the end: %s: %v", linearKey(i), err)
		}
	}
}

func (h *history) list(ctx context.Context) (all contents, err error) {
	out, err := h.svc.ListObjects(ctx, objects.ListObjectsInput{Bucket: bucket, Max: 100})
	for _, o := range out.Objects {
		for i := range linearKeys {
			if s3.Key(o.Key) == linearKey(i) {
				all[i] = h.valueTagged(o.ETag)
			}
		}
	}
	return all, err
}

// client does n random operations.
func (h *history) client(ctx context.Context, id, n int, rng *rand.Rand) error {
	last := 1
	for range n {
		c := call{action: action(rng.IntN(actions)), key: rng.IntN(linearKeys), from: rng.IntN(linearKeys), expect: last}
		switch c.action {
		case put, putAbsent, putMatch, putParts:
			c.value = int(h.next.Add(1))
		}
		if c.action == putMatch || c.action == removeMatch {
			// A content that may be there still: of the latest.
			c.expect = max(1, int(h.next.Load())-rng.IntN(4))
		}
		if err := h.do(ctx, id, c); err != nil {
			return fmt.Errorf("%+v: %w", c, err)
		}
	}
	return nil
}

// decideWithin bounds the search for an order. Operations of unknown outcome
// may have to be tried at every later place, so that a long history with many
// of them can take for ever.
const decideWithin = 30 * time.Second

// check fails the test when no order of the operations explains them. It
// returns false when the search was given up.
func (h *history) check(t *testing.T) (decided bool) {
	t.Helper()
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{contents{}} },
		Step: func(state, input, output any) []any {
			s, okS := state.(contents)
			c, okC := input.(call)
			r, okR := output.(reply)
			var out []any
			if okS && okC && okR {
				for _, next := range step(s, c, r) {
					out = append(out, next)
				}
			}
			return out
		},
	}
	got := porcupine.CheckOperationsTimeout(model.ToModel(), h.ops, decideWithin)
	if got == porcupine.Illegal {
		for _, op := range h.ops {
			t.Logf("%d: %d..%d %+v -> %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
		}
		t.Fatalf("the history of %d operations is %s", len(h.ops), got)
	}
	return got == porcupine.Ok
}

// linear runs clients at once and checks what they saw. It returns false when
// that could not be decided in time.
func linear(t *testing.T, svc *objects.Service, seed uint64, each int) (decided bool) {
	t.Helper()
	const clients = 6
	h := newHistory(svc)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { errs[i] = h.client(t.Context(), i, each, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	decided = h.check(t)
	h.wholeAfter(t)
	for i := range linearKeys {
		if _, err := svc.DeleteObject(mem.Quiet(t.Context()), objects.DeleteObjectInput{Bucket: bucket, Key: linearKey(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return decided
}

func TestLinearizable(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	for seed := range rounds(4, 60) {
		if !linear(t, e.Service, seed, 25) {
			t.Errorf("seed %d: not decided", seed)
		}
		e.Summary()
	}
}

// TestLinearizableWhileFreeing: what nothing refers to any more is freed
// meanwhile.
func TestLinearizableWhileFreeing(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				e.RunSteward()
			}
		}
	})
	defer wg.Wait()
	defer close(done)
	for seed := range rounds(3, 60) {
		if !linear(t, e.Service, 100+seed, 25) {
			t.Errorf("seed %d: not decided", seed)
		}
	}
}

// TestModelOfHistories: the checker finds what is wrong when something is.
func TestModelOfHistories(t *testing.T) {
	h := newHistory(nil)
	add := func(c call, r reply, from, to int64) {
		h.ops = append(h.ops, porcupine.Operation{Input: c, Output: r, Call: from, Return: to})
	}
	add(call{action: put, value: 1}, reply{}, 1, 2)
	add(call{action: put, value: 2}, reply{unknown: true}, 3, math.MaxInt64)
	add(call{action: read}, reply{value: 2}, 4, 5)
	if !h.check(t) {
		t.Error("not decided")
	}
	for _, c := range []struct {
		call  call
		reply reply
	}{
		{call{action: read}, reply{value: 1}}, // went back
		{call{action: read}, reply{absent: true}},
		{call{action: putAbsent, value: 3}, reply{}},
		{call{action: copyKey, from: 1}, reply{value: 2}},
		{call{action: list}, reply{all: contents{2, 2, 0}}},
	} {
		if next := step(contents{2, 0, 0}, c.call, c.reply); len(next) != 0 {
			t.Errorf("%+v -> %+v is allowed", c.call, c.reply)
		}
	}
}
