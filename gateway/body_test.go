package gateway

import (
	"testing"

	"github.com/undercroft/undercroft/s3"
)

// TestLargeDocumentsAreBoundedTogether: nobody fills the memory with lists of
// keys that he may not delete.
func TestLargeDocumentsAreBoundedTogether(t *testing.T) {
	const list = "<Delete><Object><Key>key</Key></Object></Delete>"
	s := newServer(t)
	s.gateway.documents.Store(maxDocuments - 10)
	s.expect(s3.SlowDown, "POST", "/bucket?delete", list, "Content-MD5", md5Of(list))
	s.ok("PUT", "/bucket?tagging", "<Tagging><TagSet/></Tagging>") // as small ones are bounded by the number of requests
	if held := s.gateway.documents.Load(); held != maxDocuments-10 {
		t.Errorf("%d bytes are held after the requests", held)
	}
	s.gateway.documents.Store(0)
	s.ok("POST", "/bucket?delete", list, "Content-MD5", md5Of(list))
	if held := s.gateway.documents.Load(); held != 0 {
		t.Errorf("%d bytes are held after the requests", held)
	}
}
