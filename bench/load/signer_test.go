package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func exampleCredentials() Credentials {
	return Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
}

// TestSignerAgreesWithAWSSDK uses the signer of aws-sdk-go-v2 as the oracle.
func TestSignerAgreesWithAWSSDK(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 13, 47, 2, 0, time.UTC)
	creds := exampleCredentials()
	cases := []struct {
		name, method, key, query, payload string
		extra                             []Header
	}{
		{"plain get", "GET", "a/b.txt", "", EmptySHA256, nil},
		{"escaped key", "PUT", "a b/ü+%&=?#~!*'().txt", "", "UNSIGNED-PAYLOAD", nil},
		{"subresource", "POST", "key", "uploads=", EmptySHA256, nil},
		{"two parameters", "PUT", "key", "partNumber=3&uploadId=abc%2Fd%3D", hexSHA256([]byte("x")), nil},
		{
			"headers", "PUT", "key", "", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
			[]Header{{"content-encoding", "aws-chunked"}, {"x-amz-decoded-content-length", "10"}, {"x-amz-trailer", "x-amz-checksum-crc64nvme"}},
		},
	}
	signer := NewSigner(creds, "eu-west-3")
	for _, tc := range cases {
		path := "/bucket/" + EscapePath(tc.key)
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://127.0.0.1:9000"+path+"?"+tc.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.RawPath = path
		req.Header.Set("X-Amz-Content-Sha256", tc.payload)
		headers := append([]Header{
			{"host", "127.0.0.1:9000"},
			{"x-amz-content-sha256", tc.payload},
			{"x-amz-date", signer.Stamp(now)},
		}, tc.extra...)
		for _, h := range tc.extra {
			req.Header.Set(h.Name, h.Value)
		}
		SortHeaders(headers)
		oracle := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		err = oracle.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: creds.AccessKey, SecretAccessKey: creds.SecretKey},
			req, tc.payload, "s3", "eu-west-3", now)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := signer.Sign(nil, &SignRequest{tc.method, path, tc.query, headers, tc.payload}, signer.Stamp(now))
		if want := req.Header.Get("Authorization"); string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, want)
		}
	}
}

// TestSignerChangesKeyWithTheDay makes sure the cached key is not used too long.
func TestSignerChangesKeyWithTheDay(t *testing.T) {
	t.Parallel()
	s := NewSigner(exampleCredentials(), "us-east-1")
	r := &SignRequest{"GET", "/", "", []Header{{"host", "h"}}, EmptySHA256}
	first := time.Date(2026, 1, 1, 23, 59, 59, 0, time.UTC)
	_, a := s.Sign(nil, r, s.Stamp(first))
	_, b := s.Sign(nil, r, s.Stamp(first.Add(time.Second)))
	_, again := NewSigner(exampleCredentials(), "us-east-1").Sign(nil, r, first.Add(time.Second).Format(timeFormat))
	if a == b || b != again {
		t.Errorf("signatures across midnight: %s, %s, fresh signer %s", a, b, again)
	}
}

// TestSignerChunkVectors checks AWS's published example of a chunked upload:
// 66,560 bytes of 'a' in chunks of 64 KiB.
func TestSignerChunkVectors(t *testing.T) {
	t.Parallel()
	const stamp = "20130524T000000Z"
	s := NewSigner(exampleCredentials(), "us-east-1")
	headers := []Header{
		{"content-encoding", "aws-chunked"},
		{"content-length", "66824"},
		{"host", "s3.amazonaws.com"},
		{"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
		{"x-amz-date", stamp},
		{"x-amz-decoded-content-length", "66560"},
		{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	}
	_, signature := s.Sign(nil, &SignRequest{
		"PUT", "/examplebucket/chunkObject.txt", "", headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
	}, stamp)
	if want := "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"; signature != want {
		t.Fatalf("seed = %s, want %s", signature, want)
	}
	wants := []string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}
	for i, size := range []int{65536, 1024, 0} {
		signature = s.ChunkSignature(stamp, signature, hexSHA256(bytes.Repeat([]byte("a"), size)))
		if signature != wants[i] {
			t.Fatalf("chunk %d = %s, want %s", i, signature, wants[i])
		}
	}
}

// TestSignerTrailerVector checks AWS's published example with a trailer.
func TestSignerTrailerVector(t *testing.T) {
	t.Parallel()
	const stamp = "20130524T000000Z"
	s := NewSigner(exampleCredentials(), "us-east-1")
	signature := "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
	for _, size := range []int{65536, 1024, 0} {
		signature = s.ChunkSignature(stamp, signature, hexSHA256(bytes.Repeat([]byte("a"), size)))
	}
	if want := "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"; signature != want {
		t.Fatalf("final chunk = %s, want %s", signature, want)
	}
	got := s.TrailerSignature(stamp, signature, hexSHA256([]byte("x-amz-checksum-crc32c:sOO8/Q==\n")))
	if want := "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"; got != want {
		t.Errorf("trailer = %s, want %s", got, want)
	}
}

func TestEscapeRoundTrips(t *testing.T) {
	t.Parallel()
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	back, err := url.PathUnescape(EscapePath(string(all)))
	if err != nil || back != string(all) {
		t.Errorf("EscapePath does not round-trip: %v", err)
	}
	back, err = url.QueryUnescape(EscapeQuery(string(all)))
	if err != nil || back != string(all) {
		t.Errorf("EscapeQuery does not round-trip: %v", err)
	}
}
