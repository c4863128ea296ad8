package admin

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// Readiness is the body of /-/readyz.
type Readiness struct {
	Ready      bool              `json:"ready"`
	Conditions []ConditionStatus `json:"conditions"`
}

// ConditionStatus is one condition as it was found.
type ConditionStatus struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	readiness := look(r.Context(), h.Conditions)
	code := http.StatusOK
	if !readiness.Ready {
		code = http.StatusServiceUnavailable
	}
	h.writeJSON(w, r, code, readiness)
}

// look checks all conditions at the same time. One that does not answer in
// time does not hold.
func look(ctx context.Context, conditions []Condition) Readiness {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	readiness := Readiness{Ready: true, Conditions: make([]ConditionStatus, len(conditions))}
	var group sync.WaitGroup
	for i, c := range conditions {
		group.Go(func() { readiness.Conditions[i] = lookAt(ctx, c) })
	}
	group.Wait()
	for i, c := range readiness.Conditions {
		readiness.Ready = readiness.Ready && (c.OK || conditions[i].Advisory)
	}
	return readiness
}

// lookAt checks one condition and turns a panic into a condition that does not
// hold: the probe is there for when things are broken.
func lookAt(ctx context.Context, c Condition) ConditionStatus {
	answer := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- fmt.Errorf("the check panicked: %v", p)
			}
		}()
		answer <- c.Check(ctx)
	}()
	select {
	case err := <-answer:
		if err != nil {
			return ConditionStatus{Name: c.Name, Reason: err.Error()}
		}
		return ConditionStatus{Name: c.Name, OK: true}
	case <-ctx.Done():
		return ConditionStatus{Name: c.Name, Reason: "no answer in time"}
	}
}
