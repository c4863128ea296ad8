package gateway

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/s3"
)

// newVersioned is a gateway over a whole store with a bucket that keeps
// versions.
func newVersioned(t *testing.T) *server {
	t.Helper()
	cluster := testcluster.New(t, testcluster.Options{})
	s := newServer(t, func(o *Options) { o.Objects = cluster.Objects })
	s.ok("PUT", "/bucket", "")
	s.version("Enabled")
	return s
}

func (s *server) version(status s3.VersioningStatus) {
	s.t.Helper()
	s.ok("PUT", "/bucket?versioning", "<VersioningConfiguration><Status>"+string(status)+"</Status></VersioningConfiguration>")
}

// headersOf are the headers of an answer that tell of versions.
func headersOf(a *answer) string {
	return fmt.Sprintf("%d id=%q marker=%q allow=%q", a.StatusCode, a.Header.Get("x-amz-version-id"), a.Header.Get("x-amz-delete-marker"), a.Header.Get("Allow"))
}

func (s *server) wantHeaders(a *answer, status int, id, marker, allow string) {
	s.t.Helper()
	want := fmt.Sprintf("%d id=%q marker=%q allow=%q", status, id, marker, allow)
	if got := headersOf(a); got != want {
		s.t.Errorf("%s, want %s", got, want)
	}
}

func TestVersionHeaders(t *testing.T) {
	s := newVersioned(t)
	a := s.ok("PUT", "/bucket/k", "a").Header.Get("x-amz-version-id")
	b := s.ok("PUT", "/bucket/k", "b").Header.Get("x-amz-version-id")
	if a == "" || a == b {
		t.Fatalf("versions %q and %q", a, b)
	}
	s.wantHeaders(s.ok("GET", "/bucket/k", ""), 200, b, "", "")
	s.wantHeaders(s.ok("HEAD", "/bucket/k?versionId="+a, ""), 200, a, "", "")
	s.wantHeaders(s.ok("GET", "/bucket/k?attributes", "", "x-amz-object-attributes", "ETag"), 200, b, "", "")
	gone := s.ok("DELETE", "/bucket/k", "")
	marker := gone.Header.Get("x-amz-version-id")
	s.wantHeaders(gone, 204, marker, "true", "")
	s.wantHeaders(s.do("GET", "/bucket/k", ""), 404, marker, "true", "")
	s.wantHeaders(s.do("HEAD", "/bucket/k", ""), 404, marker, "true", "")
	named := s.do("GET", "/bucket/k?versionId="+marker, "")
	s.wantHeaders(named, 405, marker, "true", "DELETE")
	if named.Header.Get("Last-Modified") == "" {
		t.Error("a marker that is named has no Last-Modified")
	}
	s.wantHeaders(s.do("GET", "/bucket/never", ""), 404, "", "", "")
	s.wantHeaders(s.ok("DELETE", "/bucket/k?versionId="+marker, ""), 204, marker, "true", "")
	s.wantHeaders(s.ok("DELETE", "/bucket/k?versionId="+marker, ""), 204, marker, "", "")
	s.wantHeaders(s.ok("DELETE", "/bucket/k?versionId="+b, ""), 204, b, "", "")
	copied := s.ok("PUT", "/bucket/k", "", "x-amz-copy-source", "/bucket/k?versionId="+a)
	if id := copied.Header.Get("x-amz-version-id"); id == "" || id == a || copied.Header.Get("x-amz-copy-source-version-id") != a {
		t.Errorf("restored by copy: %v", copied.Header)
	}
	s.version("Suspended")
	s.wantHeaders(s.ok("PUT", "/bucket/k", "n"), 200, "", "", "")
	s.wantHeaders(s.ok("GET", "/bucket/k", ""), 200, "null", "", "")
	s.wantHeaders(s.ok("DELETE", "/bucket/k", ""), 204, "null", "true", "")
	s.wantHeaders(s.do("GET", "/bucket/k?versionId=null", ""), 405, "null", "true", "DELETE")
	s.expect(s3.InvalidArgument, "GET", "/bucket/k?versionId=", "")
	s.expect(s3.InvalidArgument, "PUT", "/bucket/k?versionId="+a, "x")
	s.expect(s3.NoSuchVersion, "GET", "/bucket/k?versionId="+b, "")
}

func TestListObjectVersionsPages(t *testing.T) {
	s := newVersioned(t)
	for _, key := range []string{"a", "b/1", "b/2", "c"} {
		s.ok("PUT", "/bucket/"+key, "x")
		s.ok("PUT", "/bucket/"+key, "y")
	}
	s.ok("DELETE", "/bucket/c", "")
	entry := regexp.MustCompile(`<(Version|DeleteMarker|CommonPrefixes)><(?:Key|Prefix)>([^<]*)<`)
	next := regexp.MustCompile(`<NextKeyMarker>([^<]*)</NextKeyMarker>(?:<NextVersionIdMarker>([^<]*)<)?`)
	for page := 1; page < 8; page++ {
		var all []string
		for query := ""; ; {
			a := s.ok("GET", fmt.Sprintf("/bucket?versions&delimiter=%%2F&max-keys=%d%s", page, query), "")
			for _, e := range entry.FindAllStringSubmatch(a.body, -1) {
				all = append(all, e[1][:1]+e[2])
			}
			m := next.FindStringSubmatch(a.body)
			if m == nil {
				break
			}
			if query = "&key-marker=" + m[1]; m[2] != "" {
				query += "&version-id-marker=" + m[2]
			}
		}
		slices.Sort(all) // common prefixes are at the end of their page
		if want := []string{"Cb/", "Dc", "Va", "Va", "Vc", "Vc"}; !slices.Equal(all, want) {
			t.Errorf("pages of %d: %q", page, all)
		}
	}
}
