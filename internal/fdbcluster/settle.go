package fdbcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// calm is in how many looks that follow each other, each a fifth of a second or more of fdbcli's,
// the roles of a new cluster have to stay where they are.
const calm = 15

// settle waits until a new cluster of several processes has its roles where it wants
// them: it moves them once it has met all processes, and commits under way then have
// an unknown outcome.
func (c *Cluster) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last int64
	for still := 0; still < calm; still++ {
		now, err := c.generation(ctx)
		if err != nil {
			return err
		}
		if now == 0 || now != last {
			still = 0
		}
		last = now
	}
	return nil
}

// generation counts the recoveries of the database; it is 0 while there is one under
// way, or not all processes are known.
func (c *Cluster) generation(ctx context.Context) (int64, error) {
	began := time.Now()
	out, err := c.CLI(ctx, "status json")
	if err != nil {
		return 0, err
	}
	var status struct {
		Cluster struct {
			Generation int64
			Processes  map[string]struct{}
			Recovery   struct{ Name string } `json:"recovery_state"`
		}
	}
	begin := strings.IndexByte(out, '{')
	if begin < 0 {
		return 0, fmt.Errorf("status json: %q", out)
	}
	if err := json.Unmarshal([]byte(out[begin:]), &status); err != nil {
		return 0, fmt.Errorf("status json: %w", err)
	}
	if rest := 200*time.Millisecond - time.Since(began); rest > 0 {
		timer := time.NewTimer(rest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if status.Cluster.Recovery.Name != "fully_recovered" || len(status.Cluster.Processes) < c.Processes {
		return 0, nil
	}
	return status.Cluster.Generation, nil
}
