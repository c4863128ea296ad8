package gateway

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's check of a key in transit
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// encryptionUse is what an operation takes of the headers of server-side
// encryption.
type encryptionUse uint8

const (
	// takesMode: how a new object is to be encrypted.
	takesMode encryptionUse = 1 << iota
	// takesKey: the key of SSE-C that the object has, or shall have.
	takesKey
	// takesSourceKey: the same of the source of a copy.
	takesSourceKey
	// repeatsMode: that of the upload once more, which must be the same.
	repeatsMode
)

// encryptionUses returns what an operation takes, as AWS's model has it; an
// upload's mode may be repeated besides.
func encryptionUses(operation string) encryptionUse {
	switch operation {
	case "PutObject", "PostObject", "CreateMultipartUpload":
		return takesMode | takesKey
	case "CopyObject":
		return takesMode | takesKey | takesSourceKey
	case "UploadPart", "CompleteMultipartUpload":
		return takesKey | repeatsMode
	case "UploadPartCopy":
		return takesKey | takesSourceKey | repeatsMode
	case "GetObject", "HeadObject", "GetObjectAttributes", "ListParts", "SelectObjectContent":
		return takesKey
	}
	return 0
}

// encryptionHeader returns which of the uses a header is for, and whether it is
// one of server-side encryption at all.
func encryptionHeader(name string) (use encryptionUse, ok bool) {
	switch name {
	case s3.HeaderSSE, s3.HeaderSSEKeyID:
		return takesMode | repeatsMode, true
	case s3.HeaderSSEContext, s3.HeaderSSEBucketKey:
		return takesMode, true
	}
	if rest, ok := strings.CutPrefix(name, s3.CustomerKeyPrefix); ok && customerSuffix(rest) {
		return takesKey, true
	}
	if rest, ok := strings.CutPrefix(name, s3.CopySourceKeyPrefix); ok && customerSuffix(rest) {
		return takesSourceKey, true
	}
	return 0, strings.HasPrefix(name, s3.HeaderSSE) || strings.HasPrefix(name, s3.HeaderCopySource+"-Server-Side-Encryption")
}

func customerSuffix(rest string) bool {
	return rest == s3.SuffixCustomerAlgorithm || rest == s3.SuffixCustomerKey || rest == s3.SuffixCustomerKeyMD5
}

// refuseEncryption refuses a header of server-side encryption that the operation
// does not take: ignored, it would promise what is not done.
func (x *exchange) refuseEncryption(name string) error {
	use, ok := encryptionHeader(name)
	lower := strings.ToLower(name)
	switch {
	case !ok:
		return nil
	case use == 0:
		return s3.NotImplementedHeader(lower)
	case use&encryptionUses(x.op.Name) == 0:
		return s3.InvalidArg(lower, "", lower+" header is not supported for this operation.")
	}
	return nil
}

// PlainKeys says from whom keys of SSE-C are taken that come without TLS, where
// everybody on the way can read them.
type PlainKeys string

// The choices; empty is from this machine.
const (
	PlainKeysLoopback PlainKeys = "loopback"
	PlainKeysAlways   PlainKeys = "on"
	PlainKeysNever    PlainKeys = "off"
)

// customerKey returns the key of SSE-C that headers with a prefix give, nil for
// none. It is wiped at the end of the exchange, and no error holds any of it.
func (x *exchange) customerKey(prefix string) (*sse.CustomerKey, error) {
	algorithm, value, sum := x.header(prefix+s3.SuffixCustomerAlgorithm), x.header(prefix+s3.SuffixCustomerKey), x.header(prefix+s3.SuffixCustomerKeyMD5)
	argument := func(suffix, message string) error { return s3.InvalidArg(strings.ToLower(prefix+suffix), "", message) }
	switch {
	case algorithm == "" && value == "" && sum == "":
		return nil, nil //nolint:nilnil // there is no key
	case !x.mayCarryKeys():
		return nil, invalidRequest("Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.")
	case algorithm == "":
		return nil, argument(s3.SuffixCustomerAlgorithm, "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.")
	case algorithm != string(s3.SSES3):
		return nil, s3.NewError(s3.InvalidEncryptionAlgorithmError)
	case value == "":
		return nil, argument(s3.SuffixCustomerKey, "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.")
	case sum == "":
		return nil, argument(s3.SuffixCustomerKeyMD5, "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.")
	}
	raw, err := base64.StdEncoding.DecodeString(value)
	defer clear(raw)
	if err != nil || len(raw) != sse.KeySize {
		return nil, argument(s3.SuffixCustomerKey, "The secret key was invalid for the specified algorithm.")
	}
	given, err := base64.StdEncoding.DecodeString(sum)
	digest := md5.Sum(raw) //nolint:gosec // as above
	if err != nil || subtle.ConstantTimeCompare(given, digest[:]) == 0 {
		return nil, argument(s3.SuffixCustomerKeyMD5, "The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	key, err := sse.NewCustomerKey(raw)
	if err != nil {
		return nil, s3.NewError(s3.InternalError).Because(err)
	}
	x.keys = append(x.keys, key)
	return key, nil
}

// mayCarryKeys reports whether the connection may carry keys of SSE-C.
func (x *exchange) mayCarryKeys() bool {
	switch x.gateway.o.PlainKeys {
	case PlainKeysAlways:
		return true
	case PlainKeysNever:
		return x.r.TLS != nil
	case PlainKeysLoopback:
	}
	return x.r.TLS != nil || net.ParseIP(sourceIP(x.r.RemoteAddr)).IsLoopback()
}

// wipeKeys forgets the keys of SSE-C that the request came with.
func (x *exchange) wipeKeys() {
	for _, key := range x.keys {
		key.Wipe()
	}
	x.keys = nil
}

// encryptionContext parses x-amz-server-side-encryption-context: a JSON object
// of texts in base64. It is returned in one form for each content; nil for none.
func encryptionContext(value string) ([]byte, error) {
	if value == "" {
		return nil, nil
	}
	refused := s3.InvalidArg("x-amz-server-side-encryption-context", "",
		"The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map")
	doc, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(doc) > keys.MaxContext {
		return nil, refused
	}
	var pairs map[string]*string
	if err := json.Unmarshal(doc, &pairs); err != nil || pairs == nil {
		return nil, refused
	}
	for _, v := range pairs {
		if v == nil {
			return nil, refused
		}
	}
	if len(pairs) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(pairs); err != nil || out.Len() > keys.MaxContext {
		return nil, refused
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// bucketKeyHeader returns what x-amz-server-side-encryption-bucket-key-enabled
// says, nil when it is not there.
func (x *exchange) bucketKeyHeader() (*bool, error) {
	value := x.header(s3.HeaderSSEBucketKey)
	if value == "" {
		return nil, nil //nolint:nilnil // nothing is said
	}
	enabled, err := strconv.ParseBool(strings.ToLower(value))
	if err != nil {
		return nil, argumentOf(s3.HeaderSSEBucketKey, value, "The value must be true or false.")
	}
	return &enabled, nil
}
