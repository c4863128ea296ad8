package steward

import (
	"context"
	"errors"
)

// seal seals the partitions that take no more stripes.
type seal struct{ base }

// Name implements [Job].
func (*seal) Name() string { return "seal" }

// Step seals what can be sealed. While disks are short of space it first gives
// up the open partitions that hold little but garbage.
func (j *seal) Step(ctx context.Context) (Progress, error) {
	var failed error
	if j.store.Short(ctx) {
		retired, err := j.store.RetireDead(ctx)
		j.stats.retired.Add(int64(retired))
		failed = err
	}
	sealed, err := j.store.SealIdle(ctx)
	j.stats.sealed.Add(int64(sealed))
	return Progress{Done: sealed}, errors.Join(failed, err)
}
