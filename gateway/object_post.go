package gateway

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// postObject answers PostObject: an upload by a browser's form. Its fields say
// who asks, for what, and what PutObject's headers say.
func (g *Gateway) postObject(x *exchange) error {
	f, limit, err := g.openForm(x)
	if err != nil {
		return err
	}
	if err := x.adopt(f); err != nil {
		return err
	}
	if err := g.authorizeForm(x); err != nil {
		return err
	}
	in, err := g.putInput(x)
	if err != nil {
		return err
	}
	if in.Body, err = x.digests(); err != nil {
		return err
	}
	if err := x.checkLockDigest(&in); err != nil {
		return err
	}
	file := content{form: f, limit: limit}
	if err := file.settle(&in.Body); err != nil {
		return err
	}
	o, err := g.o.Objects.PutObject(x.r.Context(), in)
	if err != nil {
		return err
	}
	x.showPut(&o)
	return x.answerForm(f, &o)
}

// openForm reads the form up to its file, finds out who signed it and holds it
// against its policy.
func (g *Gateway) openForm(x *exchange) (*form, sizeRange, error) {
	limit := anySize()
	switch {
	case x.auth.Auth != sigv4.AuthAnonymous:
		return nil, limit, s3.InvalidArg("Authorization", "", "An upload form is authorized by its own fields; it must not be signed in another way.")
	case x.auth.Length < 0 || x.auth.Length == 0 && !x.sized():
		return nil, limit, s3.NewError(s3.MissingContentLength)
	case x.auth.Length > s3.MaxPutSize+2*maxFormBytes:
		return nil, limit, s3.NewError(s3.EntityTooLarge).
			WithInt("ProposedSize", x.auth.Length).WithInt("MaxSizeAllowed", s3.MaxPutSize)
	}
	f, err := readForm(x.header(s3.HeaderContentType), x.auth.Body(counted{x}))
	if err != nil {
		return nil, limit, err
	}
	if _, ok := f.fields["key"]; !ok {
		return nil, limit, errNoKey()
	}
	res, err := g.o.Authenticator.VerifyForm(x.r.Context(), f.signature())
	if err != nil || res.Auth == sigv4.AuthAnonymous {
		return f, limit, err
	}
	x.auth = res
	if err := g.identify(x); err != nil {
		return nil, limit, err
	}
	policy, err := parsePostPolicy(f.fields["policy"])
	if err != nil {
		return nil, limit, err
	}
	return f, policy.size, policy.check(f, x.bucket, x.started)
}

// signature returns what the fields say of the form's signature.
func (f *form) signature() *sigv4.Form {
	return &sigv4.Form{
		Policy:    f.fields["policy"],
		Algorithm: f.fields["x-amz-algorithm"], Credential: f.fields["x-amz-credential"], Date: f.fields["x-amz-date"],
		Signature: f.fields["x-amz-signature"], Token: f.fields["x-amz-security-token"],
		AccessKeyV2: f.fields["awsaccesskeyid"], SignatureV2: f.fields["signature"],
	}
}

// adopt makes the exchange one of a PutObject: the fields become its headers,
// and what the form's own request had of such headers is not the object's.
func (x *exchange) adopt(f *form) error {
	x.key = s3.Key(f.fields["key"])
	if x.key == "" {
		return s3.InvalidArg("key", "", "User key must have a length greater than 0.")
	}
	if err := s3.ValidateKey(x.key); err != nil {
		return err
	}
	header, err := outerHeaders(x.r.Header)
	if err != nil {
		return err
	}
	for field, value := range f.fields {
		name, err := fieldHeader(field, value)
		if err != nil {
			return err
		}
		if field == "tagging" {
			if value, err = taggingHeader(value); err != nil {
				return err
			}
		}
		if name != "" {
			if header[name] != nil {
				return s3.InvalidArg(field, value, "The form has a field twice.")
			}
			header[name] = []string{value}
		}
	}
	r := *x.r
	r.Header = header
	x.r = &r
	return nil
}

