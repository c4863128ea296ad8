package iam

import (
	"encoding/base64"
	"fmt"
	"io"
)

// accessKeyAlphabet holds 32 characters, so that five random bits choose one
// without a bias. It is base32's: no 0, 1, 8 or 9 to be misread.
const accessKeyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// The shape of generated keys is that of AWS, for clients that check it.
const (
	accessKeyPrefix = "AKIA"
	accessKeyLength = 20
	secretBytes     = 30 // 40 characters of base64
)

// GenerateKey makes a key pair of 20 and 40 characters from random, which must
// be cryptographically secure: 80 and 240 bits of it are used.
func GenerateKey(random io.Reader) (accessKey, secret string, err error) {
	var raw [accessKeyLength - len(accessKeyPrefix) + secretBytes]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", "", fmt.Errorf("generating a key pair: %w", err)
	}
	name := []byte(accessKeyPrefix)
	for _, b := range raw[:accessKeyLength-len(accessKeyPrefix)] {
		name = append(name, accessKeyAlphabet[b%32])
	}
	return string(name), base64.RawStdEncoding.EncodeToString(raw[accessKeyLength-len(accessKeyPrefix):]), nil
}
