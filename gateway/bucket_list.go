package gateway

import (
	"strconv"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// listBuckets answers ListBuckets.
func (g *Gateway) listBuckets(x *exchange) error {
	in, err := x.listBucketsInput()
	if err != nil {
		return err
	}
	var out objects.ListBucketsOutput
	if region := x.param("bucket-region"); region == "" || region == g.o.Region {
		if out, err = g.o.Objects.ListBuckets(x.r.Context(), in); err != nil {
			return err
		}
	}
	res := s3.ListBucketsResult{Owner: x.owner(in.Owner), Prefix: in.Prefix}
	res.Buckets = make([]s3.BucketEntry, 0, len(out.Buckets))
	for i := range out.Buckets {
		b := &out.Buckets[i]
		res.Buckets = append(res.Buckets, s3.BucketEntry{Name: b.Name, Created: b.Created, Region: b.Region})
	}
	if out.Truncated && len(out.Buckets) > 0 {
		res.ContinuationToken = position{after: string(out.Buckets[len(out.Buckets)-1].Name)}.encode()
	}
	return g.withDocument(x, res.AppendXML)
}

func (x *exchange) listBucketsInput() (objects.ListBucketsInput, error) {
	in := objects.ListBucketsInput{Owner: x.ownerID(), Prefix: x.param("prefix"), Max: s3.MaxListBuckets}
	if value := x.param("max-buckets"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > s3.MaxListBuckets {
			return in, s3.InvalidArg("max-buckets", value,
				"Argument max-buckets must be an integer between 1 and 10000.")
		}
		in.Max = n
	}
	if token := x.param("continuation-token"); token != "" {
		p, err := parsePosition(token)
		if err != nil {
			return in, err
		}
		in.After = p.after
	}
	return in, nil
}
