package steward

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// load reads the round's row: another process may have changed it.
func (j *scrub) load(ctx context.Context) error {
	var row *metadata.ScrubRound
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		row, err = r.ScrubRound()
		return err
	})
	if err != nil {
		return fmt.Errorf("read the round: %w", err)
	}
	if row == nil {
		row = &metadata.ScrubRound{}
	}
	if row.Number != j.round.Number {
		j.planned, j.sweeping = false, nil
	}
	j.round = *row
	return nil
}

// underWay reports whether there is a round to go on with. One that nobody asked for
// ends where scrubbing was turned off.
func (j *scrub) underWay() bool {
	return j.round.Number > 0 && j.round.Ended.IsZero() && (j.opts.ScrubInterval > 0 || j.round.Hurry)
}

// isDue decides when a round begins: an interval after the last one began, or the oldest
// partition was made. The clock may have been set back since.
func (j *scrub) isDue(now time.Time) bool {
	if j.asked && j.underWay() && j.round.Hurry {
		j.asked = false
	}
	if j.asked {
		return true
	}
	at := j.due()
	return !j.underWay() && !at.IsZero() && (!now.Before(at) || now.Before(at.Add(-j.opts.ScrubInterval)))
}

// due is when the next round begins, zero where none does.
func (j *scrub) due() time.Time {
	if j.opts.ScrubInterval <= 0 {
		return time.Time{}
	}
	if j.round.Number == 0 {
		if j.known.first.IsZero() {
			return time.Time{}
		}
		return j.known.first.Add(j.opts.ScrubInterval)
	}
	return j.round.Started.Add(j.opts.ScrubInterval)
}

func (j *scrub) begin(ctx context.Context, now time.Time) error {
	next := metadata.ScrubRound{Number: j.round.Number + 1, Started: now.Truncate(time.Millisecond), Hurry: j.asked, Last: j.round.Tally}
	if err := j.put(ctx, &next, nil); err != nil {
		return err
	}
	j.round, j.asked, j.planned, j.sweeping = next, false, false, nil
	return nil
}

// put writes the round, and a partition's row unless that is nil or the partition is gone.
// Both say what is so and not what is added: after a commit whose outcome is not known they
// are written again.
func (j *scrub) put(ctx context.Context, round *metadata.ScrubRound, row *metadata.Scrubbed) error {
	err := j.db.Update(ctx, class, func(tx *metadata.Tx) error {
		if row != nil {
			if _, err := tx.PutScrubbed(row); err != nil {
				return err
			}
		}
		return tx.PutScrubRound(round)
	})
	if err != nil {
		return fmt.Errorf("write what was scrubbed: %w", err)
	}
	return nil
}

// end ends the round.
func (j *scrub) end(ctx context.Context) error {
	round := j.round
	round.Ended = j.opts.Now().Truncate(time.Millisecond)
	if err := j.put(ctx, &round, nil); err != nil {
		return err
	}
	j.round, j.planned = round, false
	j.stats.scrubRounds.Add(1)
	t := &round.Tally
	j.opts.Logger.InfoContext(ctx, "all partitions are scrubbed", slog.Int64("partitions", t.Partitions), slog.Int64("bytes", t.Bytes),
		slog.Int64("damaged_frames", t.Damaged), slog.Int64("passed_frames", t.Passed),
		slog.Int64("mismatched_stripes", t.Mismatched), slog.Int64("unreadable_stripes", t.Unreadable))
	return j.survey(ctx, nil)
}
