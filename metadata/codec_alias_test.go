package metadata

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRecordsAreTheirOwn: an iterator's value is gone with its next step, so
// nothing that is decoded from one may be a part of it.
func TestRecordsAreTheirOwn(t *testing.T) {
	for _, c := range codecCases() {
		t.Run(c.name, func(t *testing.T) {
			value := bytes.Clone(c.value)
			got, err := c.decode(value)
			if err != nil {
				t.Fatal(err)
			}
			for i := range value {
				value[i] ^= 0xff
			}
			if diff := cmp.Diff(c.record, got, cmp.AllowUnexported(cluster{})); diff != "" {
				t.Errorf("after the value has gone (-want +got):\n%s", diff)
			}
		})
	}
}
