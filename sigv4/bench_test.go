package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
)

// A GET as the SDK sends it, with the signing key in the cache.
func BenchmarkVerifyHeader(b *testing.B) {
	v := newVerifier(b)
	r := signRequest(get("X-Amz-User-Agent", "aws-sdk-go-v2/1.30", "Amz-Sdk-Request", "attempt=1; max=3", "Accept-Encoding", "identity"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyHeaderParallel(b *testing.B) {
	v := newVerifier(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := signRequest(get())
		for pb.Next() {
			if _, err := v.Verify(r); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkVerifyPresigned(b *testing.B) {
	v := newVerifier(b)
	r := presign("GET", "/bucket/key")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAnonymous(b *testing.B) {
	v := newVerifier(b)
	r := newRequest("GET", "/bucket/key", "h")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkBody(b *testing.B, res *Result, body []byte, n int) {
	b.Helper()
	buf := make([]byte, 1<<20)
	src := bytes.NewReader(body)
	seed := [sha256.Size]byte{}
	if res.signer != nil {
		seed = res.signer.previous
	}
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(body)
		if res.signer != nil {
			res.signer.previous = seed
			res.signer.sum.Reset()
		}
		for i := range res.trailers {
			res.trailers[i].seen = false
		}
		r := res.Body(src)
		for {
			_, err := r.Read(buf)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkBody(b *testing.B) {
	const chunk, count = 64 << 10, 64
	data := bytes.Repeat([]byte("a"), chunk)
	s := stream{trailers: [][2]string{{"x-amz-checksum-crc32", "AAAAAA=="}}}
	for range count {
		s.chunks = append(s.chunks, string(data))
	}
	for _, mode := range []string{streamingUnsigned, streamingSigned, streamingSignedTrailer} {
		s := s
		s.mode = mode
		if mode == streamingSigned {
			s.trailers = nil
		}
		r, body := s.build()
		b.Run(mode, func(b *testing.B) { benchmarkBody(b, verified(b, r), body, chunk*count) })
	}
	whole := bytes.Repeat(data, count)
	sum := sha256.Sum256(whole)
	b.Run("sha256", func(b *testing.B) {
		benchmarkBody(b, verified(b, put(hex.EncodeToString(sum[:]), int64(len(whole)))), whole, len(whole))
	})
}
