package compat

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func putCORS(t *testing.T, c *s3.Client, bucket string, rules ...types.CORSRule) error {
	t.Helper()
	_, err := c.PutBucketCors(t.Context(), &s3.PutBucketCorsInput{Bucket: &bucket, CORSConfiguration: &types.CORSConfiguration{CORSRules: rules}})
	return err
}

// corsHeaders are the headers by which an answer speaks to browsers.
func corsHeaders(resp *rawResponse) map[string]string {
	got := make(map[string]string)
	for name, values := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			got[name] = strings.Join(values, "|")
		}
	}
	return got
}

func wantCORS(t *testing.T, what string, resp *rawResponse, want map[string]string) {
	t.Helper()
	if d := cmp.Diff(want, corsHeaders(resp), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s: status %d\n%s", what, resp.Status, d)
	}
}

const corsVary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

func TestBucketCorsLife(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, err := c.GetBucketCors(t.Context(), &s3.GetBucketCorsInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchCORSConfiguration")
	rules := []types.CORSRule{
		{
			ID: aws.String("first"), AllowedHeaders: []string{"x-AMZ-*", "Authorization"}, AllowedMethods: []string{"GET", "PUT", "POST", "DELETE", "HEAD"},
			AllowedOrigins: []string{"https://*.example.com", "http://test.com:80"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: aws.Int32(3000),
		},
		{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{""}}, // which AWS takes
	}
	if err := putCORS(t, c, bucket, rules...); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetBucketCors(t.Context(), &s3.GetBucketCorsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rules, out.CORSRules, cmpopts.IgnoreUnexported(types.CORSRule{})); d != "" {
		t.Error(d)
	}
	for range 2 {
		if _, err := c.DeleteBucketCors(t.Context(), &s3.DeleteBucketCorsInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
		_, err = c.GetBucketCors(t.Context(), &s3.GetBucketCorsInput{Bucket: &bucket})
		wantError(t, err, 404, "NoSuchCORSConfiguration")
	}
}

func TestBucketCorsRefuses(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	if err := putCORS(t, c, bucket, types.CORSRule{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"kept"}}); err != nil {
		t.Fatal(err)
	}
	many := make([]types.CORSRule, 101)
	for i := range many {
		many[i] = types.CORSRule{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}}
	}
	wantError(t, putCORS(t, c, bucket, many...), 400, "InvalidRequest")
	for _, rule := range []types.CORSRule{
		{AllowedMethods: []string{"OPTIONS"}, AllowedOrigins: []string{"*"}},
		{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*a*"}},
		{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}, AllowedHeaders: []string{"*-*"}},
		{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}, ExposeHeaders: []string{"*"}},
	} {
		wantError(t, putCORS(t, c, bucket, rule), 400, "InvalidRequest")
	}
	put := func(body string, pairs ...string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket, Query: "cors=", Body: []byte(body), Header: header(pairs...)})
	}
	rule := "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>"
	put("<CORSConfiguration/>").want(t, "no rule", 400, "MalformedXML")
	put("<CORSConfiguration><CORSRule/></CORSConfiguration>").want(t, "empty rule", 400, "MalformedXML")
	put(strings.Replace(rule, "<CORSRule>", "<CORSRule><Cookies/>", 1)).want(t, "unknown element", 400, "MalformedXML")
	put(rule, "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==").want(t, "another digest", 400, "BadDigest")
	put(rule, "x-amz-checksum-crc32", "AAAAAA==").want(t, "another checksum", 400, "BadDigest")
	put("").want(t, "no document", 400, "MissingRequestBodyError")
	put(rule+strings.Repeat(" ", 64<<10)).want(t, "more than 64 KiB", 400, "MaxMessageLengthExceeded")
	out, err := c.GetBucketCors(t.Context(), &s3.GetBucketCorsInput{Bucket: &bucket})
	if err != nil || len(out.CORSRules) != 1 || out.CORSRules[0].AllowedOrigins[0] != "kept" {
		t.Errorf("after refusals: %+v, %v", out, err)
	}
	missing := "missing-" + randomHex(6)
	wantError(t, putCORS(t, c, missing, types.CORSRule{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}}), 404, "NoSuchBucket")
}

