package partition

import (
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"
)

// codeShape selects an erasure code: m parity columns over the columns present
// of a scheme with k.
type codeShape struct{ k, m, columns int }

// codes caches erasure codes. Making one costs a matrix inversion, and there
// are few shapes. The zero value is ready; it is safe for concurrent use.
type codes struct {
	mu    sync.RWMutex // guards what follows
	cache map[codeShape]reedsolomon.Encoder
}

// get returns the code of a shape whose m is not zero. Its data shards are the
// columns present, its parity equals that of the full scheme with zeros for
// the absent columns: the parity rows of the full matrix, cut.
func (c *codes) get(s codeShape) (reedsolomon.Encoder, error) {
	c.mu.RLock()
	e := c.cache[s]
	c.mu.RUnlock()
	if e != nil {
		return e, nil
	}
	rows, err := parityRows(s.k, s.m)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i] = rows[i][:s.columns]
	}
	e, err = reedsolomon.New(s.columns, s.m, reedsolomon.WithCustomMatrix(rows), reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, fmt.Errorf("erasure code %d of %d+%d: %w", s.columns, s.k, s.m, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache == nil {
		c.cache = map[codeShape]reedsolomon.Encoder{}
	}
	c.cache[s] = e
	return e, nil
}

// parityRows reads the parity half of the standard matrix of k+m from the
// parity of the unit vectors.
func parityRows(k, m int) ([][]byte, error) {
	e, err := reedsolomon.New(k, m, reedsolomon.WithMaxGoroutines(1), reedsolomon.WithFastOneParityMatrix())
	if err != nil {
		return nil, fmt.Errorf("erasure code %d+%d: %w", k, m, err)
	}
	rows := make([][]byte, m)
	for i := range rows {
		rows[i] = make([]byte, k)
	}
	shards := make([][]byte, k+m)
	for unit := range k {
		for i := range shards {
			shards[i] = make([]byte, 1)
		}
		shards[unit][0] = 1
		if err := e.Encode(shards); err != nil {
			return nil, fmt.Errorf("erasure code %d+%d: %w", k, m, err)
		}
		for i := range m {
			rows[i][unit] = shards[k+i][0]
		}
	}
	return rows, nil
}
