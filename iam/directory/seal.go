package directory

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/undercroft/undercroft/metadata"
)

// MasterKey encrypts the secrets of access keys.
type MasterKey [32]byte

// ErrWrongMasterKey says that a store's secrets were sealed under another
// master key.
var ErrWrongMasterKey = errors.New("wrong master key")

// ParseMasterKey decodes a master key: 32 bytes in base64.
func ParseMasterKey(text string) (k MasterKey, err error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != len(k) {
		// The decoder's own words could repeat the key.
		return MasterKey{}, errors.New("a master key is the base64 of 32 bytes (openssl rand -base64 32)")
	}
	return MasterKey(raw), nil
}

// NewMasterKey makes a master key.
func NewMasterKey(random io.Reader) (k MasterKey, err error) {
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return MasterKey{}, fmt.Errorf("making a master key: %w", err)
	}
	return k, nil
}

// Text is the form that [ParseMasterKey] reads.
func (k MasterKey) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// String hides the key, should one ever be printed.
func (k MasterKey) String() string { return "(hidden)" }

// Format hides it from every verb.
func (k MasterKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue hides it from structured logs.
func (k MasterKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText hides it from encoders; see [MasterKey.Text].
func (k MasterKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// id names a master key without telling anything about it.
func (k MasterKey) id() uint64 {
	mac := hmac.New(sha256.New, k[:])
	_, _ = mac.Write([]byte("undercroft master key id")) // never fails
	return binary.BigEndian.Uint64(mac.Sum(nil))
}

// A sealed text is 12 random bytes, the nonce, then the output of AES-256-GCM,
// whose associated data names what was sealed.
const nonceSize = 12

// What is sealed, and the known text of the check.
const (
	sealedSecret = "undercroft access key\x00"
	sealedCheck  = "undercroft master key check"
)

// Sealer encrypts and decrypts under the master key. Where the master key is
// being replaced, it still opens what the previous one sealed. It is safe for
// concurrent use.
type Sealer struct {
	id     uint64
	aead   cipher.AEAD
	random io.Reader
	// opens are the AEADs by the id of their master key: that of id, and of the
	// previous one.
	opens map[uint64]cipher.AEAD
}

// NewSealer makes a Sealer. previous is the master key that key replaces, or
// zero. random must be safe for concurrent use.
func NewSealer(key, previous MasterKey, random io.Reader) (*Sealer, error) {
	s, err := newSealer(key, random)
	if err != nil || previous == (MasterKey{}) {
		return s, err
	}
	old, err := newSealer(previous, random)
	if err != nil {
		return nil, err
	}
	s.opens[old.id] = old.aead
	return s, nil
}

func newSealer(key MasterKey, random io.Reader) (*Sealer, error) {
	if key == (MasterKey{}) {
		return nil, errors.New("directory: no master key")
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	id := key.id()
	return &Sealer{id: id, aead: aead, random: random, opens: map[uint64]cipher.AEAD{id: aead}}, nil
}

// ID names the master key that seals, and tells nothing about it.
func (s *Sealer) ID() uint64 { return s.id }

// Seal encrypts a text, bound to what it is about.
func (s *Sealer) Seal(text []byte, about string) ([]byte, error) {
	nonce := make([]byte, nonceSize, nonceSize+len(text)+s.aead.Overhead())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return s.aead.Seal(nonce, nonce, text, []byte(about)), nil
}

// Open decrypts what Seal made under the master key with an id.
func (s *Sealer) Open(master uint64, sealed []byte, about string) ([]byte, error) {
	aead, ok := s.opens[master]
	if !ok {
		return nil, fmt.Errorf("%w: sealed under %016x, this is %016x", ErrWrongMasterKey, master, s.id)
	}
	if len(sealed) < nonceSize {
		return nil, errors.New("a sealed text is too short")
	}
	text, err := aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], []byte(about))
	if err != nil {
		return nil, fmt.Errorf("opening a sealed text: %w", err)
	}
	return text, nil
}

func (s *Sealer) encrypt(text, about string) ([]byte, error) { return s.Seal([]byte(text), about) }

func (s *Sealer) decrypt(sealed []byte, about string) (string, error) {
	text, err := s.Open(s.id, sealed, about)
	return string(text), err
}

// close puts a secret into the row of its access key.
func (s *Sealer) close(k *metadata.AccessKey, secret string) (err error) {
	k.MasterKey = s.id
	k.Sealed, err = s.encrypt(secret, sealedSecret+k.Key)
	return err
}

// open returns the secret of an access key.
func (s *Sealer) open(k *metadata.AccessKey) (string, error) {
	secret, err := s.Open(k.MasterKey, k.Sealed, sealedSecret+k.Key)
	if err != nil {
		return "", fmt.Errorf("access key %s: %w", k.Key, err)
	}
	return string(secret), nil
}

// verify holds the master keys against what the store records. A store in which
// nothing was sealed yet takes any.
func (s *Sealer) verify(r *metadata.Reader) error {
	known, err := r.MasterKeys()
	if err != nil {
		return err
	}
	for _, k := range known {
		if _, ours := s.opens[k.ID]; !ours {
			return fmt.Errorf("%w: the secrets of this store are sealed under master key %016x and this one is %016x; start with the one they were sealed under",
				ErrWrongMasterKey, k.ID, s.id)
		}
		text, err := s.Open(k.ID, k.Check, sealedCheck)
		if err != nil || string(text) != sealedCheck {
			return fmt.Errorf("%w: the check of master key %016x does not open", ErrWrongMasterKey, k.ID)
		}
	}
	return nil
}

// Record makes sure that the store knows under which master key the secrets of
// this transaction are sealed. Every transaction that writes what Seal made
// calls it: it conflicts with the end of a master key.
func (s *Sealer) Record(tx *metadata.Tx) error {
	known, err := tx.MasterKeys()
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.ID == s.id {
			return nil
		}
		if _, ours := s.opens[k.ID]; !ours {
			return ErrWrongMasterKey
		}
	}
	check, err := s.encrypt(sealedCheck, sealedCheck)
	if err != nil {
		return err
	}
	return tx.PutMasterKey(&metadata.MasterKey{ID: s.id, Check: check})
}
