package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"github.com/undercroft/undercroft/s3"
)

// router finds the scope, the bucket and the key of a request: by path, or by
// host where a domain is configured. The table finds the operation.
type router struct {
	mux   *mux.Router
	table *table
}

func newRouter(domains []string, t *table) *router {
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, domain := range domains {
		virtual := m.Host("{bucket:.+}." + strings.ToLower(domain)).Subrouter()
		virtual.Path("/{key:.+}").Name(ScopeObject.String())
		virtual.Path("/").Name(ScopeBucket.String())
	}
	m.Path("/{bucket}/{key:.+}").Name(ScopeObject.String())
	m.Path("/{bucket}").Name(ScopeBucket.String())
	m.Path("/{bucket}/").Name(ScopeBucket.String())
	m.Path("/").Name(ScopeService.String())
	m.NotFoundHandler = http.NotFoundHandler()
	return &router{mux: m, table: t}
}

// route fills in where the request goes. The path is taken as it was sent:
// "//", ".." and an encoded slash are parts of the key.
func (rt *router) route(x *exchange) error {
	if len(x.r.URL.RawQuery) > s3.MaxQueryBytes {
		return s3.NewError(s3.InvalidURI)
	}
	if err := rt.locate(x); err != nil {
		return err
	}
	var err error
	if x.query, err = parseQuery(x.r.URL.RawQuery); err != nil {
		return err
	}
	x.takePresignedHeaders()
	if x.op, err = rt.table.find(x.r.Method, x.scope, x.query, x.r.Header); err != nil {
		return err
	}
	if !x.op.Implemented() {
		return s3.NewError(s3.NotImplemented).
			WithMessage("This operation is not implemented.").With("Operation", x.op.Name)
	}
	return x.checkParameters(rt.table)
}

func (rt *router) locate(x *exchange) error {
	var match mux.RouteMatch
	if !rt.mux.Match(lowerHost(x.r), &match) || match.Route == nil {
		return s3.NewError(s3.InvalidURI)
	}
	switch match.Route.GetName() {
	case "object":
		x.scope = ScopeObject
	case "bucket":
		x.scope = ScopeBucket
	default:
		x.scope = ScopeService
		return nil
	}
	bucket, err := url.PathUnescape(match.Vars["bucket"])
	if err != nil {
		return s3.NewError(s3.InvalidURI)
	}
	x.bucket = s3.BucketName(bucket)
	if x.scope == ScopeBucket {
		return x.checkBucketName()
	}
	key, err := url.PathUnescape(match.Vars["key"])
	if err != nil {
		return s3.NewError(s3.InvalidURI)
	}
	x.key = s3.Key(key)
	if err := x.checkBucketName(); err != nil {
		return err
	}
	return s3.ValidateKey(x.key)
}

// checkBucketName lets the one path pass that is no bucket's: it is answered
// by its row of the table.
func (x *exchange) checkBucketName() error {
	if x.bucket == "WriteGetObjectResponse" && x.scope == ScopeBucket {
		return nil
	}
	return s3.ValidateBucketName(x.bucket)
}

// lowerHost returns the request, or a copy with a lower-case host.
func lowerHost(r *http.Request) *http.Request {
	host := strings.ToLower(r.Host)
	if host == r.Host {
		return r
	}
	c := *r
	c.Host = host
	return &c
}

func parseQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	// net/url refuses a bare semicolon, which is a character like others here.
	q, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
	if err != nil {
		return nil, s3.NewError(s3.InvalidURI).Because(err)
	}
	return q, nil
}

// checkParameters refuses parameters and headers that ask for another
// operation than the one that was found.
func (x *exchange) checkParameters(t *table) error {
	if x.op.Method == http.MethodOptions {
		return nil // the parameters are those of another request
	}
	if v, ok := x.query["versionId"]; ok {
		switch {
		case x.op.VersionAction == "":
			return s3.InvalidArg("versionId", v[0], "This operation does not accept a version-id.")
		case v[0] == "":
			return s3.InvalidArg("versionId", "", "Version id cannot be the empty string")
		}
	}
	if v, ok := x.query["partNumber"]; ok && x.r.Method == http.MethodPut && x.query["uploadId"] == nil {
		return s3.InvalidArg("partNumber", v[0], "This operation does not accept partNumber without uploadId")
	}
	if source := x.header(s3.HeaderCopySource); source != "" && x.op.Header != s3.HeaderCopySource {
		return s3.InvalidArg("x-amz-copy-source", source, "You can only specify a copy source header for copy requests.")
	}
	return x.checkSubresources(t)
}

// checkSubresources refuses what looks like a sub-resource of a later S3: a
// parameter without a value. Reads of objects may have any, since that is how
// browsers are kept from their caches.
func (x *exchange) checkSubresources(t *table) error {
	read := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	if read && x.scope == ScopeObject {
		return nil
	}
	for name, values := range x.query {
		switch {
		case values[0] != "", t.subresources[name], plainSelector(name), isAmz(name):
		case read && listParameter(name):
		default:
			return notImplemented([]string{name})
		}
	}
	return nil
}

// listParameter reports whether a parameter of listings may be empty.
func listParameter(name string) bool {
	switch name {
	case "prefix", "delimiter", "marker", "max-keys", "encoding-type", "start-after", "continuation-token", "fetch-owner",
		"key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "max-buckets", "bucket-region":
		return true
	}
	return false
}
