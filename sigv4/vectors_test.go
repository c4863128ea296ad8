package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

// The credentials of the examples in AWS's documentation.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleScope  = exampleKey + "/20130524/us-east-1/s3/aws4_request"
	exampleTime   = "20130524T000000Z"
)

func mustTime(tb testing.TB, s string) time.Time {
	tb.Helper()
	at, err := time.Parse(timeLayout, s)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// newVerifier returns a verifier that knows the example credentials, at the
// time of the examples.
func newVerifier(tb testing.TB) *Verifier {
	tb.Helper()
	now := mustTime(tb, exampleTime)
	return &Verifier{
		Region: "us-east-1",
		Now:    func() time.Time { return now },
		Secret: func(_ context.Context, accessKey string) (string, error) {
			if accessKey != exampleKey {
				return "", ErrUnknownAccessKey
			}
			return exampleSecret, nil
		},
	}
}

// newRequest returns a request as a server sees it. The headers are pairs.
func newRequest(method, target, host string, headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), method, target, http.NoBody)
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func authorization(signedHeaders, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + exampleScope + ",SignedHeaders=" + signedHeaders + ",Signature=" + signature
}

// The examples of "Signature Calculations for the Authorization Header:
// Transferring Payload in a Single Chunk".
func TestHeaderVectors(t *testing.T) {
	const bucket = "examplebucket.s3.amazonaws.com"
	tests := []struct {
		name, method, target, signed, signature, body string
		headers                                       []string
	}{
		{
			"get object", "GET", "/test.txt", "host;range;x-amz-content-sha256;x-amz-date",
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "",
			[]string{"Range", "bytes=0-9", "x-amz-content-sha256", emptySHA256},
		},
		{
			"put object", "PUT", "/test$file.text", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "Welcome to Amazon S3.",
			[]string{
				"Date", "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class", "REDUCED_REDUNDANCY",
				"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			},
		},
		{
			"get lifecycle", "GET", "/?lifecycle", "host;x-amz-content-sha256;x-amz-date",
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "",
			[]string{"x-amz-content-sha256", emptySHA256},
		},
		{
			"list objects", "GET", "/?max-keys=2&prefix=J", "host;x-amz-content-sha256;x-amz-date",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "",
			[]string{"x-amz-content-sha256", emptySHA256},
		},
	}
	v := newVerifier(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest(tt.method, tt.target, bucket, tt.headers...)
			r.Header.Set("x-amz-date", exampleTime)
			r.Header.Set("Authorization", authorization(tt.signed, tt.signature))
			r.ContentLength = int64(len(tt.body))
			res, err := v.Verify(r)
			if err != nil {
				t.Fatal(err)
			}
			if res.Auth != AuthHeader || res.AccessKey != exampleKey || res.SignedHeaders != tt.signed ||
				res.Payload != PayloadSHA256 || !res.Time.Equal(v.Now()) || res.Length != int64(len(tt.body)) {
				t.Errorf("result = %+v", res)
			}
			got, err := io.ReadAll(res.Body(strings.NewReader(tt.body)))
			if err != nil || string(got) != tt.body {
				t.Errorf("body = %q, %v", got, err)
			}
			// The same signature must fail for anything else.
			r.Method = "DELETE"
			if _, err := v.Verify(r); kindOf(err) != KindSignatureMismatch {
				t.Errorf("other method: %v", err)
			}
		})
	}
}

// The example of "Authenticating Requests: Using Query Parameters".
func TestPresignedVector(t *testing.T) {
	const target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	v := newVerifier(t)
	res, err := v.Verify(newRequest("GET", target, "examplebucket.s3.amazonaws.com"))
	if err != nil {
		t.Fatal(err)
	}
	if res.Auth != AuthQuery || res.AccessKey != exampleKey || res.SignedHeaders != "host" || res.Payload != PayloadUnsigned {
		t.Errorf("result = %+v", res)
	}
	if _, err := v.Verify(newRequest("GET", target+"&x=1", "examplebucket.s3.amazonaws.com")); kindOf(err) != KindSignatureMismatch {
		t.Errorf("another parameter: %v", err)
	}
	if _, err := v.Verify(newRequest("GET", target, "other.s3.amazonaws.com")); kindOf(err) != KindSignatureMismatch {
		t.Errorf("another host: %v", err)
	}
}

// chunkedExample is a request of "Transferring Payload in Multiple Chunks".
func chunkedExample(mode, signed, seed string, more ...string) *http.Request {
	r := newRequest("PUT", "/examplebucket/chunkObject.txt", "s3.amazonaws.com", append([]string{
		"x-amz-date", exampleTime,
		"x-amz-storage-class", "REDUCED_REDUNDANCY",
		"x-amz-content-sha256", mode,
		"Content-Encoding", "aws-chunked",
		"x-amz-decoded-content-length", "66560",
		"Authorization", authorization(signed, seed),
	}, more...)...)
	r.ContentLength = 66824
	return r
}

