// Package sigv2 verifies AWS Signature Version 2 as S3 uses it: in the
// Authorization header, in the query of a presigned URL, and over the policy of
// an upload form. AWS has retired it; old clients still speak it, and a server
// accepts it only where its operator says so.
//
// It promises that a request is accepted only when its signature covers the
// method, the date or the expiry, Content-MD5, Content-Type, every x-amz-*
// header (also those that a presigned URL carries in its query), the path and
// the sub-resources of [Signs]. The scheme itself covers neither the host, nor
// the body, nor any other query parameter: that is its weakness, not ours.
// Signatures are compared in constant time.
//
// It decides nothing about what the caller may do. Refusals are *[s3.Error];
// errors of the lookup of a secret are passed on as they are.
//
// It is a leaf: it imports the standard library and s3. sigv4 takes it as the
// verifier of what it does not know; cmd joins the two.
package sigv2
