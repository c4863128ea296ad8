package sse

import (
	"fmt"
	"log/slog"
)

// redacted is how keys print.
const redacted = "[key]"

// secret is 32 bytes that never print.
type secret struct{ key [KeySize]byte }

// String shows nothing of the key.
func (s secret) String() string { return redacted }

// GoString shows nothing of the key.
func (s secret) GoString() string { return redacted }

// Format shows nothing of the key, whatever the verb.
func (s secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue shows nothing of the key.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the key out of whatever encodes texts.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
