package disk

import (
	"errors"
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

func testSuper(sequence uint64) superblock {
	return superblock{
		Sequence: sequence, ID: blobd.ShardID{Partition: 42, Index: 7}, Epoch: blobd.Epoch(sequence * 10),
		Sealed: sequence%3 == 0, Capacity: 1 << 20, End: 8192, Secret: blobd.Secret{1, 2, 3},
	}
}

func both(even, odd superblock) []byte {
	return append(even.encode(), odd.encode()...)
}

func TestTheNewestSuperblockCounts(t *testing.T) {
	id := testSuper(1).ID
	for _, pair := range [][2]uint64{{2, 1}, {2, 3}, {100, 99}, {100, 101}} {
		want := testSuper(max(pair[0], pair[1]))
		got, err := decodeSuperblock(both(testSuper(pair[0]), testSuper(pair[1])), id)
		if err != nil || got != want {
			t.Errorf("%v: %+v, %v", pair, got, err)
		}
	}
}

func TestSuperblocksThatDoNotCount(t *testing.T) {
	id := testSuper(1).ID
	good := testSuper(2)
	for name, bad := range map[string]superblock{
		"in the wrong slot": testSuper(4),
		"end past capacity": {Sequence: 3, ID: id, Capacity: 4096, End: 8192},
		"odd capacity":      {Sequence: 3, ID: id, Capacity: 4097},
		"no capacity":       {Sequence: 3, ID: id},
	} {
		got, err := decodeSuperblock(both(good, bad), id)
		if err != nil || got != good {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	other := blobd.ShardID{Partition: 43, Index: 7}
	if _, err := decodeSuperblock(both(good, testSuper(3)), other); !errors.Is(err, blobd.ErrCorrupt) {
		t.Errorf("the file of another shard: %v", err)
	}
	for _, n := range []int{0, 95, slotSize, dataStart - 1} {
		if _, err := decodeSuperblock(both(good, testSuper(3))[:n], id); !errors.Is(err, blobd.ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func FuzzDecodeSuperblock(f *testing.F) {
	f.Add(testSuper(2).encode()[:superSize], uint64(0))
	f.Add([]byte("UCSH\x01"), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, slot uint64) {
		s, err := decodeSlot(b, slot%2)
		if err != nil {
			if !errors.Is(err, blobd.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if got, err := decodeSlot(s.encode(), slot%2); err != nil || got != s {
			t.Fatalf("%+v came back as %+v, %v", s, got, err)
		}
	})
}

func TestParseShardName(t *testing.T) {
	for _, id := range []blobd.ShardID{{}, {Partition: 1<<64 - 1, Index: 255}, {Partition: 0xabc, Index: 9}} {
		if got, ok := parseShardName(id.String()); !ok || got != id {
			t.Errorf("%s: %s, %t", id, got, ok)
		}
	}
	for _, name := range []string{"", ".", "0.0", "00000000000000ab.1", "00000000000000AB.01", "00000000000000ab.01.tmp", "00000000000000ab.256", "+0000000000000ab.01"} {
		if id, ok := parseShardName(name); ok {
			t.Errorf("%q: %s", name, id)
		}
	}
}
