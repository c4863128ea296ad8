package gateway

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

// awsOperation is one operation of AWS's model. testdata/botocore-operations.json
// is an extract of botocore's service-2.json, made as its "source" says.
type awsOperation struct {
	Name, Method, RequestURI string
	Query, Headers           []string
}

func awsOperations(t *testing.T) map[string]awsOperation {
	t.Helper()
	data, err := os.ReadFile("testdata/botocore-operations.json")
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Source     string
		Operations []awsOperation
	}
	if err := json.Unmarshal(data, &model); err != nil {
		t.Fatal(err)
	}
	ops := make(map[string]awsOperation)
	for _, op := range model.Operations {
		ops[op.Name] = op
	}
	if len(ops) < 100 {
		t.Fatalf("the extract has only %d operations", len(ops))
	}
	return ops
}

func TestTableHasEveryOperationOfAWS(t *testing.T) {
	ours := make(map[string]Operation)
	for _, op := range Operations() {
		if _, twice := ours[op.Name]; twice {
			t.Errorf("%s is in the table twice", op.Name)
		}
		ours[op.Name] = op
	}
	aws := awsOperations(t)
	for name, want := range aws {
		got, ok := ours[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		path, static, _ := strings.Cut(want.RequestURI, "?")
		if got.Method != want.Method || got.path() != path {
			t.Errorf("%s: %s %s, want %s %s", name, got.Method, got.path(), want.Method, path)
		}
		selectors := slices.DeleteFunc(append(strings.Split(static, "&"), want.Query...), func(s string) bool { return s == "" })
		if name == "ListDirectoryBuckets" {
			selectors = []string{"x-id=ListDirectoryBuckets"} // AWS tells it by its endpoint
		}
		slices.Sort(selectors)
		if have := slices.Sorted(slices.Values(got.Query)); !slices.Equal(have, selectors) {
			t.Errorf("%s is selected by %q, want %q", name, have, selectors)
		}
		if got.Header != "" && !slices.Contains(want.Headers, strings.ToLower(got.Header)) {
			t.Errorf("%s is selected by header %s, which AWS does not require", name, got.Header)
		}
		if got.Action == "" || !strings.HasPrefix(got.Action, "s3:") {
			t.Errorf("%s has no action", name)
		}
	}
	for name, op := range ours {
		if _, ok := aws[name]; !ok && !op.beyond {
			t.Errorf("%s is not an operation of AWS", name)
		}
		if op.Implemented() && op.Action == "" && op.decided != onNothing {
			t.Errorf("%s is served without an action to authorize", name)
		}
	}
}

var update = flag.Bool("update", false, "write the generated files")

func TestCoverageDocument(t *testing.T) {
	const file = "../docs/s3-coverage.md"
	want := CoverageDocument()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; run: go test ./gateway -run TestCoverageDocument -update", file)
	}
}

// TestEveryOperationIsFound asks for each row exactly as it is written.
func TestEveryOperationIsFound(t *testing.T) {
	table := newTable(Operations())
	legacy := map[string]bool{ // the same request under an older name
		"GetBucketLifecycle": true, "GetBucketNotification": true, "PutBucketLifecycle": true, "PutBucketNotification": true,
		"GetBucketLifecycleConfiguration": true, "GetBucketNotificationConfiguration": true,
		"PutBucketLifecycleConfiguration": true, "PutBucketNotificationConfiguration": true,
	}
	for _, op := range Operations() {
		query, err := url.ParseQuery(strings.Join(op.Query, "&"))
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		if op.Header != "" {
			header[op.Header] = []string{"x"}
		}
		got, err := table.find(op.Method, op.Scope, query, header)
		if err != nil {
			t.Errorf("%s: %v", op.Name, err)
		} else if got.Name != op.Name && !legacy[op.Name] {
			t.Errorf("%s: found %s", op.Name, got.Name)
		}
	}
}

// TestSubresourcesNeverFallThrough combines every sub-resource with every
// method and scope: what is found must be an operation of that sub-resource.
func TestSubresourcesNeverFallThrough(t *testing.T) {
	table := newTable(Operations())
	methods := []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"}
	for sub := range table.subresources {
		for _, method := range methods {
			for _, scope := range []Scope{ScopeService, ScopeBucket, ScopeObject} {
				op, err := table.find(method, scope, url.Values{sub: {""}}, http.Header{s3.HeaderCopySource: {"/b/k"}})
				if method == http.MethodOptions && scope != ScopeService {
					if err != nil || op.Method != method {
						t.Errorf("%s %s ?%s: no preflight, %v", method, scope, sub, err)
					}
					continue
				}
				if err != nil {
					if code := s3.CodeOf(err); code != s3.NotImplemented && code != s3.MethodNotAllowed && code != s3.InvalidArgument {
						t.Errorf("%s %s ?%s: %v", method, scope, sub, err)
					}
					continue
				}
				if !slices.ContainsFunc(op.Query, func(q string) bool { return q == sub || strings.HasPrefix(q, sub+"=") }) {
					t.Errorf("%s %s ?%s falls through to %s", method, scope, sub, op.Name)
				}
			}
		}
	}
}