func framed(parts ...string) []byte {
	sizes := []int{65536, 1024, 0}
	heads := []string{"10000", "400", "0"}
	var b bytes.Buffer
	for i, signature := range parts[:3] {
		b.WriteString(heads[i] + ";chunk-signature=" + signature + "\r\n")
		b.Write(bytes.Repeat([]byte("a"), sizes[i]))
		if sizes[i] > 0 {
			b.WriteString("\r\n")
		}
	}
	for _, p := range parts[3:] {
		b.WriteString(p + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// signedExample is the example without trailers.
func signedExample() (*http.Request, []byte) {
	return chunkedExample(streamingSigned,
			"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
		framed("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")
}

// trailerExample is the example of "Including Trailing Headers".
func trailerExample() (*http.Request, []byte) {
	return chunkedExample(streamingSignedTrailer,
			"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			"x-amz-trailer", "x-amz-checksum-crc32c"),
		framed("b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
			"x-amz-checksum-crc32c:sOO8/Q==",
			"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")
}

func TestChunkedVectors(t *testing.T) {
	want := bytes.Repeat([]byte("a"), 66560)
	for name, example := range map[string]func() (*http.Request, []byte){"signed": signedExample, "trailer": trailerExample} {
		t.Run(name, func(t *testing.T) {
			r, body := example()
			if name == "signed" && len(body) != 66824 {
				t.Fatalf("the documented body has 66824 bytes, this one %d", len(body))
			}
			res, err := newVerifier(t).Verify(r)
			if err != nil {
				t.Fatal(err)
			}
			if res.Length != 66560 || !res.Payload.Chunked() {
				t.Errorf("result = %+v", res)
			}
			if _, ok := res.Trailer("x-amz-checksum-crc32c"); ok {
				t.Error("trailer known before the body was read")
			}
			got, err := io.ReadAll(res.Body(bytes.NewReader(body)))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			value, ok := res.Trailer("x-amz-checksum-crc32c")
			if ok != (name == "trailer") || ok && value != "sOO8/Q==" {
				t.Errorf("trailer = %q, %v", value, ok)
			}
		})
	}
}

// Cases of aws-sig-v4-test-suite that hold for S3 too. They have no
// x-amz-content-sha256, so they are run below Verify.
func TestSuiteVectors(t *testing.T) {
	const host = "example.amazonaws.com"
	tests := []struct {
		name, method, target, signed, signature string
		headers                                 []string
	}{
		{"get-vanilla", "GET", "/", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", nil},
		{"post-vanilla", "POST", "/", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", nil},
		{"get-utf8", "GET", "/\u1234", "host;x-amz-date", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85", nil},
		{"get-vanilla-empty-query-key", "GET", "/?Param1=value1", "host;x-amz-date", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb", nil},
		{"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", nil},
		{
			"get-vanilla-query-unreserved", "GET", "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			"host;x-amz-date", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197", nil,
		},
		{
			"get-header-key-duplicate", "GET", "/", "host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
			[]string{"My-Header1", "value2", "My-Header1", "value2", "My-Header1", "value1"},
		},
		{
			"get-header-value-trim", "GET", "/", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
			[]string{"My-Header1", " value1", "My-Header2", ` "a   b   c"`},
		},
	}
	v := &Verifier{Region: "us-east-1", Service: "service"}
	c := claim{
		accessKey: "AKIDEXAMPLE", scope: "20150830/us-east-1/service/aws4_request",
		date: "20150830", region: "us-east-1", timestamp: "20150830T123600Z",
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest(tt.method, "/", host, tt.headers...)
			r.RequestURI = tt.target
			r.Header.Set("X-Amz-Date", c.timestamp)
			var s scratch
			_, query := rawTarget(r)
			if err := s.parseQuery(query); err != nil {
				t.Fatal(err)
			}
			if err := s.buildCanonical(r, tt.signed, emptySHA256); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(s.canonical)
			s.buildStringToSign(&c, sum[:])
			key := v.keys.get(v, &c, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
			if got := hex.EncodeToString(key.sign(nil, s.sts)); got != tt.signature {
				t.Errorf("signature = %s, want %s; canonical request:\n%s", got, tt.signature, s.canonical)
			}
		})
	}
}

func kindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// answer returns what the client is told.
func answer(t *testing.T, err error) *s3.Error {
	t.Helper()
	e, ok := errors.AsType[*s3.Error](err)
	if !ok {
		t.Fatalf("%v holds no answer", err)
	}
	return e
}
