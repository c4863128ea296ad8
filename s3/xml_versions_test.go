package s3_test

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

func TestDecodeVersioning(t *testing.T) {
	const open, end = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, `</VersioningConfiguration>`
	for body, want := range map[string]s3.VersioningConfiguration{
		open + "<Status>Enabled</Status>" + end:                                  {Status: s3.VersioningEnabled},
		open + "<MfaDelete>Disabled</MfaDelete><Status>Suspended</Status>" + end: {Status: s3.VersioningSuspended, MFADelete: "Disabled"},
		open + end: {},
		open + "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>" + end: {Status: s3.VersioningEnabled, MFADelete: s3.MFADeleteEnabled},
	} {
		got, err := s3.DecodeVersioning([]byte(body))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", body, err, diff)
		}
	}
	for _, body := range []string{
		"", "<Versioning/>", open, open + "<Status>enabled</Status>" + end, open + "<Status>On</Status>" + end,
		open + "<MfaDelete>yes</MfaDelete>" + end, open + "<Status><Enabled/></Status>" + end, open + "<Else/>" + end, open + end + "x",
	} {
		if _, err := s3.DecodeVersioning([]byte(body)); s3.CodeOf(err) != s3.MalformedXML {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestVersioningXML(t *testing.T) {
	for status, want := range map[s3.VersioningStatus]string{
		"": "></VersioningConfiguration>", s3.VersioningSuspended: "><Status>Suspended</Status></VersioningConfiguration>",
	} {
		if got := string(s3.AppendVersioning(nil, status)); !strings.HasSuffix(got, want) || strings.Contains(got, "Mfa") {
			t.Errorf("%q: %s", status, got)
		}
	}
}

func TestListVersionsXML(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	owner := s3.Owner{ID: "id", DisplayName: "me"}
	res := s3.ListVersionsResult{
		Bucket: "b", Prefix: "p &", KeyMarker: "k<", VersionMarker: "v0", NextKeyMarker: "n é", NextVersionMarker: "v9", Delimiter: "/",
		MaxKeys: 3, Encoding: s3.EncodingURL, Truncated: true, CommonPrefixes: []string{"p &/"},
		Versions: slices.Values([]*s3.VersionEntry{
			{Key: "a b", Version: "v1", Latest: true, LastModified: at, ETag: "e", Size: 5, StorageClass: "STANDARD", ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT", Owner: owner},
			{Key: "a b", Version: "null", DeleteMarker: true, LastModified: at, Owner: owner, ETag: "hidden", Size: 7},
		}),
	}
	const want = `<Name>b</Name><Prefix>p%20%26</Prefix><KeyMarker>k%3C</KeyMarker><VersionIdMarker>v0</VersionIdMarker>` +
		`<NextKeyMarker>n%20%C3%A9</NextKeyMarker><NextVersionIdMarker>v9</NextVersionIdMarker><MaxKeys>3</MaxKeys><Delimiter>/</Delimiter>` +
		`<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>` +
		`<Version><Key>a%20b</Key><VersionId>v1</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-02T03:04:05.006Z</LastModified>` +
		`<ETag>&quot;e&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>5</Size>` +
		`<StorageClass>STANDARD</StorageClass><Owner><ID>id</ID><DisplayName>me</DisplayName></Owner></Version>` +
		`<DeleteMarker><Key>a%20b</Key><VersionId>null</VersionId><IsLatest>false</IsLatest><LastModified>2026-01-02T03:04:05.006Z</LastModified>` +
		`<Owner><ID>id</ID><DisplayName>me</DisplayName></Owner></DeleteMarker><CommonPrefixes><Prefix>p%20%26/</Prefix></CommonPrefixes></ListVersionsResult>`
	got := string(res.AppendXML(nil))
	if _, body, _ := strings.Cut(got, `2006-03-01/">`); body != want {
		t.Error(cmp.Diff(want, body))
	}
	empty := (&s3.ListVersionsResult{Bucket: "b", MaxKeys: 1000}).AppendXML(nil)
	var doc struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
		IsTruncated bool
		MaxKeys     int
		Version     []struct{}
	}
	if err := xml.Unmarshal(empty, &doc); err != nil || doc.MaxKeys != 1000 || doc.Version != nil || strings.Contains(string(empty), "Next") {
		t.Errorf("%v: %s", err, empty)
	}
}

// FuzzVersioning: what is accepted has a status that can be written and read
// back.
func FuzzVersioning(f *testing.F) {
	f.Add([]byte(`<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>`))
	f.Add([]byte(`<VersioningConfiguration/>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := s3.DecodeVersioning(body)
		if err != nil {
			if s3.CodeOf(err) != s3.MalformedXML {
				t.Fatal(err)
			}
			return
		}
		again, err := s3.DecodeVersioning(s3.AppendVersioning(nil, c.Status))
		if err != nil || again.Status != c.Status {
			t.Fatalf("%q reads back as %q, %v", c.Status, again.Status, err)
		}
	})
}
