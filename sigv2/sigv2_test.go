package sigv2_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv2"
)

// The credentials of the examples in AWS's documentation.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleDate   = "Tue, 27 Mar 2007 19:36:42 +0000"
)

var errUnknown = errors.New("unknown")

func secret(accessKey string) (string, error) {
	if accessKey != exampleKey {
		return "", errUnknown
	}
	return exampleSecret, nil
}

func at(tb testing.TB, date string) time.Time {
	tb.Helper()
	t, ok := s3.ParseDate(date)
	if !ok {
		tb.Fatalf("no date: %q", date)
	}
	return t
}

// newRequest returns a request as a server sees it. The headers are pairs.
func newRequest(method, target, host string, headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), method, target, http.NoBody)
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func verifier(now time.Time) *sigv2.Verifier {
	return &sigv2.Verifier{Domains: []string{"s3.amazonaws.com"}, Now: func() time.Time { return now }}
}

func sign(text string) string {
	h := hmac.New(sha1.New, []byte(exampleSecret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// TestExamples holds the examples of AWS's documentation of the scheme.
func TestExamples(t *testing.T) {
	const bucketHost = "johnsmith.s3.amazonaws.com"
	tests := []struct {
		name, date, signature string
		r                     *http.Request
	}{
		{"object GET", exampleDate, "bWq2s1WEIj+Ydj0vQ697zp+IXMU=", newRequest("GET", "/photos/puppy.jpg", bucketHost)},
		{"object GET of the newer text", exampleDate, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=", newRequest("GET", "/photos/puppy.jpg", "AwsExampleBucket1.s3.amazonaws.com:80")},
		{"object PUT", "Tue, 27 Mar 2007 21:15:45 +0000", "MyyxeRY7whkBe+bq8fHCL/2kKUg=", newRequest("PUT", "/photos/puppy.jpg", bucketHost, "Content-Type", "image/jpeg", "Content-Length", "94328")},
		{"list", "Tue, 27 Mar 2007 19:42:41 +0000", "htDYFYduRNen8P9ZfE/s9SuKy0U=", newRequest("GET", "/?prefix=photos&max-keys=50&marker=puppy", bucketHost)},
		{"fetch", "Tue, 27 Mar 2007 19:44:46 +0000", "c2WLPFtWHVgbEmeEG93a4cG37dM=", newRequest("GET", "/?acl", bucketHost)},
		{"upload", "Tue, 27 Mar 2007 21:06:08 +0000", "ilyl83RwaSoYIEdixDQcA4OnAnc=", newRequest(
			"PUT", "/db-backup.dat.gz", "static.johnsmith.net.s3.amazonaws.com:8080",
			"x-amz-acl", "public-read", "Content-Type", "application/x-download", "Content-MD5", "4gJE4saaMU4BqNR0kLY+lw==",
			"X-Amz-Meta-ReviewedBy", "joe@johnsmith.net", "X-Amz-Meta-ReviewedBy", " jane@johnsmith.net ",
			"X-Amz-Meta-FileChecksum", "0x02661779", "X-Amz-Meta-ChecksumAlgorithm", "crc32",
			"Content-Disposition", "attachment; filename=database.dat", "Content-Encoding", "gzip")},
		{"list all buckets", "Wed, 28 Mar 2007 01:29:59 +0000", "qGdzdERIC03wnaRNKh6OqZehG9s=", newRequest("GET", "/", "s3.amazonaws.com")},
		{"unicode keys", "Wed, 28 Mar 2007 01:49:49 +0000", "DNEZGsoieTZ92F3bUfSPQcbGmlM=", newRequest("GET", "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", "s3.amazonaws.com")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Header.Set("Date", tt.date)
			tt.r.Header.Set("Authorization", "AWS "+exampleKey+":"+tt.signature)
			now := at(t, tt.date)
			accessKey, signed, err := verifier(now.Add(10*time.Minute)).Verify(tt.r, secret)
			if err != nil || accessKey != exampleKey || !signed.Equal(now) {
				t.Errorf("%q, %v, %v", accessKey, signed, err)
			}
			tt.r.Method = "POST"
			if _, _, err := verifier(now).Verify(tt.r, secret); s3.CodeOf(err) != s3.SignatureDoesNotMatch {
				t.Errorf("another method: %v", err)
			}
		})
	}
	query := newRequest("GET", "/photos/puppy.jpg?AWSAccessKeyId="+exampleKey+"&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620", bucketHost)
	if accessKey, signed, err := verifier(time.Unix(1175139620, 0)).Verify(query, secret); err != nil || accessKey != exampleKey || !signed.IsZero() {
		t.Errorf("query: %q, %v, %v", accessKey, signed, err)
	}
}

// What a presigned URL carries in its query in place of headers is signed.
func TestPresignedHeaders(t *testing.T) {
	text := "PUT\n\ntext/plain\n100\nx-amz-acl:public-read\nx-amz-meta-a:1,2\n/b/k?response-expires=a b&uploads"
	target := "/b/k?AWSAccessKeyId=" + exampleKey + "&Expires=100&Signature=" + url.QueryEscape(sign(text)) +
		"&content-type=text%2Fplain&x-amz-acl=public-read&X-Amz-Meta-A=1&X-Amz-Meta-A=2&prefix=x&uploads&response-expires=a+b"
	v := verifier(time.Unix(50, 0))
	if _, _, err := v.Verify(newRequest("PUT", target, "h"), secret); err != nil {
		t.Error(err)
	}
	for _, r := range []*http.Request{
		newRequest("PUT", target, "h", "x-amz-acl", "private"), newRequest("PUT", target, "h", "Content-Type", "text/html"),
		newRequest("PUT", target+"&acl", "h"), newRequest("PUT", target+"&x-amz-meta-b=1", "h"), newRequest("PUT", target, "x.s3.amazonaws.com"),
	} {
		if _, _, err := v.Verify(r, secret); s3.CodeOf(err) != s3.SignatureDoesNotMatch {
			t.Errorf("%v %s: %v", r.Header, r.RequestURI, err)
		}
	}
}

// A bucket is the same with and without the slash at its end, a key is not.
func TestBucketSlash(t *testing.T) {
	for path, wants := range map[string]bool{"/b": true, "/b?acl": true, "/b/": false, "/b/k": false, "/": false} {
		name, query, _ := strings.Cut(path, "?")
		text := "GET\n\n\n" + exampleDate + "\n" + name + "/"
		if query != "" {
			text += "?" + query
		}
		r := newRequest("GET", path, "h", "Date", exampleDate, "Authorization", "AWS "+exampleKey+":"+sign(text))
		if _, _, err := verifier(at(t, exampleDate)).Verify(r, secret); (err == nil) != wants {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	now := at(t, exampleDate)
	header := func(headers ...string) *http.Request {
		return newRequest("GET", "/b/k", "h", append([]string{"Authorization", "AWS " + exampleKey + ":c2ln"}, headers...)...)
	}
	withAuth := func(value string) *http.Request {
		return newRequest("GET", "/b/k", "h", "Authorization", value, "Date", exampleDate)
	}
	query := func(q string) *http.Request { return newRequest("GET", "/b/k?"+q, "h") }
	valid := "&Expires=" + strconv.FormatInt(now.Unix(), 10)
	tests := []struct {
		name    string
		r       *http.Request
		code    s3.Code
		message string
	}{
		{"no signature", withAuth("AWS HAHAHA"), s3.InvalidArgument, "AwsAccessKeyId:signature"},
		{"empty signature", withAuth("AWS a:"), s3.InvalidArgument, ""},
		{"empty key", withAuth("AWS :a"), s3.InvalidArgument, ""},
		{"no date", header(), s3.AccessDenied, "valid Date"},
		{"bad date", header("x-amz-date", "Bad Date", "Date", exampleDate), s3.AccessDenied, "valid Date"},
		{"empty date", header("x-amz-date", "", "Date", exampleDate), s3.AccessDenied, "valid Date"},
		{"before the epoch", header("x-amz-date", "Tue, 07 Jul 1950 21:53:04 GMT"), s3.AccessDenied, "valid Date"},
		{"old", header("Date", "Tue, 27 Mar 2007 19:21:41 GMT"), s3.RequestTimeTooSkewed, ""},
		{"early", header("x-amz-date", "Tue, 07 Jul 9999 21:53:04 GMT"), s3.RequestTimeTooSkewed, ""},
		{"token", header("Date", exampleDate, "x-amz-security-token", "t"), s3.InvalidToken, ""},
		{"token in the query", query("AWSAccessKeyId=a&Signature=b&x-amz-security-token=t" + valid), s3.InvalidToken, ""},
		{"wrong signature", header("Date", exampleDate), s3.SignatureDoesNotMatch, ""},
		{"no base64", withAuth("AWS " + exampleKey + ":*"), s3.SignatureDoesNotMatch, ""},
		{"no expires", query("AWSAccessKeyId=a&Signature=b"), s3.AccessDenied, "requires the Signature, Expires and AWSAccessKeyId"},
		{"two keys", query("AWSAccessKeyId=a&AWSAccessKeyId=b&Signature=b" + valid), s3.AccessDenied, "requires"},
		{"expires is a word", query("AWSAccessKeyId=a&Signature=b&Expires=soon"), s3.AccessDenied, "seconds since epoch"},
		{"expired", query("AWSAccessKeyId=a&Signature=b&Expires=1"), s3.AccessDenied, "Request has expired"},
		{"a header in two cases", query("AWSAccessKeyId=a&Signature=b&x-amz-acl=private&X-Amz-Acl=public-read" + valid), s3.AccessDenied, "two cases"},
		{"a content type in two cases", query("AWSAccessKeyId=a&Signature=b&content-type=a&Content-Type=b" + valid), s3.AccessDenied, "two cases"},
		{"broken escape", query("AWSAccessKeyId=%zz"), s3.InvalidURI, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			accessKey, _, err := verifier(now).Verify(tt.r, secret)
			if s3.CodeOf(err) != tt.code || accessKey != "" || !strings.Contains(s3.AsError(err).Message, tt.message) {
				t.Errorf("%q, %v, want %s with %q", accessKey, err, tt.code, tt.message)
			}
		})
	}
	if _, _, err := verifier(now).Verify(query("AWSAccessKeyId=nobody&Signature=b"+valid), secret); !errors.Is(err, errUnknown) {
		t.Errorf("unknown key: %v", err)
	}
	_, _, err := verifier(now).Verify(header("Date", exampleDate), secret)
	if got := s3.AsError(err).Field("StringToSign"); got != "GET\n\n\n"+exampleDate+"\n/b/k" {
		t.Errorf("the answer says that %q was signed", got)
	}
}

func TestVerifyPolicy(t *testing.T) {
	v := verifier(time.Unix(0, 0))
	if err := v.VerifyPolicy("cG9saWN5", exampleKey, sign("cG9saWN5"), secret); err != nil {
		t.Error(err)
	}
	if err := v.VerifyPolicy("cG9saWN6", exampleKey, sign("cG9saWN5"), secret); s3.CodeOf(err) != s3.SignatureDoesNotMatch {
		t.Errorf("another policy: %v", err)
	}
	if err := v.VerifyPolicy("cG9saWN5", "nobody", sign("cG9saWN5"), secret); !errors.Is(err, errUnknown) {
		t.Errorf("unknown key: %v", err)
	}
}

// FuzzVerify: whatever is sent, only a signature that was made with the secret
// is accepted; what is refused is refused with an S3 error.
func FuzzVerify(f *testing.F) {
	f.Add("GET", "/b/k?acl", "AWS "+exampleKey+":c2ln", exampleDate, "h")
	f.Add("PUT", "/b/k?AWSAccessKeyId="+exampleKey+"&Signature=x&Expires=1999999999&x-amz-acl=a", "", "", "b.s3.amazonaws.com")
	f.Add("", "/%zz?;", "AWS", "x", "[::1]:80")
	f.Fuzz(func(t *testing.T, method, target, authorization, date, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		r := &http.Request{Method: method, URL: u, RequestURI: target, Host: host, Header: http.Header{"X-Amz-Date": {date}}}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		accessKey, _, err := verifier(at(t, exampleDate)).Verify(r, func(string) (string, error) { return exampleSecret, nil })
		if err == nil {
			t.Fatalf("accepted as %q: %s %s %q", accessKey, method, target, authorization)
		}
		// Signed with what the refusal says, it passes.
		text := s3.AsError(err).Field("StringToSign")
		switch {
		case s3.CodeOf(err) == s3.InternalError:
			t.Errorf("%v is no S3 error", err)
		case text == "" || authorization == "":
			return
		}
		r.Header["Authorization"] = []string{"AWS " + exampleKey + ":" + sign(text)}
		if _, _, err := verifier(at(t, exampleDate)).Verify(r, secret); err != nil {
			t.Errorf("%s %s: %v", method, target, err)
		}
	})
}
