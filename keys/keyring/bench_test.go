package keyring

import (
	"testing"

	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// BenchmarkDataKeys is what a PUT and a GET of an encrypted object cost besides
// the bytes.
func BenchmarkDataKeys(b *testing.B) {
	k := open(b, newEngine(b, mem.Options{}), sealer(b, 1))
	encCtx := []byte(`{"aws:s3:arn":"arn:aws:s3:::bucket/key"}`)
	_, sealed, err := k.Generate(b.Context(), SSEKMS, encCtx)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("generate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := k.Generate(b.Context(), SSEKMS, encCtx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unseal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.Unseal(b.Context(), SSEKMS, sealed, encCtx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
