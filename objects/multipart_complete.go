package objects

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

const (
	// manifestInPlace bounds what the publishing transaction writes of a
	// manifest, counted in slices; a longer one is written ahead under an intent.
	manifestInPlace = 4000
	// manifestBatch is how many slices one transaction writes ahead.
	manifestBatch = 2000
	// maxCompleteAttempts bounds the attempts of a completion whose parts keep changing.
	maxCompleteAttempts = 8
	partsPage           = 1000
)

// errPartsChanged asks for another attempt: a part was uploaded, or the upload
// ended, while the list was checked.
var errPartsChanged = errors.New("objects: parts changed while completing")

// CompleteMultipartUpload makes an object of the parts listed. Doing it again
// with the same list, while the version is still there, answers the same.
func (s *Service) CompleteMultipartUpload(ctx context.Context, in CompleteUploadInput) (Object, error) {
	t, err := s.target(ctx, in.Bucket, in.Key, in.Upload)
	if err != nil {
		return Object{}, err
	}
	for range maxCompleteAttempts {
		c := &completion{svc: s, in: &in, list: lastOfEach(in.Parts), target: t, manifest: s.db.NewDataID()}
		var row *metadata.Object
		if row, err = c.run(ctx); err == nil {
			out := objectOf(row)
			if hidesSums(row.Encryption, in.CustomerKey) {
				out.Checksums = nil
			}
			return out, nil
		}
		if !errors.Is(err, errPartsChanged) {
			return Object{}, asS3(err)
		}
	}
	return Object{}, s3.NewError(s3.SlowDown).Because(err)
}

// completion is one attempt to complete an upload. Its manifest has an id of its own, so
// that attempts never share rows.
type completion struct {
	svc      *Service
	in       *CompleteUploadInput
	list     []CompletedPart // in.Parts, each number once
	target   target
	manifest metadata.DataID

	upload *metadata.Upload
	stamp  []byte
	parts  []metadata.Part // those listed, in order
	unused []metadata.Part
	size   int64
	slices int
	ahead  bool // the manifest is written ahead, under an intent
}

func (c *completion) run(ctx context.Context) (*metadata.Object, error) {
	done, err := c.load(ctx)
	if err == nil && done != nil && c.in.CustomerKey != nil {
		err = checkKey(done.Encryption, c.in.CustomerKey)
	}
	if err != nil || done != nil {
		return done, err
	}
	row, err := c.object()
	if err != nil {
		return nil, err
	}
	if c.slices > manifestInPlace {
		if err := c.writeAhead(ctx); err != nil {
			c.abandon(ctx)
			return nil, err
		}
	}
	err = c.svc.publishObject(ctx, publication{
		bucket: c.target.bucket, row: row, pre: c.in.Precondition,
		token: metadata.Token(c.target.id),
		lock:  Lock{c.upload.Retention, c.upload.LegalHold},
		data:  func(tx *metadata.Tx) ([]byte, error) { return nil, c.publish(tx, row) },
		ahead: func(tx *metadata.Tx) {
			tx.AheadUpload(c.target.bucket.ID, string(c.target.key), c.target.id, 0)
			tx.AheadPartsStamp(c.target.bucket.ID, c.target.id)
		},
	})
	if err != nil && c.ahead {
		c.abandon(ctx)
	}
	return row, err
}

// load reads the upload and its parts in one snapshot and holds the client's
// list against them. It returns the object when the upload was completed before.
func (c *completion) load(ctx context.Context) (done *metadata.Object, err error) {
	err = c.svc.db.ViewShared(ctx, "complete", func(r *metadata.Reader) error {
		c.parts, c.unused, c.size, c.slices = nil, nil, 0, 0 // a View may run again
		b := c.target.bucket.ID
		r.AheadUpload(b, string(c.target.key), c.target.id, 0)
		r.AheadPartsStamp(b, c.target.id)
		r.AheadParts(b, c.target.id, 0, partsPage)
		c.upload, err = r.Upload(b, string(c.target.key), c.target.id)
		if err != nil {
			return err
		}
		if c.upload == nil {
			done, err = c.completed(r)
			return err
		}
		if c.stamp, err = r.PartsStamp(b, c.target.id); err != nil {
			return err
		}
		all, err := c.allParts(r)
		if err != nil {
			return err
		}
		return c.choose(all)
	})
	return done, err
}

// choose takes the parts that the client lists, in its order.
func (c *completion) choose(all []metadata.Part) error {
	if err := c.checkOrder(); err != nil {
		return err
	}
	i := 0
	for n := range c.list {
		want := &c.list[n]
		for i < len(all) && all[i].Number < want.Number {
			c.unused = append(c.unused, all[i])
			i++
		}
		if i >= len(all) || all[i].Number != want.Number {
			return invalidPart(want, c.target.name)
		}
		if err := c.accept(&all[i], want, n == len(c.list)-1); err != nil {
			return err
		}
		i++
	}
	c.unused = append(c.unused, all[i:]...)
	return c.checkSize()
}

