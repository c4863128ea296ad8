package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestExportMetadata(t *testing.T) {
	var failure error
	s := httptest.NewServer(NewHandler(Options{Tokens: []string{"token"}, ExportMetadata: func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "rows")
		return errors.Join(err, failure)
	}}))
	defer s.Close()
	c, err := NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.WithToken("other").ExportMetadata(t.Context(), &out); !errors.Is(err, ErrRefused) || out.Len() != 0 {
		t.Errorf("without the right: %v, %q", err, out.String())
	}
	c = c.WithToken("token")
	if err := c.ExportMetadata(t.Context(), &out); err != nil || out.String() != "rows" {
		t.Errorf("%v, %q", err, out.String())
	}
	failure = errors.New("the engine\nis gone")
	if err := c.ExportMetadata(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "the engine is gone") {
		t.Errorf("%v", err)
	}
}
