package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrDamaged is a small file that does not hold what was written.
var ErrDamaged = errors.New("the file is damaged")

// sumField begins the last field of an indented JSON object with a checksum.
const sumField = ",\n  \"crc32c\": \""

// AddSum returns an object that [encoding/json.MarshalIndent] made with two
// spaces, with the CRC32C of its text in a last field crc32c, and a newline.
func AddSum(object []byte) []byte {
	return fmt.Appendf(nil, "%s%s%s\"\n}\n", bytes.TrimSuffix(object, []byte("\n}")), sumField, textSum(object))
}

// CutSum undoes [AddSum]: [ErrDamaged] where the checksum is not that of the
// rest. A text that never had one is returned as it is.
func CutSum(text []byte) (object []byte, err error) {
	object, sum, found := bytes.Cut(text, []byte(sumField))
	if !found {
		return text, nil
	}
	object = append(bytes.Clone(object), "\n}"...)
	if !bytes.Equal(sum, []byte(textSum(object)+"\"\n}\n")) {
		return nil, ErrDamaged
	}
	return object, nil
}

func textSum(text []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
}