// TestBucketCorsPreflight expects what AWS was seen to answer.
func TestBucketCorsPreflight(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	preflight := func(path string, pairs ...string) *rawResponse {
		path, query, _ := strings.Cut(path, "?")
		return s.raw(t, &rawRequest{Method: "OPTIONS", Path: path, Query: query, Header: header(pairs...), Anonymous: true})
	}
	wantSaid := func(what string, resp *rawResponse, status int, code, message string) {
		t.Helper()
		resp.want(t, what, status, code)
		if !strings.Contains(string(resp.Body), "<Message>"+message) {
			t.Errorf("%s: %s", what, resp.Body)
		}
		wantCORS(t, what, resp, nil)
	}
	object := "/" + bucket + "/not-there"
	ask := []string{"Origin", "https://a.test", "Access-Control-Request-Method", "PUT"}
	wantSaid("no headers", preflight(object), 400, "BadRequest", "Insufficient information. Origin request header needed.")
	wantSaid("nothing configured", preflight(object, ask...), 403, "AccessForbidden",
		"CORSResponse: CORS is not enabled for this bucket.</Message><Method>PUT</Method><ResourceType>BUCKET</ResourceType>")
	wantSaid("nothing configured, no method", preflight(object, "Origin", "a"), 403, "AccessForbidden",
		"CORSResponse: CORS is not enabled for this bucket.</Message><Method>OPTIONS</Method><ResourceType>BUCKET</ResourceType>")
	wantSaid("no bucket", preflight("/missing-"+randomHex(6)+"/k", ask...), 403, "AccessForbidden", "CORSResponse: Bucket not found")

	err := putCORS(t, c, bucket,
		types.CORSRule{
			AllowedMethods: []string{"GET", "PUT"}, AllowedOrigins: []string{"https://a.test"}, AllowedHeaders: []string{"x-AMZ-*"},
			ExposeHeaders: []string{"ETag", "x-amz-version-id"}, MaxAgeSeconds: aws.Int32(3000),
		},
		types.CORSRule{AllowedMethods: []string{"DELETE"}, AllowedOrigins: []string{"*"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	wantSaid("no method", preflight(object, "Origin", "https://a.test"), 400, "BadRequest", "Invalid Access-Control-Request-Method: null")
	wantSaid("other method", preflight(object, "Origin", "https://a.test", "Access-Control-Request-Method", "PATCH"), 400, "BadRequest", "Invalid Access-Control-Request-Method: PATCH")
	const notAllowed = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource&#39;s CORS spec.</Message>"
	wantSaid("other origin", preflight(object, "Origin", "http://a.test", "Access-Control-Request-Method", "PUT"), 403, "AccessForbidden",
		notAllowed+"<Method>PUT</Method><ResourceType>OBJECT</ResourceType>")
	wantSaid("other origin of a bucket", preflight("/"+bucket, "Origin", "http://a.test", "Access-Control-Request-Method", "GET"), 403, "AccessForbidden",
		notAllowed+"<Method>GET</Method><ResourceType>BUCKET</ResourceType>")
	wantSaid("header", preflight(object, append(ask, "Access-Control-Request-Headers", "x-amz-date, cookie")...), 403, "AccessForbidden", notAllowed)

	allowed := map[string]string{
		"Access-Control-Allow-Origin": "https://a.test", "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Methods": "GET, PUT",
		"Access-Control-Expose-Headers": "ETag, x-amz-version-id", "Access-Control-Max-Age": "3000", "Vary": corsVary,
	}
	presigned, err := s3.NewPresignClient(c).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{
		"object": object, "bucket": "/" + bucket, "bucket with a slash": "/" + bucket + "/", "upload of a part": object + "?uploadId=u&partNumber=1",
		"version": object + "?versionId=v", "sub-resource": object + "?tagging", "presigned": strings.TrimPrefix(presigned.URL, s.endpoint),
	} {
		resp := preflight(path, ask...)
		resp.want(t, what, 200)
		wantCORS(t, what, resp, allowed)
		if len(resp.Body) != 0 {
			t.Errorf("%s: body %q", what, resp.Body)
		}
	}
	allowed["Access-Control-Allow-Headers"] = "x-amz-date, x-amz-acl"
	wantCORS(t, "headers", preflight(object, append(ask, "Access-Control-Request-Headers", "X-Amz-Date,x-AMZ-acl")...), allowed)
	wantCORS(t, "any origin", preflight(object, "Origin", "null", "Access-Control-Request-Method", "DELETE"), map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "DELETE", "Vary": corsVary,
	})
	if keys := keysOf(t, c, bucket); len(keys) != 0 {
		t.Errorf("keys %q", keys)
	}
}

// TestBucketCorsActualRequests: answers of all kinds carry the headers, refusals
// included, and nothing is refused because of CORS.
func TestBucketCorsActualRequests(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	put(t, c, bucket, "k", []byte("body"))
	path := "/" + bucket + "/k"
	send := func(r rawRequest, pairs ...string) *rawResponse {
		r.Header = header(append([]string{"Origin", "https://a.test"}, pairs...)...)
		r.Path = or(r.Path, path)
		return s.raw(t, &r)
	}
	wantCORS(t, "nothing configured", send(rawRequest{}), nil)
	err := putCORS(t, c, bucket, types.CORSRule{AllowedMethods: []string{"GET", "PUT"}, AllowedOrigins: []string{"https://*.test"}, ExposeHeaders: []string{"ETag"}, AllowedHeaders: []string{"x-amz-*"}})
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]string{
		"Access-Control-Allow-Origin": "https://a.test", "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Methods": "GET, PUT",
		"Access-Control-Expose-Headers": "ETag", "Vary": corsVary,
	}
	for what, tt := range map[string]struct {
		request rawRequest
		status  int
	}{
		"get":             {rawRequest{}, 200},
		"list":            {rawRequest{Path: "/" + bucket}, 200},
		"put":             {rawRequest{Method: "PUT", Body: []byte("body")}, 200},
		"no such key":     {rawRequest{Path: path + "-not"}, 404},
		"anonymous":       {rawRequest{Anonymous: true}, 403},
		"bad signature":   {rawRequest{SecretKey: "wrong"}, 403},
		"not implemented": {rawRequest{Path: "/" + bucket, Query: "session="}, 501},
		"unknown":         {rawRequest{Path: "/" + bucket, Query: "nonsense="}, 501},
		"bad argument":    {rawRequest{Path: "/" + bucket, Query: "list-type=3"}, 400},
	} {
		resp := send(tt.request)
		if resp.Status != tt.status {
			t.Errorf("%s: status %d, want %d", what, resp.Status, tt.status)
		}
		wantCORS(t, what, resp, allowed)
	}
	wantCORS(t, "not modified", send(rawRequest{}, "If-None-Match", "*"), allowed)
	wantCORS(t, "HEAD, which is not listed", send(rawRequest{Method: "HEAD"}), nil)
	wantCORS(t, "HEAD, asking as GET", send(rawRequest{Method: "HEAD"}, "Access-Control-Request-Method", "GET"), allowed)
	wantCORS(t, "GET, asking as DELETE", send(rawRequest{}, "Access-Control-Request-Method", "DELETE"), nil)
	wantCORS(t, "header", send(rawRequest{}, "Access-Control-Request-Headers", "cookie"), nil)
	wantCORS(t, "other origin", s.raw(t, &rawRequest{Path: path, Header: header("Origin", "https://a.example")}), nil)
	wantCORS(t, "no origin", s.raw(t, &rawRequest{Path: path}), nil)
	gone := send(rawRequest{Method: "DELETE"})
	gone.want(t, "DELETE, which is not listed", 204)
	wantCORS(t, "DELETE", gone, nil)

	presigned, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k2")})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, bucket, "k2", []byte("x"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, presigned.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://a.test")
	resp, err := exchange(plainHTTP, req)
	if err != nil {
		t.Fatal(err)
	}
	resp.want(t, "presigned", 200)
	wantCORS(t, "presigned", resp, allowed)
}
