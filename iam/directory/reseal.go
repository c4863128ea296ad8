package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// resealPage is how many access keys are sealed anew in one transaction.
const resealPage = 100

// Reseal seals the secrets of access keys anew that another master key sealed,
// and returns how many. The secrets stay what they are. It may be repeated.
func (d *Directory) Reseal(ctx context.Context) (n int64, err error) {
	for after, more := "", true; more && err == nil; {
		page := resealed{last: after}
		// What is there already is not sealed again: to repeat it does no harm.
		err = again(func() error {
			return d.db.Update(ctx, "account", func(tx *metadata.Tx) (err error) {
				page, err = d.resealPage(tx, after)
				return err
			})
		})
		n, after, more = n+page.changed, page.last, page.more
	}
	if err != nil {
		return n, fmt.Errorf("sealing the secrets of access keys anew: %w", err)
	}
	return n, nil
}

// again repeats a transaction once whose outcome is unknown, and which does no
// harm when it is done twice.
func again(update func() error) error {
	err := update()
	if errors.Is(err, kv.ErrUnknownCommit) {
		return update()
	}
	return err
}

// resealed is how a page of access keys went.
type resealed struct {
	changed int64
	last    string
	more    bool
}

func (d *Directory) resealPage(tx *metadata.Tx, after string) (resealed, error) {
	keys, more, err := tx.AllAccessKeys(after, resealPage)
	if err != nil || len(keys) == 0 {
		return resealed{last: after}, err
	}
	out := resealed{last: keys[len(keys)-1].Key, more: more}
	for i := range keys {
		k := &keys[i]
		if k.MasterKey == d.seal.id {
			continue
		}
		secret, err := d.seal.open(k)
		if err == nil {
			err = d.seal.close(k, secret)
		}
		if err == nil {
			err = tx.PutAccessKey(k)
		}
		if err != nil {
			return resealed{}, err
		}
		out.changed++
	}
	if out.changed == 0 {
		return out, nil
	}
	return out, d.seal.Record(tx)
}

// End forgets the master keys but the one in use, under which the caller has seen
// that nothing is sealed any more, and returns their ids. From then on a process
// that only knows one of them writes no secret.
func (s *Sealer) End(tx *metadata.Tx) (ended []uint64, err error) {
	known, err := tx.MasterKeys()
	if err != nil {
		return nil, err
	}
	for _, k := range known {
		if k.ID == s.id {
			continue
		}
		if _, ours := s.opens[k.ID]; !ours {
			return nil, fmt.Errorf("%w: something may be sealed under %016x, which is neither the one in use nor the previous one", ErrWrongMasterKey, k.ID)
		}
		ended = append(ended, k.ID)
		if err := tx.DeleteMasterKey(k.ID); err != nil {
			return nil, err
		}
	}
	return ended, s.Record(tx)
}