func TestFind(t *testing.T) {
	tests := []struct {
		method string
		scope  Scope
		query  string
		header string
		want   string // a name, or a code
	}{
		{"GET", ScopeService, "", "", "ListBuckets"},
		{"GET", ScopeService, "x-id=ListBuckets&max-buckets=5", "", "ListBuckets"},
		{"GET", ScopeService, "x-id=ListDirectoryBuckets", "", "ListDirectoryBuckets"},
		{"POST", ScopeService, "", "", "MethodNotAllowed"},
		{"GET", ScopeBucket, "prefix=a&delimiter=/", "", "ListObjects"},
		{"GET", ScopeBucket, "list-type=2&prefix=a", "", "ListObjectsV2"},
		{"GET", ScopeBucket, "list-type=3", "", "InvalidArgument"},
		{"GET", ScopeBucket, "list-type=2&acl", "", "NotImplemented"},
		{"GET", ScopeBucket, "analytics", "", "ListBucketAnalyticsConfigurations"},
		{"GET", ScopeBucket, "analytics&id=1", "", "GetBucketAnalyticsConfiguration"},
		{"PUT", ScopeBucket, "analytics&id=1", "", "PutBucketAnalyticsConfiguration"},
		{"PUT", ScopeBucket, "analytics", "", "NotImplemented"},
		{"DELETE", ScopeBucket, "location", "", "MethodNotAllowed"},
		{"PATCH", ScopeBucket, "", "", "MethodNotAllowed"},
		{"POST", ScopeBucket, "delete", "", "DeleteObjects"},
		{"POST", ScopeBucket, "", "", "PostObject"},
		{"OPTIONS", ScopeObject, "", "", "PreflightObject"},
		{"OPTIONS", ScopeObject, "partNumber=1&uploadId=u", "", "PreflightObject"},
		{"OPTIONS", ScopeBucket, "acl&versioning", "", "PreflightBucket"},
		{"OPTIONS", ScopeService, "", "", "MethodNotAllowed"},
		{"GET", ScopeObject, "versionId=1&partNumber=3", "", "GetObject"},
		{"GET", ScopeObject, "X-Amz-Signature=a&X-Amz-Date=b&unknown=c&12345", "", "GetObject"},
		{"GET", ScopeObject, "torrent", "", "GetObjectTorrent"},
		{"GET", ScopeObject, "uploads", "", "MethodNotAllowed"},
		{"GET", ScopeObject, "versions", "", "NotImplemented"},
		{"GET", ScopeObject, "append", "", "NotImplemented"},
		{"PUT", ScopeObject, "", "", "PutObject"},
		{"PUT", ScopeObject, "", s3.HeaderCopySource, "CopyObject"},
		{"PUT", ScopeObject, "uploadId=u&partNumber=1", "", "UploadPart"},
		{"PUT", ScopeObject, "uploadId=u&partNumber=1", s3.HeaderCopySource, "UploadPartCopy"},
		{"PUT", ScopeObject, "uploadId=u", "", "InvalidArgument"},
		{"PUT", ScopeObject, "acl", s3.HeaderCopySource, "PutObjectAcl"},
		{"PUT", ScopeObject, "renameObject", "", "RenameObject"},
		{"POST", ScopeObject, "", "", "MethodNotAllowed"},
		{"POST", ScopeObject, "uploads", "", "CreateMultipartUpload"},
		{"POST", ScopeObject, "uploadId=u", "", "CompleteMultipartUpload"},
		{"POST", ScopeObject, "select&select-type=2", "", "SelectObjectContent"},
		{"DELETE", ScopeObject, "uploadId=u", "", "AbortMultipartUpload"},
		{"DELETE", ScopeObject, "uploadId=u&tagging", "", "NotImplemented"},
	}
	table := newTable(Operations())
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.scope.String()+" "+tt.query+tt.header, func(t *testing.T) {
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{}
			if tt.header != "" {
				header[tt.header] = []string{"/b/k"}
			}
			op, err := table.find(tt.method, tt.scope, query, header)
			got := string(s3.CodeOf(err))
			if err == nil {
				got = op.Name
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
