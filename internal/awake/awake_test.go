package awake_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/awake"
)

func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		timer := awake.NewTimer(8 * time.Second)
		<-timer.C
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("fired after %v", took)
		}
		timer.Reset(16 * time.Second)
		<-timer.C
		if took := time.Since(start); took != 24*time.Second {
			t.Errorf("fired after %v once it was reset", took)
		}
	})
}

func TestStoppedAndResetTimersDoNotFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := awake.NewTimer(time.Second)
		timer.Stop()
		<-time.After(time.Minute)
		select {
		case <-timer.C:
			t.Error("a stopped timer fired")
		default:
		}
		timer.Reset(time.Second)
		<-time.After(time.Minute) // it fires, and nobody looks
		start := time.Now()
		timer.Reset(8 * time.Second)
		<-timer.C
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("fired after %v", took)
		}
	})
}
