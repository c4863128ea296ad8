package gateway

import (
	"errors"

	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// authenticate finds out who asks. Nothing of the body has been read.
func (g *Gateway) authenticate(x *exchange) error {
	if x.op.decided == onNothing {
		x.auth = &sigv4.Result{Auth: sigv4.AuthAnonymous} // a signature in the URL is for another request
		return nil
	}
	received := x.r
	if x.received != nil {
		received = x.received
	}
	res, err := g.o.Authenticator.Verify(received)
	if err != nil {
		return err
	}
	x.auth = res
	if err := x.checkCovered(); err != nil {
		return err
	}
	return g.identify(x)
}

// identify finds whose access key signed.
func (g *Gateway) identify(x *exchange) error {
	if x.auth.Auth == sigv4.AuthAnonymous {
		return nil
	}
	cred, err := g.o.Keyring.Lookup(x.r.Context(), x.auth.AccessKey)
	if errors.Is(err, iam.ErrNoSuchKey) {
		return s3.NewError(s3.InvalidAccessKeyID).With("AWSAccessKeyId", x.auth.AccessKey)
	}
	if err != nil {
		return s3.NewError(s3.ServiceUnavailable).Because(err)
	}
	x.caller = &cred.Identity
	return nil
}

// decided says when it is decided whether a request may do its operation.
// Whatever it says, an answer that nobody decided about is not sent.
type decided uint8

const (
	// onRequest: before the handler runs, from what the request says.
	onRequest decided = iota
	// onVersion: in the snapshot or transaction that reads the version named,
	// whose access control list and tags count. The handler passes
	// exchange.access on.
	onVersion
	// onKeys: for each key by itself, by the handler that has read the keys.
	onKeys
	// onBody: by the handler, as the body says what is asked for and no
	// bucket is there yet.
	onBody
	// onNothing: everybody may.
	onNothing
)

// authorize asks whether the caller may do what the row of the table says, or
// leaves in the exchange what the handler asks with.
func (g *Gateway) authorize(x *exchange) error {
	switch {
	case x.op.decided == onNothing:
		x.decided = true
		return nil
	case x.op.decided == onBody:
		return nil
	case x.bucket == "":
		return x.allow(&question{action: x.op.Action})
	}
	if err := g.enter(x); err != nil {
		return err
	}
	q := question{action: x.action(), place: &x.place, bucket: x.bucket, key: x.key, version: x.version()}
	switch x.op.decided {
	case onVersion:
		x.access = x.accessTo(&q)
		return nil
	case onRequest:
		return g.allowUpload(x, &q)
	case onKeys, onBody, onNothing:
	}
	return nil
}

// enter finds the bucket of the request and checks what the request's headers
// say of it. Whatever a bucket is asked, its answer names its region.
func (g *Gateway) enter(x *exchange) error {
	var err error
	if x.place, err = g.locate(x, x.bucket); err != nil {
		return err
	}
	if x.scope == ScopeBucket {
		x.set(s3.HeaderBucketRegion, x.place.Region)
	}
	if err := g.checkOwner(x, s3.HeaderExpectedBucketOwner, &x.place); err != nil {
		return err
	}
	return x.checkPayer(&x.place)
}

// action is the action of the request's operation.
func (x *exchange) action() string {
	if x.op.VersionAction != "" && x.version() != "" {
		return x.op.VersionAction
	}
	return x.op.Action
}

// question is what is asked about one action.
type question struct {
	action string
	place  *place // nil where no bucket is there: ListBuckets, CreateBucket
	bucket s3.BucketName
	key    s3.Key
	// version is the one that is named, if one is.
	version s3.VersionID
	// object is the version that is there; nil where none is, or none counts.
	object *objects.Object
	// uploader is who began the multipart upload that is asked about.
	uploader s3.OwnerID
	// match is the entity tag that an entry of DeleteObjects asks for.
	match string
	// copied are the tags of the source of a copy that keeps them.
	copied []objects.Pair
	// listed says that the key is asked for as a listing would show it.
	listed bool
}

// decide answers a question. It only reads the exchange, so that many can be
// asked at a time.
func (x *exchange) decide(q *question) iam.Decision {
	r := iam.Request{Who: x.caller, Action: q.action, ARN: resource(q.bucket, q.key), Context: &conditions{x: x, q: q}}
	if q.place != nil {
		r.Bucket = &q.place.facts
	}
	if q.listed {
		r.ARN = resource(q.bucket, "")
	}
	switch {
	case q.object != nil:
		r.Object = &iam.ObjectFacts{Owner: iam.CanonicalID(q.object.Owner), ACL: factsOf(q.object.ACL)}
	case q.uploader != "":
		r.Object = &iam.ObjectFacts{Owner: iam.CanonicalID(q.uploader)}
	}
	return iam.Decide(&r)
}

// denial is why AccessDenied was answered. Only the log shows it.
type denial struct{ reason string }

// Error implements error.
func (d *denial) Error() string { return d.reason }

func denied(reason string) error {
	return s3.NewError(s3.AccessDenied).Because(&denial{reason})
}

// check turns a decision into an error.
func check(d iam.Decision) error {
	if d.Allowed {
		return nil
	}
	return denied(d.Reason)
}

// allow asks a question that decides about the whole request.
func (x *exchange) allow(q *question) error {
	if err := check(x.decide(q)); err != nil {
		return err
	}
	x.decided = true
	return nil
}

// resource returns the ARN of a bucket or a key, "*" for the service.
func resource(bucket s3.BucketName, key s3.Key) string {
	const prefix = "arn:aws:s3:::"
	switch {
	case bucket == "":
		return prefix + "*"
	case key == "":
		return prefix + string(bucket)
	}
	return prefix + string(bucket) + "/" + string(key)
}
