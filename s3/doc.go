// Package s3 is the vocabulary of Amazon S3: names and limits, error codes with
// their statuses and messages, headers, timestamps, ranges, conditions, copy
// sources, and the XML that requests and responses are made of.
//
// It promises that what it writes has the element names, order and escapes that
// AWS clients expect, and that what it reads is bounded: no entity is expanded,
// no document is deeper or longer than its limit, and an element that the
// schema does not name is MalformedXML. Everything here is a value or a pure
// function; nothing reads a clock, does I/O or keeps state.
//
// It does not promise any behaviour of an object store, and it knows nothing of
// HTTP requests. It imports the standard library only; every package may
// import it except blobd, which stores frames and knows no objects.
package s3
