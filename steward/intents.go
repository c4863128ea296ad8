package steward

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
)

// intentScan is how many intents a step looks at.
const intentScan = 256

// intents ends writes that were announced and not finished.
type intents struct {
	base
	after metadata.DataID
}

// Name implements [Job].
func (*intents) Name() string { return "intents" }

// Step ends the old ones of the next intents.
func (j *intents) Step(ctx context.Context) (Progress, error) {
	var rows []metadata.Intent
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		rows, err = r.Intents(j.after, intentScan)
		return err
	})
	if err != nil {
		return Progress{}, fmt.Errorf("list intents: %w", err)
	}
	p := Progress{More: len(rows) == intentScan}
	if j.after = (metadata.DataID{}); p.More {
		j.after = rows[len(rows)-1].ID
	}
	limit := j.opts.Now().Add(-j.opts.IntentAge)
	for i := range rows {
		if rows[i].Created.After(limit) {
			continue
		}
		var ended bool
		err := j.db.Update(ctx, class, func(tx *metadata.Tx) (err error) {
			ended, err = endIntent(tx, rows[i].ID)
			return err
		})
		if err != nil {
			return p, fmt.Errorf("end intent %x: %w", rows[i].ID[:], err)
		}
		if ended {
			p.Done++
			j.stats.intents.Add(1)
		}
	}
	return p, nil
}

// endIntent takes an intent away, so that the write it announced can no longer
// be published, and gives up what was written. An intent is written together
// with the first rows, which tell whether it announces a manifest or data.
func endIntent(tx *metadata.Tx, id metadata.DataID) (bool, error) {
	in, err := tx.Intent(id)
	if err != nil || in == nil {
		return false, err // finished, or given up by its writer
	}
	if err := tx.DeleteIntent(id); err != nil {
		return false, err
	}
	if in.Owns { // the collector releases its slices
		return true, tx.ReleaseHome(id, metadata.GarbageManifest)
	}
	parts, _, err := tx.ManifestParts(id, 0, 1)
	if err != nil {
		return false, err
	}
	if len(parts) > 0 { // the slices belong to the upload's parts still
		return true, tx.DeleteManifest(id)
	}
	return true, tx.ReleaseHome(id, metadata.GarbageData)
}
