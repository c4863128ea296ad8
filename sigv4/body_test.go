package sigv4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// streams are uploads of every form, small enough to be cut at every byte.
func streams() map[string]stream {
	big := strings.Repeat("0123456789abcdef", minChunk/16)
	one := [][2]string{{"x-amz-checksum-crc32c", "sOO8/Q=="}}
	two := [][2]string{{"x-amz-checksum-b", "2"}, {"x-amz-checksum-a", "1"}}
	return map[string]stream{
		"signed":                       {mode: streamingSigned, chunks: []string{"hello"}},
		"signed, empty":                {mode: streamingSigned},
		"signed, three chunks":         {mode: streamingSigned, chunks: []string{big, big, "end"}},
		"signed trailer":               {mode: streamingSignedTrailer, chunks: []string{"hello"}, trailers: one},
		"signed trailer, LF CRLF":      {mode: streamingSignedTrailer, chunks: []string{"hello"}, trailers: one, minio: true},
		"signed trailer, empty":        {mode: streamingSignedTrailer, trailers: one},
		"signed trailer, none":         {mode: streamingSignedTrailer, chunks: []string{"hello"}},
		"unsigned trailer":             {mode: streamingUnsigned, chunks: []string{"hello"}, trailers: one},
		"unsigned trailer, LF CRLF":    {mode: streamingUnsigned, chunks: []string{"hello"}, trailers: one, minio: true},
		"unsigned trailer, empty":      {mode: streamingUnsigned, trailers: one},
		"unsigned trailer, none":       {mode: streamingUnsigned, chunks: []string{"hello"}},
		"unsigned, two trailers":       {mode: streamingUnsigned, chunks: []string{big, "x"}, trailers: two},
		"unsigned, single large chunk": {mode: streamingUnsigned, chunks: []string{big + big + big}},
	}
}

func TestStreams(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"half":     iotest.HalfReader,
		"eof with": iotest.DataErrReader,
	}
	for name, s := range streams() {
		r, body := s.build()
		want := strings.Join(s.chunks, "")
		for how, wrap := range readers {
			for _, size := range []int{1, 7, 4096, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, how, size), func(t *testing.T) {
					res := verified(t, r)
					got, err := readBy(res.Body(wrap(bytes.NewReader(body))), size)
					if err != nil || string(got) != want {
						t.Fatalf("%d bytes, want %d: %v", len(got), len(want), err)
					}
					for _, tr := range s.trailers {
						if value, ok := res.Trailer(tr[0]); !ok || value != tr[1] {
							t.Errorf("trailer %s = %q, %v", tr[0], value, ok)
						}
					}
					if _, ok := res.Trailer(trailerSignature); ok {
						t.Error("the signature passes for a trailer")
					}
				})
			}
		}
	}
}

// readBy reads all of r with a buffer of a given size.
func readBy(r io.Reader, size int) ([]byte, error) {
	var out bytes.Buffer
	_, err := io.CopyBuffer(struct{ io.Writer }{&out}, r, make([]byte, size))
	return out.Bytes(), err
}

// A body cut at any byte is an error, and so is a connection that breaks there.
func TestEveryCut(t *testing.T) {
	for name, s := range streams() {
		t.Run(name, func(t *testing.T) {
			r, body := s.build()
			want := len(strings.Join(s.chunks, ""))
			broken := errors.New("connection reset")
			for cut := range len(body) {
				if cut > 500 && cut < len(body)-500 && cut%61 != 0 {
					continue // inside the data one byte is like another
				}
				res := verified(t, r)
				got, err := io.ReadAll(res.Body(bytes.NewReader(body[:cut])))
				if kindOf(err) != KindIncompleteBody {
					t.Fatalf("cut at %d of %d: %v", cut, len(body), err)
				}
				// A reader that counts must not get the last bytes either.
				if want > 0 && len(got) >= want {
					t.Fatalf("cut at %d: all %d bytes were given", cut, len(got))
				}
				if _, ok := res.Trailer("x-amz-checksum-crc32c"); ok {
					t.Fatalf("cut at %d: trailer taken", cut)
				}
				body := io.MultiReader(bytes.NewReader(body[:cut]), iotest.ErrReader(broken))
				if _, err := io.ReadAll(verified(t, r).Body(body)); !errors.Is(err, broken) || kindOf(err) != 0 {
					t.Fatalf("broken at %d: %v", cut, err)
				}
			}
		})
	}
}

