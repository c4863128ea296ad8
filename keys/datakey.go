package keys

import (
	"fmt"
	"io"
	"log/slog"
)

// Size is the length of a data key in bytes: one key of AES-256.
const Size = 32

// DataKey is an unsealed data key. It prints, logs and marshals as "(hidden)".
type DataKey [Size]byte //nolint:recvcheck // values hide themselves too; only what has an address is wiped

const hidden = "(hidden)"

// Wipe overwrites the key. Copies that were made of it stay.
func (k *DataKey) Wipe() { clear(k[:]) }

// String hides the key.
func (DataKey) String() string { return hidden }

// Format hides the key from every verb.
func (DataKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// LogValue hides the key from structured logs.
func (DataKey) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the key from encoders.
func (DataKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }
