package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// statementFor is a policy of one statement about a bucket and what is in it.
func statementFor(effect, principal, action, bucket string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"Only","Effect":%q,"Principal":%s,"Action":%q,"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%[4]s/*"]}]}`,
		effect, principal, action, bucket)
}

func (p *party) setPolicy(t *testing.T, bucket, doc string) {
	t.Helper()
	if _, err := p.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &doc}); err != nil {
		t.Fatal(err)
	}
}

func TestBucketPolicyLife(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket, key := bucketOf(t, owner.Client), aws.String("key")
	put(t, owner.Client, bucket, *key, []byte("body"))
	_, err := owner.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchBucketPolicy")
	doc := statementFor("Allow", `{"AWS":"arn:aws:iam::`+other.ID+`:root"}`, "s3:GetObject", bucket)
	owner.setPolicy(t, bucket, doc)
	out, err := owner.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket})
	if err != nil || aws.ToString(out.Policy) != doc {
		t.Errorf("%q %v", aws.ToString(out.Policy), err)
	}
	wantBytes(t, "what the policy allows", get(t, other.Client, bucket, *key), []byte("body"))
	_, err = other.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: key, Body: strings.NewReader("x")})
	wantError(t, err, 403, "AccessDenied")
	_, err = other.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket})
	wantError(t, err, 403, "AccessDenied")
	status, err := owner.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: &bucket})
	if err != nil || aws.ToBool(status.PolicyStatus.IsPublic) {
		t.Errorf("%+v %v", status, err)
	}
	if _, err := owner.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	_, err = other.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key})
	wantError(t, err, 403, "AccessDenied")
	for doc, code := range map[string]string{
		"hello": "MalformedPolicy",
		statementFor("Allow", `"*"`, "s3:GetObject", "another-bucket"):                                               "MalformedPolicy",
		statementFor("Perhaps", `"*"`, "s3:GetObject", bucket):                                                       "MalformedPolicy",
		strings.Replace(statementFor("Deny", `"*"`, "s3:GetObject", bucket), "Only", strings.Repeat("x", 20<<10), 1): "PolicyTooLarge",
	} {
		_, err := owner.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &doc})
		wantError(t, err, 400, code)
	}
}

// TestBucketPolicyDenialsHoldForTheOwner, who can still take the policy away.
func TestBucketPolicyDenialsHoldForTheOwner(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner := newParty(t, s, "owner")
	bucket, key := bucketOf(t, owner.Client), aws.String("key")
	put(t, owner.Client, bucket, *key, []byte("body"))
	owner.setPolicy(t, bucket, statementFor("Deny", `"*"`, "s3:*", bucket))
	_, err := owner.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key})
	wantError(t, err, 403, "AccessDenied")
	_, err = owner.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	wantError(t, err, 403, "AccessDenied")
	if _, err := owner.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "without the policy", get(t, owner.Client, bucket, *key), []byte("body"))
}

// TestBucketPolicyConditions: prefixes, headers, and what a missing key answers.
func TestBucketPolicyConditions(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket := bucketOf(t, owner.Client)
	put(t, owner.Client, bucket, "public/key", []byte("body"))
	principal := `"Principal":{"AWS":"` + other.ID + `"}`
	owner.setPolicy(t, bucket, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow",`+principal+`,"Action":"s3:ListBucket","Resource":"arn:aws:s3:::`+bucket+`","Condition":{"StringLike":{"s3:prefix":"public/*"}}},
		{"Effect":"Allow",`+principal+`,"Action":"s3:PutObject","Resource":"arn:aws:s3:::`+bucket+`/${aws:PrincipalAccount}/*"},
		{"Effect":"Deny",`+principal+`,"Action":"s3:PutObject","Resource":"arn:aws:s3:::`+bucket+`/*","Condition":{"Null":{"s3:x-amz-storage-class":"true"}}}]}`)
	list := func(prefix string) error {
		_, err := other.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
		return err
	}
	if err := list("public/"); err != nil {
		t.Error(err)
	}
	wantError(t, list("private/"), 403, "AccessDenied")
	head := func(key string) error {
		_, err := other.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
	wantError(t, head("public/none"), 404, "NotFound")
	wantError(t, head("private/none"), 403, "Forbidden")
	write := func(key string, class string) error {
		in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")}
		if class != "" {
			in.StorageClass = "STANDARD"
		}
		_, err := other.PutObject(t.Context(), in)
		return err
	}
	if err := write(other.ID+"/key", "STANDARD"); err != nil {
		t.Error(err)
	}
	wantError(t, write(other.ID+"/key", ""), 403, "AccessDenied")
	wantError(t, write(owner.ID+"/key", "STANDARD"), 403, "AccessDenied")
}

func TestBucketPolicyExpectedOwner(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket := bucketOf(t, owner.Client)
	if _, err := owner.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &bucket, ExpectedBucketOwner: &owner.ID}); err != nil {
		t.Error(err)
	}
	_, err := owner.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, ExpectedBucketOwner: &other.ID})
	wantError(t, err, 403, "AccessDenied")
}
