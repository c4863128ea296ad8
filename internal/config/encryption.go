package config

// DefaultEncryption is the encryption of objects that nobody asks to encrypt.
type DefaultEncryption string

// The encryptions.
const (
	EncryptNothing DefaultEncryption = "off"
	EncryptAES256  DefaultEncryption = "AES256"
)

// KeysWithoutTLS says from whom keys of SSE-C are taken without TLS.
type KeysWithoutTLS string

// The choices.
const (
	KeysFromLoopback KeysWithoutTLS = "loopback"
	KeysFromAll      KeysWithoutTLS = "on"
	KeysFromNobody   KeysWithoutTLS = "off"
)

// Encryption is how objects are encrypted at clients' request, or without.
type Encryption struct {
	Default        DefaultEncryption
	KeysWithoutTLS KeysWithoutTLS
}

func encryptionOptions(c *Config) []option {
	const g = groupEncryption
	return []option{
		{
			"default-encryption", g, "off|AES256", "off", "Encryption of what is written into buckets that configure none: none, or SSE-S3 as at AWS.",
			&choice[DefaultEncryption]{&c.Encryption.Default, []DefaultEncryption{EncryptNothing, EncryptAES256}},
		},
		{
			"sse-c-without-tls", g, "loopback|on|off", "loopback", "From whom the keys of clients (SSE-C) are taken that come without TLS, where " +
				"everybody on the way can read them: from this machine, from all or from nobody. A proxy on another machine that ends TLS needs on.",
			&choice[KeysWithoutTLS]{&c.Encryption.KeysWithoutTLS, []KeysWithoutTLS{KeysFromLoopback, KeysFromAll, KeysFromNobody}},
		},
	}
}
