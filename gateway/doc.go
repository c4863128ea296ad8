// Package gateway speaks S3 over HTTP: it turns requests into calls on objects
// and their results into responses.
//
// One table ([Operations]) names every operation of S3. A request is routed by
// its path and host to the service, a bucket or an object, then by its method,
// sub-resource and headers to one row. It is authenticated, authorized and
// stripped of everything that is not implemented before a byte of its body is
// read; whatever changes the meaning of a request and is not enforced here is
// answered with 501 NotImplemented and never ignored.
//
// A handler translates and decides nothing: what S3 means is in package
// objects. Every response carries a request id, which logs name too. Memory
// is bounded per request: bodies are streamed, and documents have limits.
//
// The package opens no listener and knows no disks, partitions or tables. Only
// cmd and internal/testcluster import it.
package gateway
