package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// deletesAtOnce is how many keys of one request are deleted at a time, so that
// they share the flushes of the log.
const deletesAtOnce = 32

// deleteObjects answers DeleteObjects. Each key is a deletion of its own.
func (g *Gateway) deleteObjects(x *exchange) error {
	body, digested, err := x.readDocument(s3.MaxDeleteBody)
	if err != nil {
		return err
	}
	if !digested {
		return invalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	req, err := s3.DecodeDelete(body)
	if err != nil {
		return err
	}
	ctx := x.r.Context()
	x.decided = true // for the answer; each key is decided below
	outcomes := make([]deletion, len(req.Objects))
	var group errgroup.Group
	group.SetLimit(deletesAtOnce)
	for i := range req.Objects {
		group.Go(func() error {
			outcomes[i] = g.deleteOne(ctx, x, &req.Objects[i])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g.logDenials(ctx, x, outcomes)
	res := deleteResult(outcomes, req)
	return g.withDocument(x, res.AppendXML)
}

// deletion is what became of one key.
type deletion struct {
	out objects.DeleteObjectOutput
	err *s3.Error
}

// deleteOne deletes a key. It runs beside others of its exchange and only
// reads that.
func (g *Gateway) deleteOne(ctx context.Context, x *exchange, o *s3.ObjectToDelete) (d deletion) {
	defer func() {
		if p := recover(); p != nil {
			d.err = g.deleteFailed(ctx, x, o, fmt.Errorf("panic: %v", p))
		}
	}()
	q := question{action: "s3:DeleteObject", place: &x.place, bucket: x.bucket, key: o.Key, version: o.Version, match: o.ETag}
	read := question{action: "s3:GetObject", place: &x.place, bucket: x.bucket, key: o.Key, version: o.Version}
	if o.Version != "" {
		q.action, read.action = "s3:DeleteObjectVersion", "s3:GetObjectVersion"
	}
	err := s3.ValidateKey(o.Key)
	if err == nil {
		err = check(x.decide(&q))
	}
	var precondition objects.WritePrecondition
	if err == nil {
		precondition, err = deletePrecondition(o.ETag, o.LastModifiedTime, o.Size)
	}
	if err == nil {
		d.out, err = g.o.Objects.DeleteObject(ctx, objects.DeleteObjectInput{
			Bucket: x.bucket, Key: o.Key, VersionID: o.Version, Owner: x.markerOwner(), Precondition: x.comparing(&read, precondition),
			Bypass: x.bypass(o.Key, o.Version),
		})
	}
	if err != nil {
		d.err = g.deleteFailed(ctx, x, o, err)
	}
	return d
}

// deleteFailed logs what is the server's fault: the response is a 200 and
// would hide it.
func (g *Gateway) deleteFailed(ctx context.Context, x *exchange, o *s3.ObjectToDelete, err error) *s3.Error {
	e := answerOf(err)
	if e.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		g.o.Logger.LogAttrs(ctx, slog.LevelWarn, "deletion failed",
			slog.String("id", x.requestID), slog.String("bucket", string(x.bucket)),
			slog.String("key", string(o.Key)), slog.String("error", err.Error()))
	}
	return e
}

// logDenials logs how many keys the caller was refused, and why the first of
// them: a line for each would be a thousand.
func (g *Gateway) logDenials(ctx context.Context, x *exchange, outcomes []deletion) {
	var first *denial
	count := 0
	for i := range outcomes {
		if outcomes[i].err == nil {
			continue
		}
		if d, ok := errors.AsType[*denial](outcomes[i].err); ok {
			count++
			first = cmp.Or(first, d)
		}
	}
	if count > 0 {
		g.o.Logger.LogAttrs(ctx, slog.LevelInfo, "deletions denied",
			slog.String("id", x.requestID), slog.String("bucket", string(x.bucket)),
			slog.Int("keys", count), slog.String("first", first.reason))
	}
}

// deleteResult lists the outcomes in the order of the request.
func deleteResult(outcomes []deletion, req s3.DeleteRequest) *s3.DeleteResult {
	res := &s3.DeleteResult{}
	for i := range outcomes {
		o, d := &req.Objects[i], &outcomes[i]
		if d.err != nil {
			res.Errors = append(res.Errors, s3.DeleteError{Key: o.Key, Version: o.Version, Err: d.err})
			continue
		}
		if req.Quiet {
			continue
		}
		entry := s3.DeletedObject{Key: o.Key, Version: o.Version}
		if d.out.DeleteMarker {
			entry.Marker, entry.MarkerVersion = true, d.out.VersionID
		}
		res.Deleted = append(res.Deleted, entry)
	}
	return res
}
