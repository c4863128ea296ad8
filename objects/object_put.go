package objects

import (
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

// PutObject writes an object: durable and visible when it returns. The version
// it replaces is decided, and the precondition asked, inside the transaction that
// publishes.
func (s *Service) PutObject(ctx context.Context, in PutObjectInput) (Object, error) {
	if err := s3.ValidateKey(in.Key); err != nil {
		return Object{}, err
	}
	b, err := s.bucket(ctx, in.Bucket)
	if err != nil {
		return Object{}, err
	}
	seal, err := s.newKey(ctx, blobName{in.Bucket, in.Key}, &in.Encryption)
	if err != nil {
		return Object{}, asS3(err)
	}
	defer seal.wipe()
	st, err := s.receive(ctx, &intake{stored: stored{seal: seal}, bucket: b, key: in.Key, body: in.Body, class: in.Attributes.StorageClass, limit: s.opts.InlineLimit})
	if err != nil {
		return Object{}, asS3(err)
	}
	row := &metadata.Object{
		Key: string(in.Key), Size: st.size, ETag: st.etag(),
		Checksums: st.sums, Attributes: in.Attributes, Owner: string(in.Owner), Tags: in.Tags, ACL: in.ACL, Encryption: seal.encryption(),
	}
	err = s.publishObject(ctx, publication{
		bucket: b, row: row, pre: in.Precondition, lock: in.Lock,
		placed: st.placed, alone: st.isInline || st.size == 0,
		data: func(tx *metadata.Tx) (inline []byte, err error) {
			row.Data, err = st.publish(tx, metadata.MaxRowExtents)
			return st.inline, err
		},
	})
	if err != nil {
		s.abandonUnlessUnknown(ctx, st, err)
		return Object{}, asS3(err)
	}
	st.release()
	out := objectOf(row)
	out.Encryption = in.Encryption.shown(row.Encryption)
	return out, nil
}

// abandonUnlessUnknown gives up a body whose publishing failed. What may have
// been published after all is left alone.
func (s *Service) abandonUnlessUnknown(ctx context.Context, st *stored, err error) {
	if errors.Is(err, kv.ErrUnknownCommit) {
		st.release()
		return
	}
	s.abandon(ctx, st)
}

// publication is a version on its way into its key.
type publication struct {
	bucket *metadata.Bucket
	row    *metadata.Object
	pre    WritePrecondition
	lock   Lock // that is asked for
	// data is called in each attempt, after row.Ord is set and before the row is
	// written. It writes what the row refers to, sets row.Data and returns the inline
	// bytes.
	data func(*metadata.Tx) (inline []byte, err error)
	// alone says that the row depends on nothing that this process did since the request
	// began: what is placed may be in a partition that is newer.
	alone bool
	// placed is what data publishes, as far as it is known.
	placed []metadata.Placed
	// ahead, when set, sends what else data reads.
	ahead func(*metadata.Tx)
	// token marks the row; zero: a new one.
	token metadata.Token
}

// publishObject makes a row the current version of its key, in one
// transaction with the rows of its data. What happens to the version before
// follows from the bucket's versioning at that moment.
func (s *Service) publishObject(ctx context.Context, p publication) error {
	return s.publishSealed(ctx, func() *metadata.Encryption { return p.row.Encryption }, func() error {
		return s.publishOnce(ctx, p)
	})
}

func (s *Service) publishOnce(ctx context.Context, p publication) error {
	b, row := p.bucket, p.row
	row.Suffix = s.db.NewSuffix()
	if row.Token = p.token; row.Token == (metadata.Token{}) {
		row.Token = s.db.NewToken()
	}
	write := func(tx *metadata.Tx) error {
		p.sendAhead(tx, s)
		slot, err := s.openSlot(tx, b, row.Key)
		if err != nil {
			return err
		}
		if err := checkWrite(p.pre, slot.live()); err != nil {
			return err
		}
		slot.order(row, s.opts.Now())
		if err := slot.lock(row, p.lock); err != nil {
			return err
		}
		inline, err := p.data(tx)
		if err != nil {
			return err
		}
		if err := s.mayPublish(tx, row.Encryption); err != nil {
			return err
		}
		return slot.put(row, inline)
	}
	var err error
	if p.alone {
		err = s.updateKeyShared(ctx, "put", b.ID, row.Key, write)
	} else {
		err = s.updateKey(ctx, "put", b.ID, row.Key, write)
	}
	if errors.Is(err, kv.ErrUnknownCommit) {
		err = s.settle(ctx, err, func(r *metadata.Reader) (bool, error) { return wrote(r, b.ID, row) })
	}
	return conditional(err, p.pre)
}

// conditional is the error of a write: where a condition was to be decided and
// other writers left no moment for it, AWS has a code of its own.
func conditional(err error, pre WritePrecondition) error {
	if pre == nil || !errors.Is(err, kv.ErrConflict) {
		return err
	}
	return s3.NewError(s3.ConditionalRequestConflict).Because(err)
}

func checkWrite(pre WritePrecondition, old *metadata.Object) error {
	if pre == nil {
		return nil
	}
	if old == nil {
		return pre(nil)
	}
	current := objectOf(old)
	return pre(&current)
}
