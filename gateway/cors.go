package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// The headers of cross-origin requests and of the answers to them.
const (
	headerOrigin           = "Origin"
	headerRequestMethod    = "Access-Control-Request-Method"
	headerRequestHeaders   = "Access-Control-Request-Headers"
	headerAllowOrigin      = "Access-Control-Allow-Origin"
	headerAllowMethods     = "Access-Control-Allow-Methods"
	headerAllowHeaders     = "Access-Control-Allow-Headers"
	headerAllowCredentials = "Access-Control-Allow-Credentials"
	headerExposeHeaders    = "Access-Control-Expose-Headers"
	headerMaxAge           = "Access-Control-Max-Age"
)

// corsRequest returns what a browser says of a request. As at AWS, the headers
// of a preflight count wherever they are.
func (x *exchange) corsRequest() s3.CORSRequest {
	return s3.CORSRequest{
		Origin: x.header(headerOrigin), Method: x.header(headerRequestMethod),
		Headers: s3.ParseCORSHeaders(x.header(headerRequestHeaders)),
	}
}

// corsOf returns the CORS configuration of the request's bucket, nil when it
// has none.
func (g *Gateway) corsOf(x *exchange) (*s3.CORSConfiguration, error) {
	state, err := g.o.Objects.BucketState(x.r.Context(), x.bucket)
	if err != nil {
		return nil, err
	}
	cors, err := objects.Parsed(state, objects.ConfigCORS, s3.DecodeCORS)
	if err != nil {
		return nil, s3.NewError(s3.InternalError).Because(err)
	}
	return cors, nil
}

// route finds the operation. Whatever becomes of the request, scripts of other
// origins may read the answer if the bucket says so, a refusal too.
func (g *Gateway) route(x *exchange) error {
	err := g.router.route(x)
	g.crossOrigin(x)
	return err
}

// crossOrigin sets the headers without which a browser keeps the answer from a
// script of another origin. It refuses nothing: CORS protects users of
// browsers, not buckets.
func (g *Gateway) crossOrigin(x *exchange) {
	if x.bucket == "" || x.header(headerOrigin) == "" || x.r.Method == http.MethodOptions {
		return
	}
	cors, err := g.corsOf(x)
	if err != nil || cors == nil {
		return // the operation meets the same bucket, and says it better
	}
	req := x.corsRequest()
	if req.Method == "" {
		req.Method = x.r.Method
	}
	if rule := cors.Match(&req); rule != nil {
		x.showCORS(rule, &req)
	}
}

// showCORS sets the headers of a rule that allows the request.
func (x *exchange) showCORS(rule *s3.CORSRule, req *s3.CORSRequest) {
	if rule.AnyOrigin() {
		x.set(headerAllowOrigin, "*")
	} else {
		x.set(headerAllowOrigin, req.Origin)
		x.set(headerAllowCredentials, "true")
	}
	x.set(headerAllowMethods, strings.Join(rule.AllowedMethods, ", "))
	x.setOptional(headerAllowHeaders, strings.Join(req.Headers, ", "))
	x.setOptional(headerExposeHeaders, strings.Join(rule.ExposeHeaders, ", "))
	if rule.MaxAgeSeconds != nil {
		x.set(headerMaxAge, strconv.Itoa(*rule.MaxAgeSeconds))
	}
	x.set("Vary", headerOrigin+", "+headerRequestHeaders+", "+headerRequestMethod)
}

// preflight answers PreflightBucket and PreflightObject, for which a browser
// signs nothing: whether a script may send a request. No key is looked at.
func (g *Gateway) preflight(x *exchange) error {
	req := x.corsRequest()
	if req.Origin == "" {
		return badPreflight("Insufficient information. Origin request header needed.")
	}
	cors, err := g.corsOf(x)
	switch {
	case s3.CodeOf(err) == s3.NoSuchBucket:
		return forbidden(&req, "Bucket not found", ScopeBucket)
	case err != nil:
		return err
	case cors == nil:
		return forbidden(&req, "CORS is not enabled for this bucket.", ScopeBucket)
	case req.Method == "":
		return badPreflight("Invalid Access-Control-Request-Method: null")
	case !req.SupportsMethod():
		return badPreflight("Invalid Access-Control-Request-Method: " + req.Method)
	}
	rule := cors.Match(&req)
	if rule == nil {
		return forbidden(&req, "This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.", x.scope)
	}
	x.showCORS(rule, &req)
	return x.finish(http.StatusOK)
}

func badPreflight(message string) error {
	return s3.NewError(s3.BadRequest).WithMessage(message)
}

func forbidden(req *s3.CORSRequest, message string, what Scope) error {
	method := req.Method
	if method == "" {
		method = http.MethodOptions
	}
	return s3.NewError(s3.AccessForbidden).WithMessage("CORSResponse: "+message).
		With("Method", method).With("ResourceType", strings.ToUpper(what.String()))
}