// Every byte of a signed stream is covered: by the signature or by the framing.
func TestEveryByteChanged(t *testing.T) {
	for name, s := range streams() {
		if s.mode == streamingUnsigned || len(s.chunks) > 1 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r, body := s.build()
			for i := range body {
				changed := bytes.Clone(body)
				changed[i] ^= 1
				got, err := io.ReadAll(verified(t, r).Body(bytes.NewReader(changed)))
				if kindOf(err) == 0 {
					t.Fatalf("byte %d changed to %q: %q, %v", i, changed[i], got, err)
				}
			}
		})
	}
}

func TestStreamAttacks(t *testing.T) {
	big := strings.Repeat("x", minChunk)
	other := strings.Repeat("y", minChunk)
	base := stream{mode: streamingSigned, chunks: []string{big, other, "end"}}
	r, body := base.build()
	head := len("2000;chunk-signature=") + 64 + 2 + minChunk + 2
	swapped := append(append(bytes.Clone(body[head:2*head]), body[:head]...), body[2*head:]...)
	dropped := append(bytes.Clone(body[:head]), body[2*head:]...)
	repeated := append(bytes.Clone(body[:head]), body...)
	for name, tt := range map[string]struct {
		body []byte
		kind Kind
	}{
		"swapped chunks":   {swapped, KindSignatureMismatch},
		"dropped chunk":    {dropped, KindSignatureMismatch},
		"repeated chunk":   {repeated, KindSignatureMismatch},
		"chunk in the end": {append(bytes.Clone(body[:len(body)-2]), body[:head]...), KindIncompleteBody},
	} {
		got, err := io.ReadAll(verified(t, r).Body(bytes.NewReader(tt.body)))
		if kindOf(err) != tt.kind {
			t.Errorf("%s: kind %d, %v", name, kindOf(err), err)
		}
		if e := answer(t, err); tt.kind == KindSignatureMismatch &&
			(!strings.HasPrefix(e.Field("StringToSign"), "AWS4-HMAC-SHA256-PAYLOAD\n"+exampleTime) || e.Field("CanonicalRequest") == "") {
			t.Errorf("%s: answer explains nothing: %v", name, e.Fields)
		}
		if len(got) >= 2*minChunk+3 {
			t.Errorf("%s: %d bytes given", name, len(got))
		}
	}
	// The signature of the trailers alone is wrong.
	r, body = stream{mode: streamingSignedTrailer, chunks: []string{"a"}, trailers: [][2]string{{"x-amz-checksum-crc32", "AAAAAA=="}}}.build()
	forged := bytes.Replace(body, []byte("AAAAAA=="), []byte("BBBBBB=="), 1)
	_, err := io.ReadAll(verified(t, r).Body(bytes.NewReader(forged)))
	if kindOf(err) != KindSignatureMismatch || !strings.HasPrefix(answer(t, err).Field("StringToSign"), "AWS4-HMAC-SHA256-TRAILER\n") {
		t.Errorf("forged trailer: %v", err)
	}
	// Signed trailers without their signature.
	i := bytes.Index(body, []byte("x-amz-trailer-signature"))
	stripped := append(bytes.Clone(body[:i]), "\r\n"...)
	if _, err := io.ReadAll(verified(t, r).Body(bytes.NewReader(stripped))); kindOf(err) != KindMalformedTrailer {
		t.Errorf("stripped signature: %v", err)
	}
}

