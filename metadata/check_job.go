package metadata

import "github.com/undercroft/undercroft/metadata/kv"

// checkJob looks at a row by itself: a holder without its row l has no lease,
// which is no contradiction.
func checkJob(c *pageCheck, p kv.Pair) error {
	j, err := jobRow(c.keys.body(p.Key), p.Value)
	if err == nil && j.Ran > j.Run {
		c.problem(CorruptRow, p.Key, "ran more often than it was asked to")
	}
	return err
}

func checkHolder(c *pageCheck, p kv.Pair) error {
	_, err := holderRow(c.keys.body(p.Key), p.Value)
	return err
}
