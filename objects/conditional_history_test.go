package objects_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// conditionalCall is one operation on the one key of a conditional history.
type conditionalCall struct {
	key    s3.Key
	read   bool
	expect int // the value that must be there, 0 for none
	value  int // written
}

// conditionalReply is its answer: the value read, or whether it was written.
type conditionalReply struct {
	value   int
	written bool
}

// conditionalKeys is how many keys the writers share: all at one key make a
// history that nobody can decide.
const conditionalKeys = 25

// conditionalModel is a register for each key that is written only where it holds what is
// expected; 0 is nothing.
func conditionalModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) (parts [][]porcupine.Operation) {
			byKey := make(map[s3.Key][]porcupine.Operation)
			for _, op := range ops {
				if c, ok := op.Input.(conditionalCall); ok {
					byKey[c.key] = append(byKey[c.key], op)
				}
			}
			return slices.Collect(maps.Values(byKey))
		},
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			now, okN := state.(int)
			c, okC := input.(conditionalCall)
			r, okR := output.(conditionalReply)
			switch {
			case !okN || !okC || !okR:
				return false, state
			case c.read:
				return r.value == now, now
			case r.written:
				return now == c.expect, c.value
			}
			return now != c.expect, now
		},
	}
}

// TestConditionalHistory: hundreds of writers create by If-None-Match and
// replace by If-Match what they read last; one order explains all answers.
func TestConditionalHistory(t *testing.T) {
	for _, status := range statuses() {
		t.Run("versioning "+string(status), func(t *testing.T) {
			e := open(t, func(o *single.Options) { o.Now = time.Now })
			e.keepIf(status)
			h := newHistory(e.Service)
			err := together(racers(), func(i int) error { return h.conditional(e.ctx, i) })
			e.must(err)
			if got := porcupine.CheckOperationsTimeout(conditionalModel(), h.ops, decideWithin); got != porcupine.Ok {
				t.Errorf("the history of %d operations is %s", len(h.ops), got)
			}
		})
	}
}

// conditional is what one writer does.
func (h *history) conditional(ctx context.Context, client int) error {
	rng := rand.New(rand.NewPCG(9, uint64(client)))
	key := s3.Key(fmt.Sprint("k", client%conditionalKeys))
	known := 0
	for range 2 + rng.IntN(3) {
		c := conditionalCall{key: key, expect: known, value: int(h.next.Add(1))}
		if rng.IntN(4) == 0 {
			c = conditionalCall{key: key, read: true}
		}
		r, err := h.timed(client, c, func() (conditionalReply, error) { return h.attempt(ctx, c) })
		if err != nil {
			return err
		}
		switch {
		case r.written:
			known = c.value
		case c.read:
			known = r.value
		default:
			read := conditionalCall{key: key, read: true}
			r, err := h.timed(client, read, func() (conditionalReply, error) { return h.attempt(ctx, read) })
			if err != nil {
				return err
			}
			known = r.value
		}
	}
	return nil
}

// timed records an operation.
func (h *history) timed(client int, c conditionalCall, run func() (conditionalReply, error)) (conditionalReply, error) {
	started := h.clock.Add(1)
	r, err := run()
	op := porcupine.Operation{ClientId: client, Input: c, Output: r, Call: started, Return: h.clock.Add(1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return r, err
}

func (h *history) attempt(ctx context.Context, c conditionalCall) (conditionalReply, error) {
	if c.read {
		out, err := h.svc.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: c.key})
		if s3.CodeOf(err) == s3.NoSuchKey {
			return conditionalReply{}, nil
		}
		if err != nil {
			return conditionalReply{}, err
		}
		data, err := drain(out)
		if err != nil {
			return conditionalReply{}, err
		}
		n, err := strconv.Atoi(string(data))
		return conditionalReply{value: n}, err
	}
	text := []byte(strconv.Itoa(c.value))
	pre := ifAbsent
	if c.expect != 0 {
		pre = ifMatch(etagOf([]byte(strconv.Itoa(c.expect))))
	}
	_, err := h.svc.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: c.key, Body: bodyOf(text), Precondition: pre})
	if s3.CodeOf(err) == s3.PreconditionFailed {
		return conditionalReply{}, nil
	}
	return conditionalReply{written: err == nil}, err
}
