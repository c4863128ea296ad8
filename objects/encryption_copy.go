package objects

import (
	"context"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// copyPlan is what a copy with an encrypted side does ahead of its
// transaction, for one version of the source: key providers are not asked
// within it, and bytes are not moved.
type copyPlan struct {
	token      metadata.Token
	encryption *metadata.Encryption // of the copy
	stored     *stored              // the bytes encrypted anew; nil: the data is shared
	etag       string               // of stored
}

// prepare makes the plan of a copy. The object's key is sealed anew where mode and
// key stay, and the bytes are encrypted anew where not.
func (c *copying) prepare(ctx context.Context) error {
	c.dropPlan(ctx)
	if !c.keyed {
		return nil
	}
	in := c.sourceInput()
	var inline []byte
	_, row, err := c.svc.look(ctx, &in, inlineOf(&inline))
	if err != nil {
		return sourceError(err)
	}
	c.plan.token = row.Token
	if row.Encryption == nil && c.in.Encryption.Mode == 0 {
		return nil
	}
	from := owner{c.source.ID, row}
	key, err := c.svc.openKeyOf(ctx, from, in.CustomerKey)
	if err != nil {
		return err
	}
	if c.keepsKey(row.Encryption) {
		defer key.Wipe()
		c.plan.encryption, err = c.svc.sealKey(ctx, c.name(), &c.in.Encryption, key)
		return err
	}
	body, err := c.svc.body(ctx, from, inline, key, sse.Range{Size: row.Size, Length: row.Size})
	if err != nil {
		return err
	}
	return c.encryptAnew(ctx, row, body)
}

func (c *copying) sourceInput() GetObjectInput {
	from := &c.in.Source
	return GetObjectInput{
		Bucket: from.Bucket, Key: from.Key, VersionID: from.VersionID,
		CustomerKey: from.CustomerKey, Precondition: from.Precondition, Access: from.Access,
	}
}

func (c *copying) name() blobName { return blobName{c.in.Bucket, c.in.Key} }

// keepsKey reports whether the copy has the mode and the key of its source.
func (c *copying) keepsKey(from *metadata.Encryption) bool {
	to := &c.in.Encryption
	if from == nil || from.Mode != to.Mode {
		return false
	}
	switch to.Mode {
	case EncryptedC:
		return to.Customer != nil && to.Customer.Equal(c.in.Source.CustomerKey)
	case EncryptedKMS:
		id, err := keys.Name(c.svc.keyID(to))
		return err == nil && id == from.KeyID
	case EncryptedS3:
		return true
	}
	return false
}

// encryptAnew writes the plaintext of the source as the copy's. It closes body.
func (c *copying) encryptAnew(ctx context.Context, from *metadata.Object, body Reading) error {
	r := readerOf(body)
	defer func() { _ = r.Close() }() // reading: nothing is lost
	if from.Size > s3.MaxPutSize {
		return s3.NewError(s3.InvalidRequest).WithMessage(
			"The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	seal, err := c.svc.newKey(ctx, c.name(), &c.in.Encryption)
	if err != nil {
		return err
	}
	defer seal.wipe()
	algorithm := c.in.Checksum
	if !algorithm.Valid() && len(from.Checksums) > 0 {
		algorithm, _ = checksum.Parse(from.Checksums[0].Algorithm)
	}
	st, err := c.svc.receive(ctx, &intake{
		stored: stored{seal: seal}, bucket: c.target, key: c.in.Key, class: c.in.StorageClass,
		body: Body{Reader: r, Size: from.Size, Checksum: algorithm}, limit: c.svc.opts.InlineLimit,
	})
	if err != nil {
		return err
	}
	c.plan.stored, c.plan.etag, c.plan.encryption = st, st.etag(), seal.encryption()
	c.summed = c.plan.token
	return nil
}

// usePlan fills the row of the copy from the plan, in the transaction. A source
// that is another than the plan's, or that shows to need one, is tried again.
func (c *copying) usePlan(from *metadata.Object) error {
	if err := checkKey(from.Encryption, c.in.Source.CustomerKey); err != nil {
		return err
	}
	if !c.keyed && from.Encryption != nil {
		c.keyed = true
		return errSourceMoved
	}
	if c.keyed && c.plan.token != from.Token {
		return errSourceMoved
	}
	c.row.Encryption = c.plan.encryption
	if st := c.plan.stored; st != nil {
		c.row.ETag, c.row.Checksums, c.row.Parts = c.plan.etag, st.sums, 0
	}
	return nil
}

// dropPlan gives up a plan that was not published.
func (c *copying) dropPlan(ctx context.Context) {
	if c.plan.stored != nil {
		c.svc.abandon(ctx, c.plan.stored)
	}
	c.plan = copyPlan{}
}

// endPlan gives up, or lets go of, what was written for a copy that ended so.
func (c *copying) endPlan(ctx context.Context, err error) {
	switch st := c.plan.stored; {
	case st == nil:
	case err == nil:
		st.release()
	default:
		c.svc.abandonUnlessUnknown(ctx, st, err)
	}
	c.plan = copyPlan{}
}
