package compat

import (
	"fmt"
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

// TestBucketRequestPaymentOthers: others have to confirm that they pay, in a
// header or in the URL, and are told that they do.
func TestBucketRequestPaymentOthers(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	put(t, c, bucket, "k", []byte("body"))
	other := s.newAccount(t, "Requester")
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"s3:*","Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`,
		other.ID, bucket, bucket)
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	theirs := s.as(other.Key)
	wantBytes(t, "before", get(t, theirs, bucket, "k"), []byte("body"))
	_, err := c.PutBucketRequestPayment(t.Context(), &s3.PutBucketRequestPaymentInput{
		Bucket: &bucket, RequestPaymentConfiguration: &types.RequestPaymentConfiguration{Payer: types.PayerRequester},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = theirs.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k")})
	wantError(t, err, 403, "AccessDenied")
	_, err = theirs.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	wantError(t, err, 403, "AccessDenied")
	_, err = theirs.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("new")})
	wantError(t, err, 403, "AccessDenied")
	wantAbsent(t, c, bucket, "new")

	got, err := theirs.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), RequestPayer: types.RequestPayerRequester})
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "paid for", readAll(t, got.Body), []byte("body"))
	list, err := theirs.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, RequestPayer: types.RequestPayerRequester})
	if err != nil || got.RequestCharged != types.RequestChargedRequester || list.RequestCharged != types.RequestChargedRequester {
		t.Errorf("charged %q for GET, %q for a listing, %v", got.RequestCharged, list.RequestCharged, err)
	}
	resp := s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Query: "x-amz-request-payer=requester", AccessKey: other.Key.AccessKey, SecretKey: other.Key.SecretKey})
	resp.want(t, "confirmed in the URL", 200)
	if resp.Header.Get("x-amz-request-charged") != "requester" {
		t.Errorf("headers %v", resp.Header)
	}
	wantBytes(t, "the owner", get(t, c, bucket, "k"), []byte("body"))
}