// outerHeaders returns the headers of the form's request that are not of an
// object. A header that a form should have as a field would not be covered by
// its policy, and is refused.
func outerHeaders(h http.Header) (http.Header, error) {
	kept := make(http.Header, len(h))
	for name, values := range h {
		switch name {
		case s3.HeaderContentType, s3.HeaderContentMD5, s3.HeaderCacheControl, s3.HeaderContentDispo, s3.HeaderContentEncoding,
			s3.HeaderContentLanguage, s3.HeaderExpires, s3.HeaderDate, s3.HeaderContentSHA256, s3.HeaderDecodedContentLength:
			continue
		case s3.HeaderExpectedBucketOwner, "X-Amz-Request-Payer", "X-Amz-User-Agent":
		default:
			if isAmz(name) {
				return nil, s3.NotImplementedHeader(strings.ToLower(name))
			}
		}
		kept[name] = values
	}
	return kept, nil
}

// fieldHeader returns the header that a field stands for, empty for none.
func fieldHeader(field, value string) (string, error) {
	name := textproto.CanonicalMIMEHeaderKey(field)
	switch field {
	case "acl":
		name = s3.HeaderACL
	case "tagging":
		name = s3.HeaderTagging
	case "cache-control", "content-type", "content-disposition", "content-encoding", "content-language", "content-md5", "expires":
	case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature":
		return "", nil
	case "x-amz-copy-source":
		return "", s3.InvalidArg(field, value, "You can only specify a copy source header for copy requests.")
	default:
		if !isAmz(field) {
			return "", nil
		}
	}
	// A name with other characters than a header's is left as it is.
	if name == field || field != "tagging" && strings.ContainsFunc(value, isControl) {
		return "", s3.InvalidArg(field, value, "The field cannot be a header of the object.")
	}
	return name, nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// taggingHeader returns the document of the field tagging as x-amz-tagging has it.
func taggingHeader(document string) (string, error) {
	tags, err := s3.DecodeObjectTagging([]byte(document))
	if err != nil {
		return "", err
	}
	query := make(url.Values, len(tags))
	for i := range tags {
		query.Set(tags[i].Key, tags[i].Value)
	}
	return query.Encode(), nil
}

// authorizeForm asks whether the form's caller may put its object. Only now are
// the headers known that decide about it.
func (g *Gateway) authorizeForm(x *exchange) error {
	if err := g.refuseHeaders(x); err != nil {
		return err
	}
	if err := g.enter(x); err != nil {
		return err
	}
	return x.allow(&question{action: x.op.Action, place: &x.place, bucket: x.bucket, key: x.key})
}

// answerForm answers as the form asks for.
func (x *exchange) answerForm(f *form, o *objects.Object) error {
	x.set(s3.HeaderLocation, x.postedLocation())
	target := f.fields["success_action_redirect"]
	if target == "" {
		target = f.fields["redirect"]
	}
	if target, ok := x.redirection(target, o); ok {
		x.set(s3.HeaderLocation, target)
		return x.finish(http.StatusSeeOther)
	}
	switch f.fields["success_action_status"] {
	case "200":
		return x.finish(http.StatusOK)
	case "201":
		res := s3.PostResult{Location: x.postedLocation(), Bucket: x.bucket, Key: x.key, ETag: o.ETag}
		return x.document(http.StatusCreated, res.AppendXML(nil))
	}
	return x.finish(http.StatusNoContent)
}

// redirection adds to a URL what was stored. A URL that is none is not followed.
func (x *exchange) redirection(target string, o *objects.Object) (string, bool) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", false
	}
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "bucket=" + escape(string(x.bucket)) + "&key=" + escape(string(x.key)) + "&etag=" + escape(o.ETag.Quoted())
	return u.String(), true
}

// postedLocation returns the URL of the object, as the client addresses the bucket.
func (x *exchange) postedLocation() string {
	key := url.URL{Path: "/" + string(x.key)}
	return strings.TrimSuffix(x.location(), "/") + key.EscapedPath()
}
