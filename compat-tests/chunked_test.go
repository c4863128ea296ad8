package compat

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// chunkedBody is a body in the aws-chunked form.
type chunkedBody struct {
	data    []byte
	size    int    // of a chunk
	signed  bool   // each chunk carries a signature
	trailer string // "name:value", or empty
	spoil   func(encoded []byte) []byte
}

func (b *chunkedBody) mode() string {
	switch {
	case b.signed && b.trailer != "":
		return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	case b.signed || b.trailer == "":
		return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	default:
		return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	}
}

// crc32cTrailer is the right CRC-32C trailer for data.
func crc32cTrailer(data []byte) string {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return "x-amz-checksum-crc32c:" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// putChunked signs and sends the body. A body with neither signature nor
// trailer is signed, because the unsigned form needs a trailer.
func (s *server) putChunked(t *testing.T, path string, b *chunkedBody, extra map[string]string) *rawResponse {
	t.Helper()
	resp, err := exchange(plainHTTP, s.buildChunked(t, path, b, extra))
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (s *server) buildChunked(t *testing.T, path string, b *chunkedBody, extra map[string]string) *http.Request {
	t.Helper()
	if b.trailer == "" {
		b.signed = true
	}
	h := header("content-encoding", "aws-chunked", "x-amz-decoded-content-length", strconv.Itoa(len(b.data)))
	if b.trailer != "" {
		name, _, _ := strings.Cut(b.trailer, ":")
		h["x-amz-trailer"] = name
	}
	maps.Copy(h, extra)
	req := s.build(t, &rawRequest{Method: "PUT", Path: path, Header: h, SHA256: b.mode()})
	_, seed, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	encoded := b.encode(chunkKey(s.secretKey, req.Header.Get("X-Amz-Date")), req.Header.Get("X-Amz-Date"), seed)
	if b.spoil != nil {
		encoded = b.spoil(encoded)
	}
	full := req.Clone(req.Context())
	full.Body = http.NoBody
	if len(encoded) > 0 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.endpoint, bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		full.Body, full.ContentLength, full.GetBody = r.Body, r.ContentLength, r.GetBody
	}
	return full
}

func chunkKey(secret, stamp string) []byte {
	key := []byte("AWS4" + secret)
	for _, step := range []string{stamp[:8], region, "s3", "aws4_request"} {
		key = hmacSHA256(key, step)
	}
	return key
}

func hmacSHA256(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func (b *chunkedBody) encode(key []byte, stamp, previous string) []byte {
	var out bytes.Buffer
	scope := stamp[:8] + "/" + region + "/s3/aws4_request"
	sign := func(label string, rest ...string) string {
		text := strings.Join(append([]string{label, stamp, scope, previous}, rest...), "\n")
		previous = hex.EncodeToString(hmacSHA256(key, text))
		return previous
	}
	for rest := b.data; ; {
		n := min(len(rest), b.size)
		if b.signed {
			sum := sign("AWS4-HMAC-SHA256-PAYLOAD", sha256Hex(nil), sha256Hex(rest[:n]))
			fmt.Fprintf(&out, "%x;chunk-signature=%s\r\n", n, sum)
		} else {
			fmt.Fprintf(&out, "%x\r\n", n)
		}
		if n == 0 {
			break
		}
		out.Write(rest[:n])
		out.WriteString("\r\n")
		rest = rest[n:]
	}
	if b.trailer != "" {
		out.WriteString(b.trailer + "\r\n")
		if b.signed {
			out.WriteString("x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", sha256Hex([]byte(b.trailer+"\n"))) + "\r\n")
		}
	}
	out.WriteString("\r\n")
	return out.Bytes()
}

func decodeWord(s string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return decoded
}

func TestChunkedBodiesReadBack(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	for i, size := range []int{0, 1, 8192, 65536, 65537, 300000, 5*mib + 7} {
		for _, chunk := range []int{8192, 65536, 1 << 20} {
			data := pattern(size, byte(i))
			for name, b := range map[string]*chunkedBody{
				"signed":         {data: data, size: chunk, signed: true},
				"signed trailer": {data: data, size: chunk, signed: true, trailer: crc32cTrailer(data)},
				"trailer":        {data: data, size: chunk, trailer: crc32cTrailer(data)},
			} {
				what := fmt.Sprintf("%s, %d bytes in chunks of %d", name, size, chunk)
				resp := s.putChunked(t, "/"+bucket+"/k", b, nil)
				resp.want(t, what, 200)
				if got := resp.Header.Get("ETag"); got != `"`+md5Hex(data)+`"` {
					t.Errorf("%s: ETag %s", what, got)
				}
				wantBytes(t, what, s.raw(t, &rawRequest{Path: "/" + bucket + "/k"}).Body, data)
			}
		}
	}
}

// TestChunkedSpoiledBodiesAreRefused: nothing of them is stored.
func TestChunkedSpoiledBodiesAreRefused(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	data := pattern(200000, 1)
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	replace := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
	}
	cases := map[string]*chunkedBody{
		"byte of a signed chunk":       {signed: true, spoil: flip(100000)},
		"signature of the first chunk": {signed: true, spoil: flip(30)},
		"no final chunk":               {signed: true, spoil: func(b []byte) []byte { return b[:len(b)-86] }},
		"chunk size is no number":      {signed: true, spoil: replace("10000;", "zzzzz;")},
		"chunk size is huge":           {signed: true, spoil: replace("10000;", "ffffffffffffffffffff;")},
		"chunk size is negative":       {signed: true, spoil: replace("10000;", "-1000;")},
		"chunk size is larger":         {signed: true, spoil: replace("10000;", "10001;")},
		"signature missing":            {signed: true, spoil: replace(";chunk-signature=", ";chunk-signatura=")},
		"bytes after the end":          {signed: true, spoil: func(b []byte) []byte { return append(b, "more"...) }},
		"trailer value wrong":          {trailer: "x-amz-checksum-crc32c:AAAAAA=="},
		"trailer not base64":           {trailer: "x-amz-checksum-crc32c:!!!"},
		"trailer of another name":      {trailer: crc32cTrailer(data), spoil: replace("crc32c:", "sha256:")},
		"trailer missing":              {trailer: crc32cTrailer(data), spoil: func(b []byte) []byte { return append(b[:bytes.LastIndex(b, []byte("x-amz"))], "\r\n"...) }},
		"trailer signature wrong":      {signed: true, trailer: crc32cTrailer(data), spoil: func(b []byte) []byte { b[len(b)-10] ^= 1; return b }},
		"byte under a trailer":         {trailer: crc32cTrailer(data), spoil: flip(100000)},
	}
	for name, b := range cases {
		b.data, b.size = data, 65536
		resp := s.putChunked(t, "/"+bucket+"/"+strings.ReplaceAll(name, " ", "-"), b, nil)
		resp.wantRefused(t, name)
	}
	if got := keysOf(t, c, bucket); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}

func TestChunkedDecodedLengthMustAgree(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for name, length := range map[string]string{"short": "9", "long": "11", "negative": "-1", "word": "ten", "missing": ""} {
		data := []byte("0123456789")
		h := header("x-amz-decoded-content-length", length)
		if length == "" {
			h = header("x-amz-decoded-content-length", " ")
		}
		resp := s.putChunked(t, "/"+bucket+"/"+name, &chunkedBody{data: data, size: 8192, signed: true}, h)
		if resp.Status < 400 || resp.Status > 499 {
			t.Errorf("%s: status %d", name, resp.Status)
		}
	}
	if got := keysOf(t, c, bucket); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}
