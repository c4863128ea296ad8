package compat

import (
	"testing"
)

func TestVirtualHostStyle(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--domain", "s3.example.test", "--domain", "other.test")
	c, bucket := s.bucket(t)
	for _, domain := range []string{"s3.example.test", "s3.example.test:9000", "other.test"} {
		host := bucket + "." + domain
		ask := func(method, path, query string, body string) *rawResponse {
			return s.raw(t, &rawRequest{Method: method, Path: path, Query: query, Host: host, Body: []byte(body)})
		}
		ask("PUT", "/dir/a%20b", "", domain).want(t, "PUT", 200)
		got := ask("GET", "/dir/a%20b", "", "")
		got.want(t, "GET", 200)
		wantBytes(t, "over the host name", got.Body, []byte(domain))
		wantBytes(t, "over the path", get(t, c, bucket, "dir/a b"), []byte(domain))
		ask("HEAD", "/", "", "").want(t, "HEAD bucket", 200)
		list := ask("GET", "/", "list-type=2", "")
		list.want(t, "list", 200)
		ask("GET", "/", "location=", "").want(t, "location", 200)
		// A key that is named like the bucket is a key.
		ask("PUT", "/"+bucket+"/x", "", "deep").want(t, "PUT", 200)
		wantBytes(t, "key named like the bucket", get(t, c, bucket, bucket+"/x"), []byte("deep"))
		ask("DELETE", "/dir/a%20b", "", "").want(t, "DELETE", 204)
	}
	s.raw(t, &rawRequest{Path: "/", Host: "missing-bucket.s3.example.test"}).want(t, "missing bucket", 404, "NoSuchBucket")
	s.raw(t, &rawRequest{Path: "/", Host: "s3.example.test"}).want(t, "the domain itself lists buckets", 200)
	s.raw(t, &rawRequest{Path: "/" + bucket, Host: "s3.example.test"}).want(t, "path style on the domain", 200)
	s.raw(t, &rawRequest{Path: "/" + bucket, Host: "unrelated.example"}).want(t, "path style on any other host", 200)
	vhost := "vhost-" + randomHex(4)
	s.raw(t, &rawRequest{Method: "PUT", Path: "/", Host: vhost + ".s3.example.test"}).want(t, "create over the host name", 200)
	s.raw(t, &rawRequest{Method: "DELETE", Path: "/", Host: vhost + ".s3.example.test"}).want(t, "delete over the host name", 204)
}
