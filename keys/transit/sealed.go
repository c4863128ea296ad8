package transit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/keys"
)

// A sealed data key:
//
//	1 byte             format, 2 (1 is that of keys.Wrap alone)
//	2 bytes            length of the ciphertext
//	n bytes            the ciphertext of the wrapping key, as the engine wrote it, vault:vN:...
//	WrappedSize bytes  the data key under the wrapping key, version 0
const sealedFormat = 2

// pack makes a data key and seals it under a wrapping key.
func pack(wrapping *keys.DataKey, ciphertext, keyID string, encCtx []byte) (plain keys.DataKey, sealed []byte, err error) {
	_, _ = rand.Read(plain[:]) // never fails
	wrapped, err := keys.Wrap(rand.Reader, wrapping, &plain, keys.Bound{Key: keyID, Context: encCtx})
	if err == nil {
		sealed, err = join(ciphertext, wrapped)
	}
	if err != nil {
		plain.Wipe()
	}
	return plain, sealed, err
}

func join(ciphertext string, wrapped []byte) ([]byte, error) {
	out := make([]byte, 0, 3+len(ciphertext)+len(wrapped))
	out = append(out, sealedFormat)
	out = binary.BigEndian.AppendUint16(out, uint16(len(ciphertext)))
	out = append(append(out, ciphertext...), wrapped...)
	if len(out) > keys.MaxSealed {
		return nil, fmt.Errorf("%w: a ciphertext of %d bytes", keys.ErrUnavailable, len(ciphertext))
	}
	return out, nil
}

// unpack splits a sealed data key.
func unpack(sealed []byte) (ciphertext string, wrapped []byte, err error) {
	if len(sealed) < 3 || len(sealed) > keys.MaxSealed || sealed[0] != sealedFormat {
		return "", nil, fmt.Errorf("%w: not of this form", keys.ErrInvalid)
	}
	n := int(binary.BigEndian.Uint16(sealed[1:]))
	if len(sealed) != 3+n+keys.WrappedSize {
		return "", nil, fmt.Errorf("%w: not of this length", keys.ErrInvalid)
	}
	ciphertext = string(sealed[3 : 3+n])
	_, err = version(ciphertext)
	return ciphertext, sealed[3+n:], err
}

// version is the version of the key in a ciphertext vault:vN:...
func version(ciphertext string) (uint64, error) {
	rest, ok := strings.CutPrefix(ciphertext, "vault:v")
	number, _, separated := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || !separated || err != nil {
		return 0, fmt.Errorf("%w: no ciphertext of a transit engine", keys.ErrInvalid)
	}
	return n, nil
}

// derivation is the context of a key that the engine derives; others ignore it.
func derivation(keyID string, encCtx []byte) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "undercroft encryption context\x00%s\x00", keyID) // never fails
	_, _ = h.Write(encCtx)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// secret is a base64 text in an answer, kept in bytes that can be wiped.
type secret []byte

// UnmarshalJSON takes the bytes between the quotes.
func (s *secret) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '"' {
		return fmt.Errorf("%w: the answer holds no key", keys.ErrUnavailable)
	}
	*s = append((*s)[:0], text[1:len(text)-1]...)
	return nil
}

func (s *secret) wipe() { clear(*s) }

// key decodes a key.
func (s *secret) key() (k keys.DataKey, err error) {
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(*s)))
	defer clear(raw)
	n, err := base64.StdEncoding.Decode(raw, *s)
	if err != nil || n != len(k) {
		// The decoder's own words could repeat the key.
		return keys.DataKey{}, fmt.Errorf("not a key of %d bytes", len(k))
	}
	return keys.DataKey(raw[:n]), nil
}
