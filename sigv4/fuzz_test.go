package sigv4

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// FuzzAuthorization: any header is refused with a kind, or says what it says.
func FuzzAuthorization(f *testing.F) {
	f.Add(authorization("host;x-amz-date", strings.Repeat("0", 64)))
	f.Add("AWS4-HMAC-SHA256 Credential=a/20130524/b/s3/aws4_request, SignedHeaders=host, Signature=x")
	f.Add("AWS a:b")
	f.Add("AWS4-HMAC-SHA256 Credential=////,=,")
	f.Fuzz(func(t *testing.T, value string) {
		var c claim
		if err := c.parseAuthorization(value); err != nil {
			if kindOf(err) == 0 {
				t.Errorf("%q: %v has no kind", value, err)
			}
			return
		}
		if !strings.Contains(value, c.accessKey+"/"+c.scope) || c.accessKey == "" || c.signature == "" || c.signedHeaders == "" {
			t.Errorf("%q parses to %+v", value, c)
		}
		if strings.Join([]string{c.date, c.region, c.service(), terminal}, "/") != c.scope {
			t.Errorf("%q: scope %q", value, c.scope)
		}
		// The whole way: it can only be refused.
		r := get("Authorization", value, "X-Amz-Date", exampleTime)
		if _, err := newVerifier(t).Verify(r); kindOf(err) == 0 {
			t.Errorf("%q: %v", value, err)
		}
	})
}

// FuzzQuery: the canonical query says what url.ParseQuery says.
func FuzzQuery(f *testing.F) {
	f.Add("max-keys=2&prefix=J")
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a")
	f.Add("a=%2B+%zz&&=&b")
	f.Add(strings.TrimPrefix(presign("GET", "/k").RequestURI, "/k?"))
	f.Fuzz(func(t *testing.T, raw string) {
		var s scratch
		if err := s.parseQuery(raw); err != nil {
			if kindOf(err) != KindURIInvalid {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		canonical := string(s.appendQuery(nil))
		want, err := url.ParseQuery(raw)
		if err != nil {
			return // url.ParseQuery refuses semicolons
		}
		got, err := url.ParseQuery(canonical)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", raw, canonical, err)
		}
		want.Del(paramSignature)
		for _, values := range []url.Values{got, want} {
			for _, v := range values {
				slices.Sort(v) // the order of equal names is not kept
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q becomes %q (-want +got):\n%s", raw, canonical, diff)
		}
		q := s.queryAuth()
		if values := want[paramCredential]; len(values) == 1 && q.credential != values[0] {
			t.Errorf("%q: credential %q", raw, q.credential)
		}
		// The whole way: no signature is right by chance.
		r := newRequest("GET", "/k", "h")
		r.RequestURI = "/k?" + raw
		if res, err := newVerifier(t).Verify(r); err == nil && res.Auth != AuthAnonymous {
			t.Errorf("%q is accepted", raw)
		} else if err != nil && kindOf(err) == 0 {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

// FuzzChunks: any body is decoded to exactly the declared length or refused
// with a kind, however it arrives.
func FuzzChunks(f *testing.F) {
	for _, s := range streams() {
		if s.mode == streamingUnsigned {
			_, body := s.build()
			f.Add(body, uint16(5), true)
		}
	}
	_, body := stream{mode: streamingSigned, chunks: []string{"hello"}}.build()
	f.Add(body, uint16(5), false)
	f.Fuzz(func(t *testing.T, body []byte, length uint16, unsigned bool) {
		decode := func(r io.Reader) ([]byte, error) {
			res := &Result{Payload: PayloadChunksUnsignedTrailer, Length: int64(length), trailers: []trailer{{name: "x-amz-checksum-crc32c"}}}
			if !unsigned {
				c := &claim{timestamp: exampleTime, scope: testScope, date: "20130524", signature: emptySHA256}
				res.Payload, res.trailers = PayloadChunksSigned, nil
				res.signer = newChunkSigner(newSigningKey(newVerifier(t), c.date, exampleSecret), c, "")
			}
			return io.ReadAll(res.Body(r))
		}
		got, err := decode(bytes.NewReader(body))
		if err == nil && len(got) != int(length) || err != nil && kindOf(err) == 0 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err == nil && !unsigned && length > 0 {
			t.Error("a forged chunk is accepted")
		}
		slow, slowErr := decode(iotest.OneByteReader(bytes.NewReader(body)))
		if (err == nil) != (slowErr == nil) || err == nil && !bytes.Equal(got, slow) || kindOf(err) != kindOf(slowErr) {
			t.Errorf("byte by byte: %v, at once: %v", slowErr, err)
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("io.EOF hides in %v", err)
		}
	})
}
