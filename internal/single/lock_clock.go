package single

import (
	"context"
	"log/slog"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/steward"
)

const (
	// lockClockStep is how much lock time passes between two records of it, so
	// that an idle store is left alone.
	lockClockStep = 10 * time.Minute
	// lockClockApart is by how much the wall clock may differ from the lock time
	// before the log says so.
	lockClockApart = time.Hour
)

// lockClock records the time by which retentions end: job "lock-clock".
type lockClock struct {
	db    *metadata.DB
	log   *slog.Logger
	apart bool // and the log says so
}

// Name implements [steward.Job].
func (j *lockClock) Name() string { return "lock-clock" }

// Own implements [steward.Homework]: each process has a clock of its own.
func (j *lockClock) Own(ctx context.Context) (steward.Progress, error) { return j.Step(ctx) }

// Step implements [steward.Job].
func (j *lockClock) Step(ctx context.Context) (steward.Progress, error) {
	ahead := j.db.LockTimeBehind()
	if apart := ahead.Abs() > lockClockApart; apart != j.apart {
		j.apart = apart
		if apart {
			j.log.WarnContext(ctx, "the clock was set, or the store was down: retentions go by the lock time until they agree", slog.Duration("clock_ahead", ahead))
		}
	}
	wrote, err := j.db.KeepLockTime(ctx, lockClockStep)
	if err != nil || !wrote {
		return steward.Progress{}, err
	}
	return steward.Progress{Done: 1}, nil
}

// keepLockTime records the lock time at an end, however little time is left.
func (s *System) keepLockTime(ctx context.Context) error {
	if ctx.Err() != nil {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		ctx = grace
	}
	_, err := s.DB.KeepLockTime(ctx, 0)
	return err
}
