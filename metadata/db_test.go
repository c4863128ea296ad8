package metadata

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

func TestOpenKeepsTheIdentity(t *testing.T) {
	e := newEngine(t)
	c := &clock{t: time.UnixMilli(1)}
	first, err := Open(e, Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(e, Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if first.ClusterID() == [16]byte{} || first.ClusterID() != again.ClusterID() {
		t.Errorf("cluster %x, then %x", first.ClusterID(), again.ClusterID())
	}
	other, err := Open(e, Options{Now: c.now, Root: []byte("other")})
	if err != nil {
		t.Fatal(err)
	}
	if other.ClusterID() == first.ClusterID() {
		t.Error("another root has the same identity")
	}
}

func TestOpenRefusesANewerFormat(t *testing.T) {
	e := newEngine(t)
	future := &encoder{b: encodeCluster(cluster{format: Format + 1, id: sampleID(1)})}
	future.uint(30, 1) // a field of the future
	value := future.b
	_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Set(keyspace{}.format(), value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(e, Options{Now: (&clock{}).now}); !errors.Is(err, ErrFormat) {
		t.Errorf("error %v, want ErrFormat", err)
	}
}

func TestOpenNeedsAClockAndAShortRoot(t *testing.T) {
	e := newEngine(t)
	if _, err := Open(e, Options{}); err == nil {
		t.Error("opened without a clock")
	}
	if _, err := Open(e, Options{Now: (&clock{}).now, Root: make([]byte, maxRoot+1)}); err == nil {
		t.Error("opened with a long root")
	}
}

func TestTokensAreSeenUntilCleared(t *testing.T) {
	c := &clock{t: time.Unix(6000, 0)}
	db, err := Open(newEngine(t), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	early := db.NewToken()
	c.t = c.t.Add(2 * time.Minute)
	late := db.NewToken()
	update(t, db, func(tx *Tx) error { return errors.Join(tx.MarkToken(early), tx.MarkToken(late)) })
	update(t, db, func(tx *Tx) error { return tx.ClearTokens(c.t.Add(-time.Minute)) })
	for token, want := range map[Token]bool{early: false, late: true, db.NewToken(): false} {
		if got := found(t, db, func(r *Reader) (bool, error) { return r.TokenSeen(token) }); got != want {
			t.Errorf("token %x seen: %v, want %v", token, got, want)
		}
	}
	clean(t, db)
}

func TestIdentifiersSurviveABrokenSource(t *testing.T) {
	db, err := Open(newEngine(t), Options{Now: (&clock{t: time.Unix(1, 0)}).now, Rand: bytes.NewReader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := db.NewDataID(), db.NewDataID(); a == b {
		t.Errorf("the same id twice: %x", a)
	}
}

func TestUploadIDsSortByTime(t *testing.T) {
	db := newDB(t)
	early, late := db.NewUploadID(time.UnixMicro(1000)), db.NewUploadID(time.UnixMicro(1001))
	if bytes.Compare(early[:], late[:]) >= 0 {
		t.Errorf("%x is not below %x", early, late)
	}
}

func TestNextOrdRisesWhateverTheClock(t *testing.T) {
	db := newDB(t)
	now := Ord(db.Now().UnixMicro())
	for _, c := range []struct{ previous, want Ord }{{0, now}, {now - 1, now}, {now, now + 1}, {now + 500, now + 501}} {
		if got := db.NextOrd(c.previous); got != c.want {
			t.Errorf("after %d comes %d, want %d", c.previous, got, c.want)
		}
	}
}

func TestInvalidWriteFailsTheUpdateEvenIfIgnored(t *testing.T) {
	db := newDB(t)
	err := db.Update(t.Context(), "test", func(tx *Tx) error {
		_ = tx.PutExtents(sampleID(1), 0, []Extent{{Length: 0}})
		return nil
	})
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
}
