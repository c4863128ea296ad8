package partition

const (
	// unsplit is the largest blob that is never split over two columns.
	unsplit = 64 << 10
	// heightUnit is what column heights are multiples of, for the vector
	// instructions of the erasure code.
	heightUnit = 64
)

// shape is how a stripe's content is cut: columns of height bytes, one after
// another.
type shape struct {
	columns int
	height  uint32
	used    uint32 // bytes of content, directory included
}

// shapeOf cuts used bytes into as many of k columns as keep the smallest
// height.
func shapeOf(used, k, minColumn int) shape {
	columns := min(max(used/minColumn, 1), k)
	height := roundUp((used+columns-1)/columns, heightUnit)
	return shape{columns: (used + height - 1) / height, height: uint32(height), used: uint32(used)}
}

// size is the content with the padding of its last column.
func (s shape) size() int { return s.columns * int(s.height) }

// place lays blobs of the given lengths, then directory bytes, into a stripe
// and fills starts with where each begins. No blob of at most unsplit bytes is
// split.
func place(starts []uint32, lengths []int, directory, k, minColumn int) shape {
	total, largest := directory, 0
	for _, n := range lengths {
		total += n
		if n <= unsplit {
			largest = max(largest, n)
		}
	}
	s := shapeOf(total, k, minColumn)
	columns, height := s.columns, max(int(s.height), roundUp(largest, heightUnit))
	for {
		used := walk(starts, lengths, height) + directory
		if used <= columns*height {
			return shape{columns: (used + height - 1) / height, height: uint32(height), used: uint32(used)}
		}
		height += roundUp((used-columns*height+columns-1)/columns, heightUnit)
	}
}

// walk places blobs in columns of height and returns where the last one ends.
func walk(starts []uint32, lengths []int, height int) int {
	at := 0
	for i, n := range lengths {
		if n <= unsplit && at%height+n > height {
			at = roundUp(at, height)
		}
		starts[i] = uint32(at)
		at += n
	}
	return at
}

// batchOverhead bounds what laying out blobs in columns can add to their bytes
// and directory: an unsplit blob's worth at the end of each column, and
// rounding.
func batchOverhead(k int) int { return k*(unsplit+2*heightUnit) + heightUnit }

// rotation is which shard carries the first data column of the stripe at
// offset: stripes of one column spread over the data shards. The product mixes
// the offset, which grows by frame sizes that may all be multiples of k.
func rotation(offset int64, k int) int {
	return int(uint32(uint64(offset)/4096*0x9E3779B97F4A7C15>>32) % uint32(k))
}

// shardOf is the shard that carries a column of the stripe at offset.
func shardOf(column int, offset int64, k int) int {
	if column >= k {
		return column
	}
	return (column + rotation(offset, k)) % k
}

// columnOf is the inverse of shardOf.
func columnOf(shard int, offset int64, k int) int {
	if shard >= k {
		return shard
	}
	return (shard - rotation(offset, k) + k) % k
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
