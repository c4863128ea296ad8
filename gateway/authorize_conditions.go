package gateway

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// conditions are the condition keys of one question. A key costs nothing until
// a statement asks for it.
type conditions struct {
	x *exchange
	q *question
}

var _ iam.Context = (*conditions)(nil)

// Values implements [iam.Context].
func (c *conditions) Values(key string) []string {
	service, name, _ := strings.Cut(key, ":")
	switch service {
	case "aws":
		return c.global(name)
	case "s3":
		return c.s3(name)
	}
	return nil
}

func one(value string) []string { return []string{value} }

// optional is a key that is absent when it would be empty.
func optional(value string) []string {
	if value == "" {
		return nil
	}
	return one(value)
}

// global are AWS's global keys. Those of the caller and of the bucket's owner
// are iam's to answer.
func (c *conditions) global(name string) []string {
	switch name {
	case "sourceip":
		return optional(sourceIP(c.x.r.RemoteAddr))
	case "securetransport":
		return one(strconv.FormatBool(c.x.r.TLS != nil))
	case "referer":
		return optional(c.x.header("Referer"))
	case "currenttime":
		return one(c.x.started.UTC().Format(time.RFC3339))
	case "epochtime":
		return one(strconv.FormatInt(c.x.started.Unix(), 10))
	case "requestedregion":
		return one(c.x.gateway.o.Region)
	case "useragent":
		return optional(c.x.header("User-Agent"))
	case "tagkeys":
		return tagKeys(c.x.bucketTags)
	}
	if tag, ok := strings.CutPrefix(name, "requesttag/"); ok {
		return tagValue(c.x.bucketTags, tag)
	}
	return nil
}

// sourceIP is the address of a client without its port and zone.
func sourceIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, "%")
	return host
}

// s3 are the keys of S3.
func (c *conditions) s3(name string) []string {
	switch name {
	case "prefix", "delimiter", "max-keys":
		return c.listing(name)
	case "x-amz-copy-source":
		return c.copySource()
	case "versionid":
		return optional(string(c.q.version))
	case "locationconstraint":
		return optional(c.x.region)
	case "x-amz-object-ownership":
		return c.ownership()
	case "x-amz-content-sha256":
		return c.payload()
	case "objectcreationoperation":
		return c.creates()
	case "if-match":
		if c.q.match != "" {
			return one(c.q.match)
		}
		return c.header(name)
	case "if-none-match":
		return c.header(name)
	case "requestobjecttagkeys":
		return tagKeys(c.requestTags())
	}
	if tag, ok := strings.CutPrefix(name, "requestobjecttag/"); ok {
		return tagValue(c.requestTags(), tag)
	}
	if tag, ok := strings.CutPrefix(name, "existingobjecttag/"); ok && c.q.object != nil {
		return tagValue(c.q.object.Tags, tag)
	}
	if strings.HasPrefix(name, "x-amz-server-side-encryption") || strings.HasPrefix(name, "x-amz-copy-source-server-side-encryption") {
		return c.encryption(name)
	}
	if strings.HasPrefix(name, "x-amz-") {
		return c.header(name)
	}
	if strings.HasPrefix(name, "object-lock-") {
		return c.objectLock(name)
	}
	return c.signature(name)
}

// header is a key that is a request header. Of one that is there several times
// the first counts, as for the operation, and an empty one is none; grants add
// up, so that no condition holds for one of them alone.
func (c *conditions) header(name string) []string {
	name = http.CanonicalHeaderKey(name)
	if strings.HasPrefix(name, "X-Amz-Grant-") {
		return optional(strings.Join(c.x.r.Header[name], ","))
	}
	return optional(c.x.header(name))
}

// payload is what the signature says of the body. A presigned URL may have the
// header from whoever has the URL: then it says nothing.
func (c *conditions) payload() []string {
	const name = "X-Amz-Content-Sha256"
	if auth := c.x.auth; auth == nil || auth.Auth != sigv4.AuthQuery || auth.Legacy {
		return c.header(name)
	} else if !slices.Contains(strings.Split(auth.SignedHeaders, ";"), strings.ToLower(name)) {
		return one(cmp.Or(c.x.param(name), "UNSIGNED-PAYLOAD"))
	}
	return one(cmp.Or(c.x.param(name), c.x.header(name), "UNSIGNED-PAYLOAD"))
}

