package gateway

import (
	"github.com/undercroft/undercroft/s3"
)

// listObjectsV2 answers ListObjectsV2.
func (g *Gateway) listObjectsV2(x *exchange) error {
	in, encoding, err := x.listInput()
	if err != nil {
		return err
	}
	res := s3.ListObjectsV2Result{
		Bucket: in.Bucket, Prefix: in.Prefix, StartAfter: x.param("start-after"),
		Delimiter: in.Delimiter, MaxKeys: in.Max, Encoding: encoding,
	}
	in.After = res.StartAfter
	in.AfterPrefix = isCommonPrefix(in.After, in.Prefix, in.Delimiter)
	if token, ok := x.query["continuation-token"]; ok {
		res.ContinuationToken = &token[0]
		if token[0] != "" {
			p, err := parsePosition(token[0])
			if err != nil {
				return err
			}
			in.After, in.AfterPrefix = p.after, p.prefix
		}
	}
	out, err := g.o.Objects.ListObjects(x.r.Context(), in)
	if err != nil {
		return err
	}
	var show func(s3.OwnerID) s3.Owner
	if x.param("fetch-owner") == "true" {
		show = x.owner
	}
	res.Objects, res.CommonPrefixes = x.entries(out.Objects, show), out.CommonPrefixes
	res.KeyCount = len(out.Objects) + len(out.CommonPrefixes)
	if out.Truncated {
		res.Truncated = true
		res.NextContinuationToken = position{after: out.Next, prefix: out.NextIsPrefix}.encode()
	}
	return g.withDocument(x, res.AppendXML)
}