// A chunk that fits the caller's buffer is verified before it is given.
func TestChunkIsVerifiedFirst(t *testing.T) {
	big := strings.Repeat("x", minChunk)
	r, body := stream{mode: streamingSigned, chunks: []string{big, big}}.build()
	body[200] = 'y' // in the data of the first chunk
	n, err := verified(t, r).Body(bytes.NewReader(body)).Read(make([]byte, minChunk))
	if n != 0 || kindOf(err) != KindSignatureMismatch {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Errors are sticky, and reading after the end gives io.EOF again.
func TestErrorsStick(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    *http.Request
		body string
	}{
		{"chunked", chunks(streamingUnsigned, "5"), "5\r\nhelloXX0\r\n\r\n"},
		{"hash", put(digest("a"), 1), "b"},
	} {
		b := verified(t, tt.r).Body(strings.NewReader(tt.body))
		_, first := io.ReadAll(b)
		n, second := b.Read(make([]byte, 1))
		if first == nil || n != 0 || !errors.Is(second, first) {
			t.Errorf("%s: %v, then %d bytes and %v", tt.name, first, n, second)
		}
	}
	for _, tt := range []struct {
		name string
		r    *http.Request
		body string
	}{
		{"chunked", chunks(streamingUnsigned, "5"), "5\r\nhello\r\n0\r\n\r\n"},
		{"chunked with spare line ends", chunks(streamingUnsigned, "5"), "5\r\nhello\r\n0\r\n\r\n\r\n\r\n"},
		{"chunked, capitals", chunks(streamingUnsigned, "10"), "A\r\nhellohello\r\n0\r\n\r\n"},
		{"hash", put(digest("a"), 1), "a"},
		{"hash, length unknown", put(digest("a"), -1), "a"},
		{"hash in capitals", put(strings.ToUpper(digest("a")), 1), "a"},
		{"unsigned", put(unsignedPayload, -1), "a"},
		{"empty", put(emptySHA256, 0), ""},
	} {
		b := verified(t, tt.r).Body(strings.NewReader(tt.body))
		if _, err := io.ReadAll(b); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s after the end: %d, %v", tt.name, n, err)
		}
	}
}

// A reader that takes exactly Content-Length bytes and never sees io.EOF must
// not get a body that does not match.
func TestCountingReaderIsSafe(t *testing.T) {
	res := verified(t, put(digest("good!"), 5))
	if n, err := io.ReadFull(res.Body(strings.NewReader("evil!")), make([]byte, 5)); n != 0 || kindOf(err) != KindContentSHA256Mismatch {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestBrokenConnection(t *testing.T) {
	broken := errors.New("connection reset")
	for _, r := range []*http.Request{put(digest("abc"), 3), put(unsignedPayload, -1)} {
		body := io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken))
		if _, err := io.ReadAll(verified(t, r).Body(body)); !errors.Is(err, broken) || kindOf(err) != 0 {
			t.Errorf("broken: %v", err)
		}
		body = io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := io.ReadAll(verified(t, r).Body(body)); kindOf(err) != KindIncompleteBody {
			t.Errorf("cut: %v", err)
		}
	}
}

func TestAnonymous(t *testing.T) {
	v := newVerifier(t)
	v.Secret = nil // must not be asked
	for name, tt := range map[string]struct {
		headers []string
		body    string
		want    string
		payload Payload
	}{
		"plain":   {nil, "data", "data", PayloadUnsigned},
		"hashed":  {[]string{"X-Amz-Content-Sha256", digest("data")}, "data", "data", PayloadSHA256},
		"chunked": {[]string{"X-Amz-Content-Sha256", streamingUnsigned, "X-Amz-Decoded-Content-Length", "4", "X-Amz-Trailer", "X-Amz-Checksum-A"}, "4\r\ndata\r\n0\r\nx-amz-checksum-a: b \r\n\r\n", "data", PayloadChunksUnsignedTrailer},
	} {
		r := newRequest("PUT", "/bucket/key?acl&X-Amz-Unrelated=1", "h", tt.headers...)
		r.ContentLength = int64(len(tt.body))
		res, err := v.Verify(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(res.Body(strings.NewReader(tt.body)))
		if err != nil || string(got) != tt.want || res.Auth != AuthAnonymous || res.AccessKey != "" || res.Payload != tt.payload || res.Length != 4 {
			t.Errorf("%s: %q, %v, %+v", name, got, err, res)
		}
		if value, ok := res.Trailer("x-amz-checksum-a"); ok != (name == "chunked") || ok && value != "b" {
			t.Errorf("%s: trailer %q, %v", name, value, ok)
		}
	}
}
