package gateway

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getBucketLifecycle answers GetBucketLifecycleConfiguration, and GetBucketLifecycle, which is the same request.
func (g *Gateway) getBucketLifecycle(x *exchange) error {
	doc := x.place.Config(objects.ConfigLifecycle)
	if doc == nil {
		return s3.NewError(s3.NoSuchLifecycleConfiguration).With("BucketName", string(x.bucket))
	}
	c, err := s3.ParseLifecycle(doc)
	if err != nil {
		return s3.NewError(s3.InternalError).Because(err)
	}
	x.set(s3.HeaderTransitionMinimum, string(c.Minimum))
	return x.document(http.StatusOK, c.AppendXML(nil))
}

// putBucketLifecycle answers PutBucketLifecycleConfiguration, and PutBucketLifecycle, whose
// document is one of the newer form too.
func (g *Gateway) putBucketLifecycle(x *exchange) error {
	minimum, err := s3.ParseTransitionMinimum(x.header(s3.HeaderTransitionMinimum))
	if err != nil {
		return err
	}
	body, _, err := x.readDocument(s3.MaxLifecycleBody)
	if err == nil && len(body) == 0 {
		err = s3.NewError(s3.MissingRequestBodyError)
	}
	if err != nil {
		return err
	}
	known := func(class s3.StorageClass) bool {
		return class == s3.StorageStandard || slices.Contains(g.o.StorageClasses, string(class))
	}
	c, err := s3.DecodeLifecycle(body, known, rand.Text)
	if err != nil {
		return err
	}
	c.Minimum = minimum
	if err := g.o.Objects.PutBucketConfig(x.r.Context(), x.bucket, objects.ConfigLifecycle, c.AppendStored(nil)); err != nil {
		return err
	}
	x.set(s3.HeaderTransitionMinimum, string(minimum))
	return x.finish(http.StatusOK)
}

// deleteBucketLifecycle answers DeleteBucketLifecycle.
func (g *Gateway) deleteBucketLifecycle(x *exchange) error {
	return g.deleteConfiguration(x, objects.ConfigLifecycle)
}

// lifecycle is what the bucket's rules are, nil where there are none. Rules that cannot be read are no
// reason to refuse an answer that only tells of them.
func (x *exchange) lifecycle() *objects.Lifecycle {
	if x.place.BucketState == nil {
		return nil
	}
	l, err := objects.Parsed(x.place.BucketState, objects.ConfigLifecycle, objects.ParseLifecycle)
	if err != nil {
		x.gateway.o.Logger.ErrorContext(x.r.Context(), "lifecycle rules of a bucket cannot be read",
			slog.String("bucket", string(x.bucket)), slog.Any("error", err))
	}
	return l
}

// showExpiration tells when a current version expires.
func (x *exchange) showExpiration(o *objects.Object) {
	if at, rule := x.lifecycle().Expiry(o); !at.IsZero() {
		x.set(s3.HeaderExpiration, `expiry-date="`+s3.FormatHTTP(at)+`", rule-id="`+strings.ReplaceAll(url.QueryEscape(rule), "+", "%20")+`"`)
	}
}

// showAbort tells when an upload is aborted.
func (x *exchange) showAbort(initiated time.Time) {
	if at, rule := x.lifecycle().Abort(x.key, initiated); !at.IsZero() {
		x.set(s3.HeaderAbortDate, s3.FormatHTTP(at))
		x.set(s3.HeaderAbortRuleID, strings.ReplaceAll(url.QueryEscape(rule), "+", "%20"))
	}
}
