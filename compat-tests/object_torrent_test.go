package compat

import "testing"

// TestObjectTorrent: no object has one, and who may not read learns no more.
func TestObjectTorrent(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("x"))
	s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Query: "torrent="}).want(t, "an object", 404, "NoSuchKey")
	s.raw(t, &rawRequest{Path: "/" + bucket + "/none", Query: "torrent="}).want(t, "no object", 404, "NoSuchKey")
	s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Query: "torrent=", Anonymous: true}).want(t, "nobody", 403, "AccessDenied")
}
