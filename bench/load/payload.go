package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"

	"github.com/minio/crc64nvme"
)

// PayloadMode says how a body is covered by the signature.
type PayloadMode string

// The payload modes of SigV4.
const (
	Unsigned          PayloadMode = "unsigned"           // UNSIGNED-PAYLOAD
	Signed            PayloadMode = "signed"             // SHA-256 of the body in the header
	Streaming         PayloadMode = "streaming"          // aws-chunked, each chunk signed
	StreamingUnsigned PayloadMode = "streaming-unsigned" // aws-chunked with a trailer, chunks not signed
)

// Checksum names the checksum sent with a body: as a header in the modes
// Unsigned and Signed, as a trailer in the streaming ones.
type Checksum string

// The checksums the driver can send.
const (
	NoChecksum Checksum = "none"
	CRC32C     Checksum = "crc32c"
	CRC64NVME  Checksum = "crc64nvme"
)

// ParsePayloadMode reads a mode as written on a command line.
func ParsePayloadMode(s string) (PayloadMode, error) {
	switch m := PayloadMode(s); m {
	case Unsigned, Signed, Streaming, StreamingUnsigned:
		return m, nil
	default:
		return "", fmt.Errorf("unknown payload mode %q", s)
	}
}

// ParseChecksum reads a checksum as written on a command line.
func ParseChecksum(s string) (Checksum, error) {
	switch c := Checksum(s); c {
	case NoChecksum, CRC32C, CRC64NVME:
		return c, nil
	default:
		return "", fmt.Errorf("unknown checksum %q", s)
	}
}

// payload is one body with everything that can be computed before the run.
type payload struct {
	data        []byte
	sha256      string
	checksum    string
	chunks      []chunk
	trailerHash string
}

type chunk struct {
	data   []byte
	sha256 string
}

// newPayload makes size incompressible bytes from a seed and hashes them once.
func newPayload(size int, seed uint64, cfg *Config) *payload {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	p := &payload{data: make([]byte, size)}
	rng := rand.NewChaCha8(key)
	if _, err := rng.Read(p.data); err != nil {
		panic("load: ChaCha8 never fails: " + err.Error())
	}
	if cfg.Payload == Signed {
		p.sha256 = hexDigest(p.data)
	}
	switch cfg.Checksum {
	case CRC32C:
		sum := crc32.Checksum(p.data, crc32.MakeTable(crc32.Castagnoli))
		p.checksum = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
	case CRC64NVME:
		p.checksum = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(p.data)))
	case NoChecksum:
	}
	if cfg.Payload == Streaming || cfg.Payload == StreamingUnsigned {
		p.cut(cfg)
	}
	return p
}

func (p *payload) cut(cfg *Config) {
	for rest := p.data; ; {
		n := min(len(rest), cfg.ChunkSize)
		c := chunk{data: rest[:n]}
		if cfg.Payload == Streaming {
			c.sha256 = hexDigest(c.data)
		}
		p.chunks = append(p.chunks, c)
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	if cfg.Checksum != NoChecksum {
		p.trailerHash = hexDigest([]byte(checksumHeader(cfg.Checksum) + ":" + p.checksum + "\n"))
	}
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func checksumHeader(c Checksum) string { return "x-amz-checksum-" + string(c) }

// contentSHA256 is the value of x-amz-content-sha256 for this payload.
func (p *payload) contentSHA256(cfg *Config) string {
	switch cfg.Payload {
	case Signed:
		return p.sha256
	case Streaming:
		if cfg.Checksum != NoChecksum {
			return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
		}
		return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	case StreamingUnsigned:
		return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	case Unsigned:
	}
	return "UNSIGNED-PAYLOAD"
}

// headers are those that describe the body, to be signed.
func (p *payload) headers(dst []Header, cfg *Config) []Header {
	if p.chunks == nil {
		if cfg.Checksum != NoChecksum {
			dst = append(dst, Header{checksumHeader(cfg.Checksum), p.checksum})
		}
		return dst
	}
	dst = append(dst,
		Header{"content-encoding", "aws-chunked"},
		Header{"x-amz-decoded-content-length", strconv.Itoa(len(p.data))})
	if cfg.Checksum != NoChecksum {
		dst = append(dst, Header{"x-amz-trailer", checksumHeader(cfg.Checksum)})
	}
	return dst
}

// encode returns the segments to send. In the streaming modes the frames of the
// chunks are written into scratch, whose grown form is returned for reuse.
func (p *payload) encode(scratch []byte, cfg *Config, sign *chunkSigner) (segments [][]byte, grown []byte) {
	if p.chunks == nil {
		return [][]byte{p.data}, scratch
	}
	b := bytes.NewBuffer(scratch[:0])
	cuts := make([]int, 0, len(p.chunks)+1)
	for _, c := range p.chunks {
		b.WriteString(strconv.FormatInt(int64(len(c.data)), 16))
		if cfg.Payload == Streaming {
			b.WriteString(";chunk-signature=" + sign.chunk(c.sha256))
		}
		b.WriteString("\r\n")
		cuts = append(cuts, b.Len())
		if len(c.data) > 0 {
			b.WriteString("\r\n")
		}
	}
	if cfg.Checksum != NoChecksum {
		b.WriteString(checksumHeader(cfg.Checksum) + ":" + p.checksum + "\r\n")
		if cfg.Payload == Streaming {
			b.WriteString("x-amz-trailer-signature:" + sign.trailer(p.trailerHash) + "\r\n")
		}
	}
	b.WriteString("\r\n")

	frames := b.Bytes()
	from := 0
	for i, c := range p.chunks {
		segments = append(segments, frames[from:cuts[i]], c.data)
		from = cuts[i]
	}
	return append(segments, frames[from:]), frames
}

// chunkSigner continues the chain of signatures that the request began.
type chunkSigner struct {
	signer   *Signer
	stamp    string
	previous string
}

func (c *chunkSigner) chunk(sha string) string {
	c.previous = c.signer.ChunkSignature(c.stamp, c.previous, sha)
	return c.previous
}

func (c *chunkSigner) trailer(sha string) string {
	return c.signer.TrailerSignature(c.stamp, c.previous, sha)
}
