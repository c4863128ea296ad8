package gateway

import (
	"errors"
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// getObjectTagging answers GetObjectTagging.
func (g *Gateway) getObjectTagging(x *exchange) error {
	out, err := g.o.Objects.HeadObject(x.r.Context(), objects.GetObjectInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, Keyless: true,
	})
	if err != nil {
		return x.refuseMarker(err)
	}
	x.showVersion(&out.Object)
	tags := make([]s3.Tag, 0, s3.MaxObjectTags)
	for i := range out.Object.Tags {
		tags = append(tags, s3.Tag{Key: out.Object.Tags[i].Name, Value: out.Object.Tags[i].Value})
	}
	return g.withDocument(x, func(dst []byte) []byte { return s3.AppendTagging(dst, tags) })
}

// putObjectTagging answers PutObjectTagging.
func (g *Gateway) putObjectTagging(x *exchange) error {
	body, err := x.readConfiguration()
	if err != nil {
		return err
	}
	tags, err := s3.DecodeObjectTagging(body)
	if err != nil {
		return err
	}
	x.tags = pairsOf(tags)
	return g.replaceTags(x, http.StatusOK)
}

// deleteObjectTagging answers DeleteObjectTagging.
func (g *Gateway) deleteObjectTagging(x *exchange) error {
	return g.replaceTags(x, http.StatusNoContent)
}

// replaceTags gives the version that the request names the exchange's tags.
func (g *Gateway) replaceTags(x *exchange, status int) error {
	o, err := g.o.Objects.PutObjectTagging(x.r.Context(), objects.PutObjectTaggingInput{
		Bucket: x.bucket, Key: x.key, VersionID: x.version(), Access: x.access, Tags: x.tags,
	})
	if err != nil {
		return x.refuseMarker(err)
	}
	x.showVersion(&o)
	return x.finish(status)
}

// refuseMarker answers for a delete marker, which has no tags: not even that
// there is no key, as other operations say.
func (x *exchange) refuseMarker(err error) error {
	if _, ok := errors.AsType[*objects.MarkerError](err); ok {
		return s3.NewError(s3.MethodNotAllowed).With("Method", x.r.Method).With("ResourceType", "DeleteMarker")
	}
	return err
}

// headerTags returns the tags that x-amz-tagging asks for: none without the
// header. Whether the caller may set them is asked with all else of the object.
func (x *exchange) headerTags() ([]objects.Pair, error) {
	header := x.header(s3.HeaderTagging)
	if header == "" {
		return nil, nil
	}
	tags, err := s3.ParseTagging(header)
	if err != nil || len(tags) == 0 {
		return nil, err
	}
	x.tags = pairsOf(tags)
	return x.tags, nil
}

func pairsOf(tags []s3.Tag) []objects.Pair {
	pairs := make([]objects.Pair, 0, len(tags))
	for i := range tags {
		pairs = append(pairs, objects.Pair{Name: tags[i].Key, Value: tags[i].Value})
	}
	return pairs
}

// showTagCount tells how many tags an object has to whom may read them.
func (x *exchange) showTagCount(o *objects.Object) {
	if len(o.Tags) == 0 {
		return
	}
	q := question{action: "s3:GetObjectTagging", place: &x.place, bucket: x.bucket, key: x.key, version: x.version(), object: o}
	if x.version() != "" {
		q.action = "s3:GetObjectVersionTagging"
	}
	if x.decide(&q).Allowed {
		x.setInt(s3.HeaderTaggingCount, int64(len(o.Tags)))
	}
}
