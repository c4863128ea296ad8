package objects

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
)

// rewrapPage is how many rows one snapshot of RewrapKeys looks at.
const rewrapPage = 256

// RewrapInput says where a pass over all objects and uploads goes on.
type RewrapInput struct {
	Cursor []byte // nil: a new pass
	Rows   int    // how many rows to look at, about
}

// RewrapOutput says what was done and where the pass is.
type RewrapOutput struct {
	Cursor    []byte // nil: the pass is complete
	Looked    int64  // rows with a sealed data key
	Rewrapped int64
	// Failed are rows whose key the provider does not know or may not use any more:
	// they stay as they are.
	Failed int64
}

// RewrapKeys seals data keys that are sealed under an older version of a key
// anew under the newest one. No data is read or written. Each row is changed in a
// transaction of its own, if it still has what was read. New objects are sealed
// under the newest version, so that after a pass that rewraps nothing older ones
// are not needed. It fails where a provider cannot be reached: what is behind the cursor
// of the output is done all the same.
func (s *Service) RewrapKeys(ctx context.Context, in RewrapInput) (out RewrapOutput, err error) {
	out.Cursor = in.Cursor
	for left := max(in.Rows, 1); left > 0; left -= rewrapPage {
		var rows []metadata.EncryptedRow
		var next []byte
		err := s.db.View(ctx, "rewrap", func(r *metadata.Reader) (err error) {
			rows, next, err = r.EncryptedRows(out.Cursor, min(left, rewrapPage))
			return err
		})
		if err != nil {
			return out, err
		}
		for i := range rows {
			if err := s.rewrap(ctx, &rows[i], &out); err != nil {
				return out, err
			}
		}
		if out.Cursor = next; next == nil {
			break
		}
	}
	return out, nil
}

func (s *Service) rewrap(ctx context.Context, row *metadata.EncryptedRow, out *RewrapOutput) error {
	out.Looked++
	fresh, err := s.rewrapped(ctx, &row.Encryption)
	switch {
	case errors.Is(err, keys.ErrUnavailable) || ctx.Err() != nil:
		return fmt.Errorf("rewrap keys: %w", err)
	case err != nil:
		out.Failed++
		return nil //nolint:nilerr // counted, and the others are looked at
	case fresh == nil:
		return nil
	}
	put := false
	err = s.db.Update(ctx, "rewrap", func(tx *metadata.Tx) (err error) {
		put, err = tx.PutDataKey(row, fresh)
		return err
	})
	if err == nil && put {
		out.Rewrapped++
	}
	return err
}

// rewrapped is the data key of a row, sealed under the newest version of its
// key; nil where it is that already.
func (s *Service) rewrapped(ctx context.Context, row *metadata.Encryption) ([]byte, error) {
	provider, id, err := s.provider(row)
	if err != nil {
		return nil, err
	}
	return provider.Rewrap(ctx, id, row.DataKey, row.Context)
}

// errKeyRetired asks for another attempt: a version of a key is about to be
// dropped, under which what is to be published is sealed.
var errKeyRetired = errors.New("objects: sealed under a version of the key that is retired")

// maxRewraps bounds the attempts to publish while a key is rotated.
const maxRewraps = 4

// publisher is a provider that says in the publishing transaction whether what
// it sealed will open for as long as the key is there.
type publisher interface {
	MayPublish(r *metadata.Reader, keyID string, sealed []byte) (bool, error)
}

// mayPublish holds a transaction to the key that what it publishes is sealed under.
func (s *Service) mayPublish(tx *metadata.Tx, row *metadata.Encryption) error {
	if row == nil || row.Mode == EncryptedC {
		return nil
	}
	provider, id, err := s.provider(row)
	if err != nil {
		return err
	}
	p, ok := provider.(publisher)
	if !ok {
		return nil
	}
	may, err := p.MayPublish(&tx.Reader, id, row.DataKey)
	if err == nil && !may {
		err = errKeyRetired
	}
	return err
}

// publishSealed runs what publishes something sealed, and seals it anew where its
// key is being rotated meanwhile.
func (s *Service) publishSealed(ctx context.Context, sealed func() *metadata.Encryption, publish func() error) (err error) {
	for range maxRewraps {
		if err = publish(); !errors.Is(err, errKeyRetired) {
			return err
		}
		row := sealed()
		fresh, e := s.rewrapped(ctx, row)
		if errors.Is(e, keys.ErrInvalid) {
			// The version is gone by now: the same request succeeds when it is repeated.
			e = fmt.Errorf("%w: %w", keys.ErrUnavailable, e)
		}
		if e != nil {
			return keyError(e)
		}
		if fresh != nil {
			row.DataKey = fresh
		}
	}
	return err
}
