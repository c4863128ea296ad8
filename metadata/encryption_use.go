package metadata

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ErrNoPins says that the engine cannot hold on to a version for long.
var ErrNoPins = errors.New("metadata: the engine holds no versions")

// usePage is how many rows WalkEncrypted looks at between two looks at its
// context.
const usePage = 1000

// WalkEncrypted calls visit for every row of one version whose data key a
// provider has sealed, until visit returns false. What moves from one table to
// another meanwhile is seen once: so that nothing is found under a version of a
// key means that there is nothing, if nothing may be published under it any more.
func (db *DB) WalkEncrypted(ctx context.Context, visit func(*Encryption) (bool, error)) error {
	pinner, ok := kv.Find[kv.Pinner](db.engine)
	if !ok {
		return ErrNoPins
	}
	pin, err := pinner.Pin()
	if err != nil {
		return err
	}
	defer pin.Close()
	var cursor []byte
	for more := true; more; {
		err := pin.View(ctx, func(r kv.Reader) error {
			rows, next, err := (&Reader{keys: db.keys, kv: r}).EncryptedRows(cursor, usePage)
			if err != nil {
				return err
			}
			cursor = next
			more = next != nil
			for i := range rows {
				if goOn, err := visit(&rows[i].Encryption); err != nil || !goOn {
					more = false
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