// checkOrder holds that parts are listed in order; it comes before anything
// that is said of a single part. Of a part that is listed more than once, as
// after it was sent again, the last entry counts.
func (c *completion) checkOrder() error {
	if len(c.in.Parts) == 0 {
		return s3.NewError(s3.MalformedXML)
	}
	last := c.in.Parts[0].Number
	for i := range c.in.Parts {
		if c.in.Parts[i].Number < last {
			return s3.NewError(s3.InvalidPartOrder).With("UploadId", string(c.target.name))
		}
		last = c.in.Parts[i].Number
	}
	return nil
}

// lastOfEach is the list without entries that a later one of the same number
// replaces.
func lastOfEach(list []CompletedPart) []CompletedPart {
	out := make([]CompletedPart, 0, len(list))
	for i := range list {
		if i+1 < len(list) && list[i+1].Number == list[i].Number {
			continue
		}
		out = append(out, list[i])
	}
	return out
}

func invalidPart(want *CompletedPart, id s3.UploadID) error {
	return s3.NewError(s3.InvalidPart).With("UploadId", string(id)).
		With("PartNumber", itoa(want.Number)).With("ETag", string(want.ETag))
}

func (c *completion) accept(p *metadata.Part, want *CompletedPart, last bool) error { //nolint:revive // the last part has no least size
	if want.ETag != s3.ETag(p.ETag) {
		return invalidPart(want, c.target.name)
	}
	for _, sum := range want.Checksums {
		if have := checksumOf(p.Checksums, sum.Algorithm); have != sum.Value {
			return invalidPart(want, c.target.name)
		}
	}
	if !last && p.Size < s3.MinPartSize {
		return s3.NewError(s3.EntityTooSmall).WithInt("ProposedSize", p.Size).
			WithInt("MinSizeAllowed", s3.MinPartSize).With("PartNumber", itoa(p.Number)).With("ETag", p.ETag)
	}
	c.parts = append(c.parts, *p)
	c.size += p.Size
	c.slices += 1 + len(p.Slices)
	return nil
}

func (c *completion) checkSize() error {
	if c.size > s3.MaxObjectSize {
		return tooLarge(c.size)
	}
	if c.in.Size >= 0 && c.in.Size != c.size {
		return s3.NewError(s3.InvalidRequest).WithMessage(
			"The provided 'x-amz-mp-object-size' header value does not match the size of the object.")
	}
	return nil
}

func checksumOf(sums []Checksum, algorithm string) string {
	for _, s := range sums {
		if s.Algorithm == algorithm {
			return s.Value
		}
	}
	return ""
}

// object is the row of the completed object, without its data.
func (c *completion) object() (*metadata.Object, error) {
	u := c.upload
	row := &metadata.Object{
		Key: u.Key, Size: c.size, Attributes: u.Attributes, Tags: u.Tags, ACL: u.ACL,
		Parts: len(c.parts), Owner: u.Owner, Encryption: u.Encryption,
	}
	if err := c.checkKey(); err != nil {
		return nil, err
	}
	row.ETag = multipartETag(len(c.parts), func(i int) string { return c.parts[i].ETag })
	sum, err := c.combine()
	if err != nil {
		return nil, err
	}
	if sum != nil {
		row.Checksums = []Checksum{*sum}
	}
	return row, nil
}

// checkKey holds the client's key against the upload's. It may be left out, but
// not where the upload was begun with a checksum: AWS documents both.
func (c *completion) checkKey() error {
	x := c.upload.Encryption
	switch {
	case c.in.CustomerKey != nil:
		return checkKey(x, c.in.CustomerKey)
	case x != nil && x.Mode == EncryptedC && c.upload.Checksum.Algorithm != "":
		return s3.NewError(s3.InvalidRequest).WithMessage(noKeyOfUpload)
	}
	return nil
}

// combine computes the object's checksum from those of its parts, nil when a
// part has none of the algorithm (a part copied without its bytes being read).
// What the client says of the object is then refused, never ignored.
func (c *completion) combine() (*Checksum, error) {
	kind, err := c.sumKind()
	if err != nil {
		return nil, err
	}
	a, _ := checksum.Parse(kind.Algorithm)
	t, _ := checksum.ParseType(kind.Type)
	combiner, err := checksum.NewCombiner(a, t)
	if err != nil {
		return nil, err
	}
	for i := range c.parts {
		raw, err := a.Decode(checksumOf(c.parts[i].Checksums, kind.Algorithm))
		if err != nil {
			return nil, c.unverifiable(kind.Algorithm)
		}
		if err := combiner.Add(raw, c.parts[i].Size); err != nil {
			return nil, err
		}
	}
	kind.Value = combiner.String()
	if want := c.in.Expected; want.Value != "" && want.Value != kind.Value {
		return nil, s3.NewError(s3.BadDigest).WithMessage(
			"The " + want.Algorithm + " you specified did not match the calculated checksum.")
	}
	return &kind, nil
}

