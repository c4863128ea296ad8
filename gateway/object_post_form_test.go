package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const testBoundary = "9431149156168"

// formOf makes a form of pairs of names and values, in their order. The field
// file has a file name.
func formOf(tb testing.TB, pairs ...string) (contentType, body string) {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(testBoundary); err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		create := w.CreateFormField
		if pairs[i] == fileField {
			create = func(name string) (io.Writer, error) { return w.CreateFormFile(name, "puppy.jpg") }
		}
		part, err := create(pairs[i])
		if err == nil {
			_, err = io.WriteString(part, pairs[i+1])
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// parseAll reads a form and its file.
func parseAll(contentType, body string, limit sizeRange) (f *form, file string, err error) {
	f, err = readForm(contentType, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	data, err := io.ReadAll(&content{form: f, limit: limit})
	return f, string(data), err
}

func TestReadForm(t *testing.T) {
	contentType, body := formOf(t, "KEY", "user/${filename}", "acl", "private", "x-amz-meta-two", "${filename}${filename}",
		"file", "content", "submit", "Upload", "acl", "public-read")
	f, file, err := parseAll(contentType, body, anySize())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"key": "user/puppy.jpg", "acl": "private", "x-amz-meta-two": "puppy.jpgpuppy.jpg"}
	if d := cmp.Diff(want, f.fields); d != "" || file != "content" {
		t.Errorf("file %q, fields (-want +got):\n%s", file, d)
	}
	// Byte by byte, and with a preamble and an epilogue.
	f, err = readForm(contentType, iotest.OneByteReader(strings.NewReader("preamble\r\n"+body+"epilogue")))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(iotest.OneByteReader(&content{form: f, limit: anySize()}))
	if err != nil || string(data) != "content" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestFileNames(t *testing.T) {
	for given, want := range map[string]string{
		`a.txt`: "a.txt", `C:\dir\a.txt`: "a.txt", `dir/a.txt`: "a.txt", `ü ${filename}.txt`: "ü ${filename}.txt", ``: "",
	} {
		body := "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n<${filename}>\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + given + "\"\r\n\r\n\r\n--b--\r\n"
		f, _, err := parseAll("multipart/form-data; boundary=b", body, anySize())
		if err != nil || f.fields["key"] != "<"+want+">" {
			t.Errorf("%q: %v, %+v", given, err, f)
		}
	}
}

func TestFormRefusals(t *testing.T) {
	many := make([]string, 0, 2*maxFormFields)
	for i := range maxFormFields + 1 {
		many = append(many, fmt.Sprintf("f%d", i), "")
	}
	const multi = "multipart/form-data; boundary=" + testBoundary
	build := func(pairs ...string) string {
		_, body := formOf(t, pairs...)
		return body
	}
	good := build("key", "k", "file", "content")
	tests := []struct {
		name, contentType, body string
		code                    s3.Code
		text                    string
	}{
		{"no form", "text/plain", good, s3.RequestIsNotMultiPartContent, ""},
		{"no type", "", good, s3.RequestIsNotMultiPartContent, ""},
		{"other multipart", "multipart/mixed; boundary=b", good, s3.RequestIsNotMultiPartContent, ""},
		{"no boundary", "multipart/form-data", good, s3.MalformedPOSTRequest, ""},
		{"long boundary", "multipart/form-data; boundary=" + strings.Repeat("b", maxBoundary+1), good, s3.MalformedPOSTRequest, ""},
		{"other boundary", "multipart/form-data; boundary=b", good, s3.MalformedPOSTRequest, ""},
		{"empty", multi, "", s3.MalformedPOSTRequest, ""},
		{"no file", multi, build("key", "k"), s3.IncorrectNumberOfFilesInPostRequest, "exactly one file"},
		{"two files", multi, build("key", "k", "file", "1", "submit", "", "file", "2"), s3.IncorrectNumberOfFilesInPostRequest, "exactly one file"},
		{"cut in a field", multi, good[:20], s3.MalformedPOSTRequest, ""},
		{"cut in the file", multi, good[:len(good)-len("--\r\n")-len(testBoundary)-6], s3.MalformedPOSTRequest, ""},
		{"not ended", multi, strings.TrimSuffix(good, "--\r\n"), s3.MalformedPOSTRequest, ""},
		{"field twice", multi, build("key", "k", "KEY", "j", "file", ""), s3.InvalidArgument, "twice"},
		{"no name", multi, strings.Replace(good, `name="key"`, `nam="key"`, 1), s3.MalformedPOSTRequest, ""},
		{"no disposition", multi, strings.Replace(good, "form-data", "attachment", 1), s3.MalformedPOSTRequest, ""},
		{"long field", multi, build("key", strings.Repeat("k", maxFormBytes), "file", ""), s3.MaxPostPreDataLengthExceededError, ""},
		{"long header", multi, "--" + testBoundary + "\r\nX: " + strings.Repeat("x", 2*maxFormBytes) + "\r\n\r\n", s3.MaxPostPreDataLengthExceededError, ""},
		{"many fields", multi, build(append(many, "file", "")...), s3.MaxPostPreDataLengthExceededError, ""},
		{"grows", multi, build("key", strings.Repeat("${filename}", 1500), "file", "") + "", "", ""},
		{"long tail", multi, build("key", "k", "file", "", "submit", strings.Repeat("x", 64<<10)), s3.MalformedPOSTRequest, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parseAll(tt.contentType, tt.body, anySize())
			if s3.CodeOf(err) != tt.code || err != nil && !strings.Contains(s3.AsError(err).Message, tt.text) {
				t.Errorf("%v, want %s with %q", err, tt.code, tt.text)
			}
		})
	}
}

// What comes out of ${filename} has the limit of what came in.
func TestExpansionIsBounded(t *testing.T) {
	_, body := formOf(t, "key", strings.Repeat("${filename}", 400), "file", "")
	body = strings.Replace(body, "puppy.jpg", strings.Repeat("x", 1000), 1)
	_, _, err := parseAll("multipart/form-data; boundary="+testBoundary, body, anySize())
	if s3.CodeOf(err) != s3.MaxPostPreDataLengthExceededError {
		t.Error(err)
	}
}

// The errors of the transport are told as they are, wherever they come.
func TestFormTransportErrors(t *testing.T) {
	contentType, body := formOf(t, "key", "k", "file", "content", "submit", "x")
	broken := errors.New("broken")
	for at := range len(body) {
		r := io.MultiReader(strings.NewReader(body[:at]), iotest.ErrReader(broken))
		f, err := readForm(contentType, r)
		if err == nil {
			_, err = io.ReadAll(&content{form: f, limit: anySize()})
		}
		if !errors.Is(err, broken) {
			t.Fatalf("broken after %d bytes: %v", at, err)
		}
	}
}

func TestContentLimits(t *testing.T) {
	contentType, body := formOf(t, "key", "k", "file", "12345")
	for _, tt := range []struct {
		limit sizeRange
		code  s3.Code
	}{
		{sizeRange{0, 5}, ""},
		{sizeRange{5, 5}, ""},
		{sizeRange{0, 4}, s3.EntityTooLarge},
		{sizeRange{0, 0}, s3.EntityTooLarge},
		{sizeRange{6, 10}, s3.EntityTooSmall},
	} {
		_, _, err := parseAll(contentType, body, tt.limit)
		if s3.CodeOf(err) != tt.code {
			t.Errorf("%+v: %v, want %s", tt.limit, err, tt.code)
		}
	}
}

// A small file's size is known before it is stored, a large one's is not.
func TestSettle(t *testing.T) {
	for _, size := range []int{0, 1, settledSize - 1, settledSize, settledSize + 1, 3 * settledSize} {
		contentType, body := formOf(t, "key", "k", "file", strings.Repeat("x", size))
		f, err := readForm(contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var b objects.Body
		c := content{form: f, limit: anySize()}
		if err := c.settle(&b); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(b.Reader)
		if err != nil || len(data) != size || b.Size != int64(size) && (b.Size != -1 || size < settledSize) {
			t.Errorf("size %d: %d bytes read of a body of %d, %v", size, len(data), b.Size, err)
		}
	}
	contentType, body := formOf(t, "key", "k", "file", "content")
	f, err := readForm(contentType, strings.NewReader(body[:len(body)-10]))
	if err != nil {
		t.Fatal(err)
	}
	var b objects.Body
	if err := (&content{form: f, limit: anySize()}).settle(&b); s3.CodeOf(err) != s3.MalformedPOSTRequest || b.Reader != nil {
		t.Errorf("a form that is cut off: %v, %+v", err, b)
	}
}

// FuzzForm: whatever is sent, memory is bounded, refusals are S3's, and what is
// accepted is what the standard parser of whole forms finds.
func FuzzForm(f *testing.F) {
	contentType, body := formOf(f, "key", "k${filename}", "acl", "private", "file", "content\r\n--"+testBoundary[:4], "submit", "x")
	f.Add(contentType, body)
	f.Add(`multipart/form-data; boundary="b"`, "--b\r\nContent-Disposition: form-data; name=file\r\n\r\n--b--")
	f.Add("multipart/form-data; boundary=b", "--b\nContent-Disposition: form-data; name=key; filename*=UTF-8''%e2%82%ac\n\nx\n--b--\n")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		parsed, file, err := parseAll(contentType, body, anySize())
		if err != nil {
			if s3.CodeOf(err) == s3.InternalError {
				t.Errorf("%v is no S3 error", err)
			}
			return
		}
		total := 0
		for name, value := range parsed.fields {
			total += len(value)
			if name != strings.ToLower(name) || name == fileField {
				t.Errorf("field %q", name)
			}
		}
		if total > maxFormBytes || len(parsed.fields) > maxFormFields || strings.ContainsAny(parsed.fileName, `/\`) {
			t.Errorf("%d bytes in %d fields, file name %q", total, len(parsed.fields), parsed.fileName)
		}
		if len(file) > len(body) {
			t.Errorf("%d bytes of file from %d bytes of form", len(file), len(body))
		}
	})
}
