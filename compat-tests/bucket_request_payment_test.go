package compat

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestBucketRequestPaymentLife(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	for _, payer := range []types.Payer{types.PayerBucketOwner, types.PayerRequester, types.PayerBucketOwner} {
		_, err := c.PutBucketRequestPayment(t.Context(), &s3.PutBucketRequestPaymentInput{
			Bucket: &bucket, RequestPaymentConfiguration: &types.RequestPaymentConfiguration{Payer: payer},
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.GetBucketRequestPayment(t.Context(), &s3.GetBucketRequestPaymentInput{Bucket: &bucket})
		if err != nil || out.Payer != payer {
			t.Errorf("payer %q, %v, want %q", out.Payer, err, payer)
		}
	}
	put := func(bucket, body string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket, Query: "requestPayment=", Body: []byte(body)})
	}
	const document = "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"
	put(bucket, "<RequestPaymentConfiguration><Payer>Random</Payer></RequestPaymentConfiguration>").want(t, "other payer", 400, "MalformedXML")
	put(bucket, "<RequestPaymentConfiguration/>").want(t, "no payer", 400, "MalformedXML")
	put(bucket, "").want(t, "no document", 400, "MissingRequestBodyError")
	put("missing-"+randomHex(6), document).want(t, "no bucket", 404, "NoSuchBucket")
}

// TestBucketRequestPaymentOwner: the owner needs not confirm anything, and is
// not told that it is charged.
func TestBucketRequestPaymentOwner(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	_, err := c.PutBucketRequestPayment(t.Context(), &s3.PutBucketRequestPaymentInput{
		Bucket: &bucket, RequestPaymentConfiguration: &types.RequestPaymentConfiguration{Payer: types.PayerRequester},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, payer := range []types.RequestPayer{"", types.RequestPayerRequester} {
		out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), RequestPayer: payer})
		if err != nil || out.RequestCharged != "" {
			t.Errorf("payer %q: charged %q, %v", payer, out.RequestCharged, err)
		}
	}
	s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Anonymous: true}).want(t, "anonymous", 403, "AccessDenied")
	s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Anonymous: true, Header: header("x-amz-request-payer", "requester")}).
		want(t, "anonymous that would pay", 403, "AccessDenied")
}
