package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
	"github.com/undercroft/undercroft/sse"
)

// exchange is one request on its way and the response to it. It belongs to one
// goroutine.
type exchange struct {
	gateway *Gateway

	w http.ResponseWriter
	r *http.Request
	// received is the request as it came, where r has headers that a presigned
	// URL carries in its query; else nil.
	received *http.Request

	requestID string
	started   time.Time

	scope  Scope
	op     *Operation // nil until the request is routed
	bucket s3.BucketName
	key    s3.Key
	query  url.Values

	caller *iam.Identity // nil for an anonymous caller
	auth   *sigv4.Result

	place  place          // the bucket, where the request is in one that is there
	access objects.Access // asks about the version named; handlers pass it on
	// decided says that somebody was asked, and allowed. Without that no answer
	// but an error is sent.
	decided bool
	region  string // that CreateBucket asks for
	// bucketTags are those that CreateBucket asks for.
	bucketTags []objects.Pair
	// ownership is what the document of PutBucketOwnershipControls asks for.
	ownership s3.ObjectOwnership
	tags      []objects.Pair     // that the body sets
	lock      *objects.Lock      // that the body sets
	keys      []*sse.CustomerKey // that came with the request, to be wiped
	names     map[s3.OwnerID]string

	onWebsite bool // the request came to a website, which answers people

	status int   // of the response; 0 until it has begun
	sent   int64 // bytes of the response's body
	taken  int64 // bytes read of the request's body
	// hoarded is what of it the exchange holds in memory, where that is counted.
	hoarded int64
	cut     bool  // the response ended before its declared length
	err     error // what the request was answered with, for the log

	// values backs the response's headers, so that each costs no allocation.
	values [20]string
	used   int
}

// set sets a response header. The name is in canonical form, or in the form
// in which it shall be sent.
func (x *exchange) set(name, value string) {
	if x.used == len(x.values) {
		x.w.Header()[name] = []string{value}
		return
	}
	x.values[x.used] = value
	x.used++
	x.w.Header()[name] = x.values[x.used-1 : x.used : x.used]
}

// setOptional sets a response header unless the value is empty.
func (x *exchange) setOptional(name, value string) {
	if value != "" {
		x.set(name, value)
	}
}

func (x *exchange) setInt(name string, value int64) {
	x.set(name, strconv.FormatInt(value, 10))
}

// header returns the first value of a request header in canonical form.
func (x *exchange) header(name string) string {
	if v := x.r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// param returns the first value of a query parameter.
func (x *exchange) param(name string) string {
	if v := x.query[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// begin sends the status and the headers set so far. An answer without a
// decision is a mistake of ours, and is not sent.
func (x *exchange) begin(status int) {
	if status < http.StatusBadRequest && status != http.StatusNotModified && x.op != nil && !x.decided {
		clear(x.w.Header())
		panic("gateway: " + x.op.Name + " answers and nobody decided whether it may")
	}
	x.status = status
	x.w.WriteHeader(status)
}

// finish answers without a body.
func (x *exchange) finish(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		x.set(s3.HeaderContentLength, "0")
	}
	x.begin(status)
	return nil
}

// document answers with an XML document.
func (x *exchange) document(status int, doc []byte) error {
	x.set(s3.HeaderContentType, "application/xml")
	x.setInt(s3.HeaderContentLength, int64(len(doc)))
	x.begin(status)
	_, err := x.Write(doc)
	return err
}

// Write implements io.Writer for the response's body.
func (x *exchange) Write(p []byte) (int, error) {
	n, err := x.w.Write(p)
	x.sent += int64(n)
	x.gateway.o.Activity.Add(1)
	return n, err
}

// version returns the version that the request names.
func (x *exchange) version() s3.VersionID { return s3.VersionID(x.param("versionId")) }

// ownerID is the owner of what the caller writes.
func (x *exchange) ownerID() s3.OwnerID {
	if x.caller == nil {
		return ""
	}
	return s3.OwnerID(x.caller.CanonicalID)
}

// owner shows an owner with the name of its account. A name that is not known
// now is left out.
func (x *exchange) owner(id s3.OwnerID) s3.Owner {
	o := s3.Owner{ID: id}
	if name, ok := x.names[id]; ok {
		o.DisplayName = name
		return o
	}
	name, err := x.gateway.o.Accounts.DisplayName(x.r.Context(), iam.CanonicalID(id))
	if err == nil {
		o.DisplayName = name
	}
	if x.names == nil {
		x.names = make(map[s3.OwnerID]string)
	}
	if len(x.names) < maxNames {
		x.names[id] = o.DisplayName
	}
	return o
}

// maxNames bounds the names that an exchange remembers.
const maxNames = 100
