package compat

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestAnonymousAccess(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner := newParty(t, s, "owner")
	bucket := owner.openBucket(t)
	put(t, owner.Client, bucket, "key", []byte("body"))
	ask := func(method, path, query string, body []byte) *rawResponse {
		t.Helper()
		return s.raw(t, &rawRequest{Method: method, Path: "/" + path, Query: query, Body: body, Anonymous: true})
	}
	for _, path := range []string{"", bucket, bucket + "/key", bucket + "/none"} {
		ask("GET", path, "", nil).want(t, "GET /"+path, 403, "AccessDenied")
	}
	ask("PUT", "anonymous-"+randomHex(6), "", nil).want(t, "CreateBucket", 403, "AccessDenied")
	ask("PUT", bucket+"/new", "", []byte("x")).want(t, "PUT", 403, "AccessDenied")
	ask("DELETE", bucket+"/key", "", nil).want(t, "DELETE", 403, "AccessDenied")
	ask("GET", bucket, "acl=", nil).want(t, "GetBucketAcl", 403, "AccessDenied")
	ask("GET", "missing-"+randomHex(6)+"/key", "", nil).want(t, "no bucket", 404, "NoSuchBucket")
	if _, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, ACL: "public-read-write"}); err != nil {
		t.Fatal(err)
	}
	ask("GET", bucket, "", nil).want(t, "GET of a public bucket", 200)
	ask("GET", bucket+"/key", "", nil).want(t, "a private object of it", 403, "AccessDenied")
	ask("GET", bucket+"/none", "", nil).want(t, "a missing object of it", 404, "NoSuchKey")
	ask("PUT", bucket+"/new", "", []byte("x")).want(t, "PUT", 200)
	ask("DELETE", bucket+"/new", "", nil).want(t, "DELETE", 204)
	owner.setPolicy(t, bucket, statementFor("Allow", `"*"`, "s3:GetObject", bucket))
	got := ask("GET", bucket+"/key", "", nil)
	got.want(t, "with a policy", 200)
	wantBytes(t, "with a policy", got.Body, []byte("body"))
	ask("GET", bucket+"/key", "response-content-type=a/b", nil).want(t, "with an override", 400, "InvalidRequest")
}
