//go:build fdb

package fdb_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	client "github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

// TestWhatIsHeldBackWaitsLongerEachTime: the client library doubles its pause with each attempt,
// up to a second, and knows it of the transaction, which must not be made new in between, also
// where it has written much. It would try dozens of times else.
func TestWhatIsHeldBackWaitsLongerEachTime(t *testing.T) {
	const most = 20 // seven are to be expected, and fewer on a slow machine
	e := away(t, fdb.Options{})
	for _, size := range []int{0, 90_000} {
		for _, code := range []int{1042, 1213} { // proxies out of memory, a class that is throttled
			attempts := 0
			_, err := e.Update(t.Context(), kv.TxOptions{Class: "put", Timeout: 400 * time.Millisecond}, func(tx kv.Tx) error {
				attempts++
				tx.Get([]byte("k")) // nobody waits for it, but there is a transaction
				tx.Set([]byte("k"), make([]byte, size))
				return fmt.Errorf("a read: %w: %w", kv.ErrThrottled, client.Error{Code: code})
			})
			if !errors.Is(err, kv.ErrThrottled) || !errors.Is(err, kv.ErrTimeout) {
				t.Errorf("%d bytes, %d: %v", size, code, err)
			}
			if attempts > most {
				t.Errorf("%d bytes, %d: %d attempts, at most %d are wanted", size, code, attempts, most)
			}
		}
	}
}
