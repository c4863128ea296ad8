// Package sigv4 verifies AWS Signature Version 4 as S3 uses it: in the
// Authorization header, in the query of a presigned URL, over the policy of an
// upload form, and over the body, whole or in signed or unsigned aws-chunked
// pieces with trailers.
//
// It promises: a [Verifier] accepts a request only when its signature covers
// the method, the path, the whole query, the host, every x-amz-* header and
// the declared payload; secrets and signatures are compared in constant time;
// a body reader of [Result.Body] reports everything that is wrong with a body
// before io.EOF, and withholds the last bytes until all has been verified, so
// that a reader that counts bytes cannot commit a bad body either; memory is
// bounded whatever a client sends.
//
// It does not decide what an accepted caller may do, nor whether an anonymous
// one may do anything, and it does not check digests carried in headers or
// trailers other than x-amz-content-sha256.
//
// Every refusal is an [Error] of one [Kind] out of a closed table, and unwraps
// to the s3.Error that AWS answers. Any other error comes from the lookup of
// the secret or from the body's transport and is passed on wrapped.
//
// Signature Version 2 and the asymmetric AWS4-ECDSA-P256-SHA256 are recognised
// and refused with kinds of their own; a Verifier may be given a [Legacy] for the
// former. [Verifier.VerifyForm] checks the signature of an upload form.
//
// It is a leaf: it imports the standard library and s3; the gateway imports it.
package sigv4
