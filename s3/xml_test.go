package s3_test

import (
	"encoding/xml"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

func TestDecodeDelete(t *testing.T) {
	got, err := s3.DecodeDelete([]byte(`<?xml version="1.0"?><Delete` + ns + `>
 <Object><Key> a&amp;b </Key><VersionId>v</VersionId></Object><Object><Key>c</Key><ETag>"x"</ETag></Object><!-- c --><Quiet>true</Quiet></Delete>`))
	want := s3.DeleteRequest{Quiet: true, Objects: []s3.ObjectToDelete{{Key: " a&b ", Version: "v"}, {Key: "c", ETag: `"x"`}}}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDecodeAfterByteOrderMark(t *testing.T) {
	d, err := s3.DecodeDelete([]byte("\uFEFF<?xml version=\"1.0\"?><Delete><Object><Key>k</Key></Object></Delete>"))
	if err != nil || len(d.Objects) != 1 || d.Objects[0].Key != "k" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDecodeDeleteLimit(t *testing.T) {
	body := func(n int) []byte {
		return []byte("<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", n) + "</Delete>")
	}
	if d, err := s3.DecodeDelete(body(1000)); err != nil || len(d.Objects) != 1000 {
		t.Errorf("1000 keys: %d, %v", len(d.Objects), err)
	}
	if _, err := s3.DecodeDelete(body(1001)); s3.CodeOf(err) != s3.MalformedXML {
		t.Errorf("1001 keys: %v", err)
	}
}

func TestDecodeComplete(t *testing.T) {
	got, err := s3.DecodeComplete([]byte(`<CompleteMultipartUpload` + ns + `><Part><PartNumber>1</PartNumber><ETag>&quot;aa&quot;</ETag></Part>` +
		`<Part><ETag>bb</ETag><ChecksumCRC32C>AAAA</ChecksumCRC32C><PartNumber>10000</PartNumber></Part></CompleteMultipartUpload>`))
	want := []s3.CompletedPart{{Number: 1, ETag: "aa"}, {Number: 10000, ETag: "bb", Checksums: s3.Checksums{CRC32C: "AAAA"}}}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDecodeCompletePartNumbers(t *testing.T) {
	for number, want := range map[string]s3.Code{
		"0": s3.InvalidArgument, "10001": s3.InvalidArgument, "-1": s3.InvalidArgument, "x": s3.MalformedXML, "": s3.MalformedXML, "99999999999": s3.MalformedXML,
	} {
		_, err := s3.DecodeComplete([]byte("<CompleteMultipartUpload><Part><PartNumber>" + number + "</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"))
		if s3.CodeOf(err) != want {
			t.Errorf("%q: %v", number, err)
		}
	}
}

func TestMalformedXML(t *testing.T) {
	deep := strings.Repeat("<Object>", 10000)
	bomb := `<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`
	bodies := map[string]string{
		"empty":             "",
		"not xml":           "hello",
		"wrong root":        "<Remove><Object><Key>k</Key></Object></Remove>",
		"wrong namespace":   `<Delete xmlns="http://example.com/"><Object><Key>k</Key></Object></Delete>`,
		"unknown element":   "<Delete><Object><Key>k</Key><Nope/></Object></Delete>",
		"unknown top":       "<Delete><Thing/><Object><Key>k</Key></Object></Delete>",
		"no key":            "<Delete><Object></Object></Delete>",
		"empty key":         "<Delete><Object><Key></Key></Object></Delete>",
		"no object":         "<Delete></Delete>",
		"two keys":          "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
		"text":              "<Delete>x<Object><Key>a</Key></Object></Delete>",
		"element in text":   "<Delete><Object><Key>a<b/></Key></Object></Delete>",
		"cut":               "<Delete><Object><Key>a</Key></Obj",
		"two roots":         "<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
		"text after":        "<Delete><Object><Key>a</Key></Object></Delete>x",
		"bad boolean":       "<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
		"deep":              "<Delete>" + deep,
		"entity bomb":       bomb,
		"unknown entity":    "<Delete><Object><Key>&nope;</Key></Object></Delete>",
		"invalid utf-8":     "<Delete><Object><Key>\xff</Key></Object></Delete>",
		"control character": "<Delete><Object><Key>\x01</Key></Object></Delete>",
		"other charset":     `<?xml version="1.0" encoding="latin1"?><Delete><Object><Key>k</Key></Object></Delete>`,
		"mismatched tags":   "<Delete><Object><Key>k</Object></Key></Delete>",
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			if _, err := s3.DecodeDelete([]byte(body)); s3.CodeOf(err) != s3.MalformedXML {
				t.Errorf("delete: %v", err)
			}
			if _, err := s3.DecodeComplete([]byte(body)); s3.CodeOf(err) != s3.MalformedXML {
				t.Errorf("complete: %v", err)
			}
			if _, err := s3.DecodeCreateBucket([]byte(body)); s3.CodeOf(err) != s3.MalformedXML {
				t.Errorf("create: %v", err)
			}
		})
	}
}

func TestDecodeCreateBucket(t *testing.T) {
	got, err := s3.DecodeCreateBucket([]byte(`<CreateBucketConfiguration` + ns + `><LocationConstraint> eu-west-3 </LocationConstraint></CreateBucketConfiguration>`))
	if err != nil || got.LocationConstraint != "eu-west-3" || got.Unsupported != "" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = s3.DecodeCreateBucket([]byte(`<CreateBucketConfiguration><Tags><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>a</Key><Value/></Tag></Tags></CreateBucketConfiguration>`))
	if err != nil || !cmp.Equal(got.Tags, []s3.Tag{{Key: "a"}, {Key: "k", Value: "v"}}) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = s3.DecodeCreateBucket([]byte(`<CreateBucketConfiguration><Location><Type>LocalZone</Type></Location></CreateBucketConfiguration>`))
	if err != nil || got.Unsupported != "Location" {
		t.Errorf("%+v, %v", got, err)
	}
	for tags, want := range map[string]s3.Code{
		"<Tags><Tag><Key>k</Key></Tag></Tags>":                                       s3.MalformedXML,
		"<Tags/><Tags/>":                                                             s3.MalformedXML,
		"<Tags><Tag><Key>aws:k</Key><Value>v</Value></Tag></Tags>":                   s3.InvalidTag,
		"<Tags>" + strings.Repeat("<Tag><Key>k</Key><Value/></Tag>", 51) + "</Tags>": s3.BadRequest,
	} {
		if _, err := s3.DecodeCreateBucket([]byte("<CreateBucketConfiguration>" + tags + "</CreateBucketConfiguration>")); s3.CodeOf(err) != want {
			t.Errorf("%s: %v", tags, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`<Delete><Object><Key>k</Key><VersionId>v</VersionId></Object><Quiet>1</Quiet></Delete>`))
	f.Add([]byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>`))
	f.Add([]byte(`<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>`))
	f.Add([]byte(`<!DOCTYPE a><Delete>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if d, err := s3.DecodeDelete(body); err == nil && (len(d.Objects) == 0 || len(d.Objects) > s3.MaxDeleteKeys) {
			t.Fatalf("%d keys", len(d.Objects))
		} else if err != nil && s3.CodeOf(err) != s3.MalformedXML {
			t.Fatal(err)
		}
		parts, err := s3.DecodeComplete(body)
		if err != nil && s3.CodeOf(err) != s3.MalformedXML && s3.CodeOf(err) != s3.InvalidArgument {
			t.Fatal(err)
		}
		for _, p := range parts {
			if err == nil && (p.Number < 1 || p.Number > s3.MaxParts) {
				t.Fatalf("part %d", p.Number)
			}
		}
		switch _, err := s3.DecodeCreateBucket(body); s3.CodeOf(err) {
		case "", s3.MalformedXML, s3.InvalidTag, s3.BadRequest:
		default:
			t.Fatal(err)
		}
	})
}

// listed is what a client's XML decoder makes of a listing.
type listed struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name     string
	Prefix   string
	KeyCount int
	Contents []struct {
		Key, LastModified, ETag, StorageClass string
		Size                                  int64
	}
	CommonPrefixes []struct{ Prefix string }
}

