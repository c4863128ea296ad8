package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func identifiers(keys []string) []types.ObjectIdentifier {
	ids := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		ids[i].Key = &keys[i]
	}
	return ids
}

func TestDeleteObjectsVerboseAndQuiet(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for _, quiet := range []bool{false, true} {
		keys := []string{"a", "b/c", "ü &<>", "with\ttab"}
		putKeys(t, c, bucket, append([]string{"kept"}, keys...))
		asked := append(slices.Clone(keys), "never-there")
		out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{
			Bucket: &bucket, Delete: &types.Delete{Objects: identifiers(asked), Quiet: aws.Bool(quiet)},
		})
		if err != nil {
			t.Fatal(err)
		}
		var deleted []string
		for _, d := range out.Deleted {
			deleted = append(deleted, *d.Key)
		}
		want := asked
		if quiet {
			want = nil
		}
		slices.Sort(deleted)
		slices.Sort(want)
		if !slices.Equal(deleted, want) || len(out.Errors) != 0 {
			t.Errorf("quiet %v: deleted %q, errors %v; want %q", quiet, deleted, out.Errors, want)
		}
		if rest := keysOf(t, c, bucket); !slices.Equal(rest, []string{"kept"}) {
			t.Errorf("quiet %v: left %q", quiet, rest)
		}
	}
}

func TestDeleteObjectsThousand(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%04d", i)
	}
	putKeys(t, c, bucket, keys)
	out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: identifiers(keys)}})
	if err != nil || len(out.Deleted) != 1000 || len(out.Errors) != 0 {
		t.Fatalf("%d deleted, %d errors, %v", len(out.Deleted), len(out.Errors), err)
	}
	if rest := keysOf(t, c, bucket); len(rest) != 0 {
		t.Errorf("%d keys left", len(rest))
	}
	_, err = c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: identifiers(append(keys, "more"))}})
	wantError(t, err, 400, "MalformedXML")
}

func TestDeleteObjectsBadRequests(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", nil)
	send := func(body string, h map[string]string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "POST", Path: "/" + bucket, Query: "delete=", Body: []byte(body), Header: h})
	}
	contentMD5 := func(body string) map[string]string {
		sum := md5.Sum([]byte(body))
		return header("content-md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	const good = "<Delete><Object><Key>k</Key></Object></Delete>"
	send(good, nil).want(t, "neither Content-MD5 nor checksum", 400, "InvalidRequest")
	send(good, contentMD5("other")).want(t, "wrong Content-MD5", 400, "BadDigest")
	for name, body := range map[string]string{
		"empty": "", "no XML": "k", "unclosed": "<Delete><Object>", "no objects": "<Delete></Delete>", "another root": "<Remove><Object><Key>k</Key></Object></Remove>",
	} {
		resp := send(body, contentMD5(body))
		resp.want(t, name, 400, "MalformedXML", "MissingRequestBodyError")
	}
	if got := keysOf(t, c, bucket); len(got) != 1 {
		t.Fatalf("a refused request deleted: %q", got)
	}
	withNamespace := strings.Replace(good, "<Delete>", `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, 1)
	resp := send(withNamespace, contentMD5(withNamespace))
	resp.want(t, "namespace", 200)
	var doc struct {
		XMLName xml.Name `xml:"DeleteResult"`
		Deleted []struct{ Key string }
	}
	if err := xml.NewDecoder(bytes.NewReader(resp.Body)).Decode(&doc); err != nil || len(doc.Deleted) != 1 || doc.Deleted[0].Key != "k" {
		t.Errorf("%v: %s", err, resp.Body)
	}
}
