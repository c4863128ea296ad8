package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

const (
	algorithm      = "AWS4-HMAC-SHA256"
	algorithmECDSA = "AWS4-ECDSA-P256-SHA256"
	terminal       = "aws4_request"
)

// maxKeys bounds the cache of signing keys. An entry is about half a KiB.
const maxKeys = 4096

// keyCache keeps signing keys: deriving one takes four HMACs, using one takes
// one. The region and the service are those of the verifier.
type keyCache struct {
	mu   sync.RWMutex
	keys map[keyID]*signingKey // mu
}

type keyID struct {
	accessKey string
	date      string // YYYYMMDD
}

// signingKey is the key of one access key and day, for one secret.
type signingKey struct {
	secret string
	macs   sync.Pool // of hash.Hash, keyed
}

// get returns the signing key of a credential. A secret that changed makes a
// new key, so that a cached one never outlives its secret.
func (c *keyCache) get(v *Verifier, cred *claim, secret string) *signingKey {
	id := keyID{cred.accessKey, cred.date}
	c.mu.RLock()
	key := c.keys[id]
	c.mu.RUnlock()
	if key != nil && key.secret == secret {
		return key
	}
	key = newSigningKey(v, cred.date, secret)
	// The strings are pieces of a request's header: a copy frees the rest.
	id = keyID{strings.Clone(id.accessKey), strings.Clone(id.date)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[keyID]*signingKey)
	}
	for old := range c.keys { // any one goes: it can be derived again
		if len(c.keys) < maxKeys {
			break
		}
		delete(c.keys, old)
	}
	c.keys[id] = key
	return key
}

func newSigningKey(v *Verifier, date, secret string) *signingKey {
	k := hmacSHA256([]byte("AWS4"+secret), date)
	k = hmacSHA256(k, v.Region)
	k = hmacSHA256(k, v.service())
	k = hmacSHA256(k, terminal)
	key := &signingKey{secret: secret}
	key.macs.New = func() any { return hmac.New(sha256.New, k) }
	return key
}

// mac returns a keyed hash, ready to use. Giving it back to k.macs is optional.
func (k *signingKey) mac() hash.Hash {
	h, ok := k.macs.Get().(hash.Hash)
	if !ok {
		panic("sigv4: the pool holds something else") // unreachable: New makes hashes
	}
	h.Reset()
	return h
}

// sign appends the HMAC of message to dst.
func (k *signingKey) sign(dst, message []byte) []byte {
	h := k.mac()
	_, _ = h.Write(message) // a hash.Hash never fails
	dst = h.Sum(dst)
	k.macs.Put(h)
	return dst
}

func hmacSHA256(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(message))
	return h.Sum(nil)
}

// parseSignature decodes a signature: 64 lower-case hexadecimal digits.
func parseSignature[T string | []byte](text T) (sig [sha256.Size]byte, ok bool) {
	if len(text) != 2*len(sig) {
		return sig, false
	}
	for i := range sig {
		hi, lo := lowerHex(text[2*i]), lowerHex(text[2*i+1])
		if hi|lo > 15 {
			return sig, false
		}
		sig[i] = hi<<4 | lo
	}
	return sig, true
}

// lowerHex returns the value of a digit, or 255.
func lowerHex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	default:
		return 255
	}
}