func entries(objects ...s3.ObjectEntry) iter.Seq[*s3.ObjectEntry] {
	return func(yield func(*s3.ObjectEntry) bool) {
		for i := range objects {
			if !yield(&objects[i]) {
				return
			}
		}
	}
}

func TestListObjectsV2XML(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	r := s3.ListObjectsV2Result{
		Bucket: "b", Prefix: "p&", MaxKeys: 2, KeyCount: 2, Truncated: true, NextContinuationToken: "tok",
		Objects:        entries(s3.ObjectEntry{Key: "a<b>\"'\r\n", LastModified: at, ETag: "e", Size: 5, StorageClass: s3.StorageStandard}),
		CommonPrefixes: []string{"x/"},
	}
	var got listed
	if err := xml.Unmarshal(r.AppendXML(nil), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "b" || got.Prefix != "p&" || got.KeyCount != 2 || len(got.Contents) != 1 || got.CommonPrefixes[0].Prefix != "x/" {
		t.Errorf("%+v", got)
	}
	c := got.Contents[0]
	if c.Key != "a<b>\"'\r\n" || c.ETag != `"e"` || c.Size != 5 || c.LastModified != "2026-01-02T03:04:05.006Z" || c.StorageClass != "STANDARD" {
		t.Errorf("%+v", c)
	}
}

func TestEncodingURL(t *testing.T) {
	for in, want := range map[string]string{
		"asdf+b": "asdf%2Bb", "foo/bar": "foo/bar", "quux ab": "quux%20ab", "é\x00": "%C3%A9%00", "a-_.~*": "a-_.~*", "(3)": "%283%29",
	} {
		if got := string(s3.AppendURLEncoded(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if _, err := s3.ParseEncodingType("base64"); s3.CodeOf(err) != s3.InvalidArgument {
		t.Error(err)
	}
}

func TestControlCharactersAreReferences(t *testing.T) {
	r := s3.ListObjectsResult{Objects: entries(s3.ObjectEntry{Key: "a\x00\x01\ufffe"})}
	if got := string(r.AppendXML(nil)); !strings.Contains(got, "<Key>a&#x0;&#x1;&#xfffe;</Key>") {
		t.Error(got)
	}
}

func TestURLEncodedListingOfAnyPrefixParses(t *testing.T) {
	for prefix, want := range map[string]string{"a b/": "a b/", "\x01/": "%01/"} {
		r := s3.ListObjectsResult{Prefix: prefix, Encoding: s3.EncodingURL}
		var got listed
		if err := xml.Unmarshal(r.AppendXML(nil), &got); err != nil || got.Prefix != want {
			t.Errorf("%q: got %q, %v", prefix, got.Prefix, err)
		}
	}
}

func TestDocumentsAreWellFormed(t *testing.T) {
	size := int64(0)
	owner := s3.Owner{ID: "id", DisplayName: "name"}
	docs := map[string][]byte{
		"ListBucketResult":              (&s3.ListObjectsResult{Delimiter: "&", CommonPrefixes: []string{"<"}}).AppendXML(nil),
		"ListAllMyBucketsResult":        (&s3.ListBucketsResult{Owner: owner, Buckets: []s3.BucketEntry{{Name: "b"}}}).AppendXML(nil),
		"LocationConstraint":            s3.AppendLocation(nil, "eu-west-3"),
		"InitiateMultipartUploadResult": (&s3.InitiateResult{Key: "&"}).AppendXML(nil),
		"CompleteMultipartUploadResult": (&s3.CompleteResult{Key: "&", Checksums: s3.Checksums{SHA1: "x"}}).AppendXML(nil),
		"ListPartsResult":               (&s3.ListPartsResult{Parts: []s3.PartEntry{{Number: 1}}, NextPartMarker: 1}).AppendXML(nil),
		"ListMultipartUploadsResult":    (&s3.ListUploadsResult{Uploads: []s3.UploadEntry{{Key: "<"}}}).AppendXML(nil),
		"CopyObjectResult":              (&s3.CopyResult{ETag: "e"}).AppendObjectXML(nil),
		"CopyPartResult":                (&s3.CopyResult{ETag: "e"}).AppendPartXML(nil),
		"DeleteResult":                  (&s3.DeleteResult{Deleted: []s3.DeletedObject{{Key: "&"}}, Errors: []s3.DeleteError{{Key: "<", Err: s3.NewError(s3.AccessDenied)}}}).AppendXML(nil),
		"GetObjectAttributesResponse":   (&s3.Attributes{ETag: "e", Size: &size, Checksums: s3.Checksums{CRC32: "x"}, Parts: &s3.AttributeParts{Parts: []s3.AttributePart{{Number: 1}}}}).AppendXML(nil),
	}
	for root, doc := range docs {
		var got struct{ XMLName xml.Name }
		if err := xml.Unmarshal(doc, &got); err != nil {
			t.Errorf("%s: %v\n%s", root, err, doc)
		}
		if got.XMLName.Local != root || got.XMLName.Space != s3.Namespace {
			t.Errorf("%s: root is %v", root, got.XMLName)
		}
	}
	if got := string(s3.AppendLocation(nil, "us-east-1")); !strings.HasSuffix(got, "></LocationConstraint>") {
		t.Error(got)
	}
}

func BenchmarkListObjectsV2XML(b *testing.B) {
	r := s3.ListObjectsV2Result{Bucket: "bucket", MaxKeys: 1000}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	var objects []s3.ObjectEntry
	for i := range 1000 {
		objects = append(objects, s3.ObjectEntry{
			Key: s3.Key(fmt.Sprintf("some/folder/of/keys/%012d", i)), LastModified: at,
			ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 4096, StorageClass: s3.StorageStandard,
		})
	}
	r.Objects = entries(objects...)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendXML(buf[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}