// sumKind is the algorithm and type of the object's checksum: the upload's,
// else what the client says of the object if parts combine so, else CRC64NVME.
func (c *completion) sumKind() (Checksum, error) {
	kind, want := c.upload.Checksum, c.in.Expected
	full := checksum.FullObject.String()
	if kind.Algorithm == "" {
		kind = Checksum{Algorithm: checksum.CRC64NVME.String(), Type: full}
		if a, ok := checksum.Parse(want.Algorithm); ok && want.Value != "" && a.Supports(checksum.FullObject) {
			kind.Algorithm = want.Algorithm
		}
	}
	if want.Type != "" && want.Type != kind.Type {
		return kind, s3.NewError(s3.BadDigest).WithMessage("The upload was created using the " + kind.Type +
			" checksum mode. The complete request must use the same checksum mode.")
	}
	if want.Value != "" && want.Algorithm != kind.Algorithm {
		return kind, s3.NewError(s3.BadDigest).WithMessage(
			"The " + want.Algorithm + " you specified did not match the calculated checksum.")
	}
	return kind, nil
}

// unverifiable is the error where the client says what no part allows to check.
func (c *completion) unverifiable(algorithm string) error {
	if c.in.Expected.Value == "" {
		return nil
	}
	return s3.NewError(s3.InvalidRequest).WithMessage(
		"The " + algorithm + " of the object cannot be verified: a part was stored without it.")
}

// publish turns the upload into the object: the rows of the manifest, the end of the
// upload, and the data of unused parts given up.
func (c *completion) publish(tx *metadata.Tx, row *metadata.Object) error {
	b := c.target.bucket.ID
	u, err := tx.Upload(b, string(c.target.key), c.target.id)
	if err != nil {
		return err
	}
	if u == nil {
		return errPartsChanged // it ended: the next attempt finds how
	}
	stamp, err := tx.PartsStamp(b, c.target.id)
	if err != nil {
		return err
	}
	if !bytes.Equal(stamp, c.stamp) {
		return errPartsChanged
	}
	row.Data = metadata.Data{Kind: metadata.DataManifest, ID: c.manifest}
	if c.size == 0 {
		row.Data = metadata.Data{Kind: metadata.DataEmpty}
	} else if err := c.publishManifest(tx); err != nil {
		return err
	}
	if err := tx.DeleteUpload(b, u); err != nil {
		return err
	}
	return c.endParts(tx)
}

// endParts removes the parts: the manifest has taken over the data of those
// listed, that of the others is given up.
func (c *completion) endParts(tx *metadata.Tx) error {
	b, id := c.target.bucket.ID, c.target.id
	if slicesOf(c.unused) > releaseInPlace {
		if err := tx.TakeParts(b, id, c.parts); err != nil {
			return err
		}
		return tx.ReleaseUpload(b, id)
	}
	total := c.size
	for i := range c.unused {
		total += c.unused[i].Size
		if err := tx.ReleaseSlices(c.unused[i].Slices); err != nil {
			return err
		}
	}
	return tx.DeleteParts(b, id, total)
}

func (c *completion) publishManifest(tx *metadata.Tx) error {
	if !c.ahead {
		return tx.PutManifest(c.manifest, 0, manifestParts(c.parts))
	}
	return tx.FinishIntent(c.manifest)
}

func manifestParts(parts []metadata.Part) []metadata.ManifestPart {
	out := make([]metadata.ManifestPart, len(parts))
	for i := range parts {
		p := &parts[i]
		out[i] = metadata.ManifestPart{Number: p.Number, Size: p.Size, Checksums: p.Checksums, Slices: p.Slices}
	}
	return out
}

// writeAhead writes the manifest in transactions of bounded size.
func (c *completion) writeAhead(ctx context.Context) error {
	c.ahead = true
	offset := int64(0)
	for rest := c.parts; len(rest) > 0; {
		n, slices := 0, 0
		size := int64(0)
		for n < len(rest) && (n == 0 || slices+len(rest[n].Slices) < manifestBatch) {
			slices += 1 + len(rest[n].Slices)
			size += rest[n].Size
			n++
		}
		batch := manifestParts(rest[:n])
		err := c.svc.db.Update(ctx, "manifest", func(tx *metadata.Tx) error {
			if err := c.svc.announce(tx, c.manifest, c.target.bucket.ID, offset == 0); err != nil {
				return err
			}
			return tx.PutManifest(c.manifest, offset, batch)
		})
		if err != nil {
			return err
		}
		offset += size
		rest = rest[n:]
	}
	return nil
}

// abandon drops a manifest written ahead that was not published. Its slices
// belong to the parts still.
func (c *completion) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	err := c.svc.db.Update(ctx, "abandon", func(tx *metadata.Tx) error {
		intent, err := tx.Intent(c.manifest)
		if err != nil || intent == nil {
			return err // published after all, or collected
		}
		if err := tx.DeleteIntent(c.manifest); err != nil {
			return err
		}
		return tx.DeleteManifest(c.manifest)
	})
	if err != nil {
		c.svc.opts.Logger.WarnContext(ctx, "abandoned manifest is left to the collector", slog.Any("error", err))
	}
}