// ownership is what a document asks for, or the header of CreateBucket.
func (c *conditions) ownership() []string {
	if c.x.op.Name == "PutBucketOwnershipControls" {
		return optional(string(c.x.ownership))
	}
	return c.header("x-amz-object-ownership")
}

// listing are the keys of listings. Whether somebody may know that a key is
// not there is asked as of a listing with it as the prefix.
func (c *conditions) listing(name string) []string {
	if c.q.listed {
		if name == "prefix" {
			return one(string(c.q.key))
		}
		return nil
	}
	if c.x.scope != ScopeBucket || !strings.HasPrefix(c.x.op.Name, "List") {
		return nil
	}
	values := c.x.query[name]
	return values[:min(len(values), 1)] // the one that the listing takes
}

// copySource is bucket/key, with and without the slash before it: policies
// are written both ways.
func (c *conditions) copySource() []string {
	header := c.x.header(s3.HeaderCopySource)
	if header == "" {
		return nil
	}
	src, err := s3.ParseCopySource(header)
	if err != nil {
		return one(header)
	}
	path := string(src.Bucket) + "/" + string(src.Key)
	return []string{path, "/" + path}
}

// creates says whether the operation makes an object, or a piece of one.
func (c *conditions) creates() []string {
	switch c.x.op.Name {
	case "PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload":
		return one("true")
	case "CreateMultipartUpload", "UploadPart", "UploadPartCopy":
		return one("false")
	}
	return nil
}

// signature are the keys of how the request was signed and sent.
func (c *conditions) signature(name string) []string {
	auth := c.x.auth
	if name == "tlsversion" {
		return tlsVersion(c.x.r)
	}
	if auth == nil || auth.Auth == sigv4.AuthAnonymous {
		return nil
	}
	switch name {
	case "signatureversion":
		if auth.Legacy {
			return one("AWS")
		}
		return one("AWS4-HMAC-SHA256")
	case "signatureage":
		if auth.Time.IsZero() {
			return nil
		}
		return one(strconv.FormatInt(max(0, c.x.started.Sub(auth.Time).Milliseconds()), 10))
	case "authtype":
		return one(authType(auth.Auth))
	}
	return nil
}

func authType(a sigv4.AuthType) string {
	switch a {
	case sigv4.AuthQuery:
		return "REST-QUERY-STRING"
	case sigv4.AuthForm:
		return "POST"
	case sigv4.AuthAnonymous, sigv4.AuthHeader:
	}
	return "REST-HEADER"
}

// tlsVersion is the version of TLS as policies write it: 1.3.
func tlsVersion(r *http.Request) []string {
	if r.TLS == nil {
		return nil
	}
	const tls10 = 0x0301
	return one("1." + strconv.Itoa(int(r.TLS.Version)-tls10))
}

// requestTags are the tags that the request sets: those of the source of a copy
// that keeps them, those that the handler has read of the body, else those of
// the header.
func (c *conditions) requestTags() []objects.Pair {
	x := c.x
	if x.copiesTags() {
		return c.q.copied
	}
	if x.tags != nil {
		return x.tags
	}
	tags, err := s3.ParseTagging(x.header(s3.HeaderTagging))
	if err != nil {
		return nil // the handler refuses it
	}
	return pairsOf(tags)
}

func tagKeys(tags []objects.Pair) []string {
	var keys []string
	for i := range tags {
		keys = append(keys, tags[i].Name)
	}
	return keys
}

// tagValue returns the values of the tags of a name. Tags whose names differ in
// case alone are all meant: the name of a condition key has none.
func tagValue(tags []objects.Pair, name string) []string {
	var values []string
	for i := range tags {
		if strings.EqualFold(tags[i].Name, name) {
			values = append(values, tags[i].Value)
		}
	}
	return values
}
