package gateway

import (
	"slices"
	"strings"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/s3"
)

// headerRule decides about one request header that would change the meaning of
// a request: nil lets it pass.
type headerRule func(name, value string) error

// headerRules lists the headers that are not, or not wholly, implemented.
// A header that is absent here is enforced elsewhere, or has no effect at AWS
// on what is stored or answered.
func headerRules(classes []string) map[string]headerRule {
	return map[string]headerRule{
		s3.HeaderStorageClass:                    oneOfClasses(classes),
		s3.HeaderTaggingDirective:                checkDirective,
		s3.HeaderMetadataDirective:               checkDirective,
		"X-Amz-Object-Annotation-Directive":      refuseHeader,
		"X-Amz-Write-Offset-Bytes":               refuseHeader,
		"X-Amz-Mfa":                              refuseHeader,
		"X-Amz-Bucket-Namespace":                 refuseUnless("global"),
		"X-Amz-Rename-Source":                    refuseHeader,
		"X-Amz-Object-If-Match":                  refuseHeader,
		"X-Amz-Object-Lock-Event-Hold":           refuseHeader,
		"X-Amz-Replication-Status":               refuseHeader,
		"X-Amz-Source-Replication-Delete-Marker": refuseHeader,
	}
}

// refuseHeaders answers 501, with the header named, where a header asks for
// something that nothing here enforces.
func (g *Gateway) refuseHeaders(x *exchange) error {
	for name, values := range x.r.Header {
		if !strings.HasPrefix(name, "X-Amz-") || len(values) == 0 {
			continue
		}
		if rule := g.headers[name]; rule != nil {
			for _, value := range values {
				if err := rule(name, value); err != nil {
					return err
				}
			}
			continue
		}
		if err := x.refuseEncryption(name); err != nil {
			return err
		}
		if unbuiltFamily(name) {
			return refuseHeader(name, values[0])
		}
	}
	return nil
}

// unbuiltFamily reports whether a header belongs to a family that is not
// built: holds by events, checksums that AWS has and we do not.
func unbuiltFamily(name string) bool {
	switch {
	case strings.HasPrefix(name, "X-Amz-Object-Lock-Event-Hold"):
		return true
	case strings.HasPrefix(name, s3.ChecksumPrefix):
		switch name {
		case s3.HeaderChecksumAlgorithm, s3.HeaderChecksumMode, s3.HeaderChecksumType:
			return false
		}
		_, known := checksum.ParseHeader(name)
		return !known
	}
	return false
}

func refuseHeader(name, _ string) error { return s3.NotImplementedHeader(strings.ToLower(name)) }

// refuseUnless lets the value pass that asks for what is so anyhow.
func refuseUnless(harmless string) headerRule {
	return func(name, value string) error {
		if strings.EqualFold(value, harmless) {
			return nil
		}
		return refuseHeader(name, value)
	}
}

// oneOfClasses refuses storage classes that nobody configured.
func oneOfClasses(classes []string) headerRule {
	return func(_, value string) error {
		if value == string(s3.StorageStandard) || slices.Contains(classes, value) {
			return nil
		}
		return s3.NewError(s3.InvalidStorageClass).With("StorageClassRequested", value)
	}
}

func checkDirective(name, value string) error {
	_, err := s3.ParseDirective(name, value)
	return err
}
