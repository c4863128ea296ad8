package s3

// Payer is who pays for the requests to a bucket.
type Payer string

// The payers.
const (
	PayerBucketOwner Payer = "BucketOwner"
	PayerRequester   Payer = "Requester"
)

// DecodeRequestPayment decodes the body of PutBucketRequestPayment.
func DecodeRequestPayment(body []byte) (Payer, error) {
	var payer string
	var seen bool
	err := decodeDocument(body, "RequestPaymentConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if name != "Payer" {
				return unknownElement(name)
			}
			return x.once(&seen, &payer)
		})
	})
	if err != nil {
		return "", err
	}
	switch p := Payer(payer); p {
	case PayerBucketOwner, PayerRequester:
		return p, nil
	}
	return "", malformed("payer " + payer)
}

// AppendRequestPayment appends the document of GetBucketRequestPayment.
func AppendRequestPayment(dst []byte, payer Payer) []byte {
	dst = openDocument(dst, "RequestPaymentConfiguration")
	dst = appendElement(dst, "Payer", string(payer))
	return closeElement(dst, "RequestPaymentConfiguration")
}
