package s3

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Code is an S3 error code as clients see it.
type Code string

// Field is one further element of an error response, such as StringToSign.
type Field struct {
	Name  string
	Value string
}

// Error is an error that a client is told. It is immutable: the With methods
// return copies.
type Error struct {
	Code    Code
	Message string
	// Status is the HTTP status.
	Status int
	// Fields follow Message in the XML, in this order.
	Fields []Field
	// cause is logged and never shown to the client.
	cause error
}

// NewError returns the error of a code with the status and the message of the
// table. An unknown code becomes a 500 with that code, so that it shows.
func NewError(code Code) *Error {
	d, ok := lookup(code)
	if !ok {
		return &Error{Code: code, Message: string(code), Status: 500}
	}
	return &Error{Code: code, Message: d.message, Status: d.status}
}

// InvalidArg returns InvalidArgument with the argument named.
func InvalidArg(name, value, message string) *Error {
	return NewError(InvalidArgument).WithMessage(message).
		With("ArgumentName", name).With("ArgumentValue", value)
}

// NotImplementedHeader returns NotImplemented for a request header that asks
// for what is not built.
func NotImplementedHeader(name string) *Error {
	return NewError(NotImplemented).With("Header", name)
}

// With returns a copy with one more element.
func (e *Error) With(name, value string) *Error {
	c := *e
	c.Fields = append(slices.Clip(slices.Clone(e.Fields)), Field{Name: name, Value: value})
	return &c
}

// WithInt returns a copy with one more element that holds a number.
func (e *Error) WithInt(name string, value int64) *Error {
	return e.With(name, strconv.FormatInt(value, 10))
}

// WithMessage returns a copy with another message.
func (e *Error) WithMessage(message string) *Error {
	c := *e
	c.Message = message
	return &c
}

// Because returns a copy that wraps the cause. The cause is for logs; a client
// never sees it.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Field returns the value of an element, or the empty string.
func (e *Error) Field(name string) string {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of the first Error in err's chain, empty for nil and
// InternalError for any other error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return InternalError
}

// AsError returns the first Error in err's chain, else InternalError because of
// err. It returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return NewError(InternalError).Because(err)
}

// AppendXML appends the error document that AWS sends. It is well-formed
// whatever the request was; the resource is left out when it is empty.
func (e *Error) AppendXML(dst []byte, resource, requestID, hostID string) []byte {
	dst = append(dst, xmlHeader+"<Error>"...)
	dst = appendElement(dst, "Code", string(e.Code))
	dst = appendElement(dst, "Message", printable(e.Message))
	for _, f := range e.Fields {
		dst = appendElement(dst, f.Name, printable(f.Value))
	}
	dst = appendOptional(dst, "Resource", printable(resource))
	dst = appendElement(dst, "RequestId", requestID)
	dst = appendElement(dst, "HostId", hostID)
	return append(dst, "</Error>"...)
}
