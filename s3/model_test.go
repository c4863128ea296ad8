package s3_test

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/undercroft/undercroft/s3"
)

// modelElement is one element of a document in AWS's model.
type modelElement struct {
	Name     string
	Required bool
	Many     bool           // it may occur more than once
	Item     string         // it holds elements of this name
	Values   []string       // the texts that it may have
	Members  []modelElement // of the element, or of its items
}

// modelDocument is the answer of a read. testdata/botocore-documents.json is an
// extract of botocore's service-2.json, made as its "source" says.
type modelDocument struct {
	Root     string // of the document that the write takes; the model names no root of answers
	Request  []modelElement
	Response []modelElement
}

func modelDocuments(t *testing.T) map[string]modelDocument {
	t.Helper()
	data, err := os.ReadFile("testdata/botocore-documents.json")
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Source    string
		Documents map[string]modelDocument
	}
	if err := json.Unmarshal(data, &model); err != nil {
		t.Fatal(err)
	}
	return model.Documents
}

// element is any element of a document.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// TestDocumentsFollowTheModel holds what we write against AWS's model: no
// element that it does not name, and none missing that it requires. Documents
// that clients configure are written with all that the model has.
func TestDocumentsFollowTheModel(t *testing.T) {
	age := 60
	cors := s3.CORSConfiguration{Rules: []s3.CORSRule{{
		ID: "id", AllowedHeaders: []string{"*"}, AllowedMethods: []string{"GET", "PUT"}, AllowedOrigins: []string{"*"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: &age,
	}}}
	tags := []s3.Tag{{Key: "k", Value: "v"}, {Key: "l"}}
	tests := map[string]struct {
		doc  []byte
		root string // where the model has none
		full bool   // with all that the model has
	}{
		"GetBucketTagging":                           {doc: s3.AppendTagging(nil, tags), full: true},
		"GetObjectTagging":                           {doc: s3.AppendTagging(nil, tags), full: true},
		"GetBucketCors":                              {doc: cors.AppendXML(nil), full: true},
		"GetBucketRequestPayment":                    {doc: s3.AppendRequestPayment(nil, s3.PayerRequester), full: true},
		"GetBucketAbac":                              {doc: s3.AppendAbacStatus(nil), full: true},
		"GetBucketAccelerateConfiguration":           {doc: s3.AppendEmpty(nil, "AccelerateConfiguration")},
		"GetBucketLogging":                           {doc: s3.AppendEmpty(nil, "BucketLoggingStatus")},
		"GetBucketNotificationConfiguration":         {doc: s3.AppendEmpty(nil, "NotificationConfiguration")},
		"ListBucketAnalyticsConfigurations":          {doc: s3.AppendEmptyList(nil, "List"), root: "List"},
		"ListBucketIntelligentTieringConfigurations": {doc: s3.AppendEmptyList(nil, "List"), root: "List"},
		"ListBucketInventoryConfigurations":          {doc: s3.AppendEmptyList(nil, "List"), root: "List"},
		"ListBucketMetricsConfigurations":            {doc: s3.AppendEmptyList(nil, "List"), root: "List"},
	}
	model := modelDocuments(t)
	if len(model) != len(tests) {
		t.Errorf("the extract has %d documents, %d are tested", len(model), len(tests))
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, ok := model[name]
			if !ok {
				t.Fatal("not in the extract")
			}
			var root element
			if err := xml.Unmarshal(tt.doc, &root); err != nil {
				t.Fatal(err)
			}
			if want := m.Root + tt.root; root.XMLName.Local != want || root.XMLName.Space != s3.Namespace {
				t.Errorf("root %v, want %s", root.XMLName, want)
			}
			sameButRequired := cmpopts.IgnoreFields(modelElement{}, "Required")
			if d := cmp.Diff(m.Request, m.Response, sameButRequired); m.Request != nil && d != "" {
				t.Errorf("what is read is not what is written:\n%s", d)
			}
			checkModel(t, root, m.Response, tt.full)
		})
	}
}

func checkModel(t *testing.T, e element, members []modelElement, full bool) {
	t.Helper()
	counts := make(map[string]int)
	for _, child := range e.Children {
		name := child.XMLName.Local
		counts[name]++
		at := slices.IndexFunc(members, func(m modelElement) bool { return m.Name == name })
		if at < 0 {
			t.Errorf("the model has no %s in %s", name, e.XMLName.Local)
			continue
		}
		m := members[at]
		if m.Values != nil && !slices.Contains(m.Values, child.Text) {
			t.Errorf("%s is %q, the model has %q", name, child.Text, m.Values)
		}
		switch {
		case m.Item != "":
			item := []modelElement{{Name: m.Item, Many: true, Members: m.Members}}
			checkModel(t, child, item, full)
		default:
			checkModel(t, child, m.Members, full)
		}
	}
	for _, m := range members {
		switch n := counts[m.Name]; {
		case n == 0 && (m.Required || full):
			t.Errorf("%s is missing in %s", m.Name, e.XMLName.Local)
		case n > 1 && !m.Many:
			t.Errorf("%d times %s in %s", n, m.Name, e.XMLName.Local)
		}
	}
}
