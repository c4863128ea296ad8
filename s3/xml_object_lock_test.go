package s3_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

func TestDecodeObjectLock(t *testing.T) {
	wrap := func(inside string) string {
		return "<ObjectLockConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>" + inside + "</ObjectLockConfiguration>"
	}
	rule := func(retention string) string {
		return wrap("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + retention + "</DefaultRetention></Rule>")
	}
	for _, c := range []struct {
		body string
		want s3.DefaultRetention
		code s3.Code
	}{
		{wrap("<ObjectLockEnabled>Enabled</ObjectLockEnabled>"), s3.DefaultRetention{}, ""},
		{rule("<Mode>GOVERNANCE</Mode><Days>36500</Days>"), s3.DefaultRetention{Mode: s3.RetentionGovernance, Days: 36500}, ""},
		{rule("<Years>100</Years><Mode>COMPLIANCE</Mode>"), s3.DefaultRetention{Mode: s3.RetentionCompliance, Years: 100}, ""},
		{rule("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), s3.DefaultRetention{}, s3.InvalidArgument},
		{rule("<Mode>GOVERNANCE</Mode><Years>101</Years>"), s3.DefaultRetention{}, s3.InvalidArgument},
		{rule("<Mode>GOVERNANCE</Mode><Days>0</Days>"), s3.DefaultRetention{}, s3.InvalidRetentionPeriod},
		{rule("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), s3.DefaultRetention{}, s3.InvalidRetentionPeriod},
		{rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<Mode>GOVERNANCE</Mode>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<Mode>governance</Mode><Days>1</Days>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<Mode>GOVERNANCE</Mode><Days>x</Days>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<Days>1</Days>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<Mode>COMPLIANCE</Mode><Mode>GOVERNANCE</Mode><Days>1</Days>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<Mode>GOVERNANCE</Mode><Days>9</Days><Days>1</Days>"), s3.DefaultRetention{}, s3.MalformedXML},
		{rule(""), s3.DefaultRetention{}, s3.MalformedXML},
		{rule("<DefaultEventHold><Days>1</Days></DefaultEventHold>"), s3.DefaultRetention{}, s3.NotImplemented},
		{wrap("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>"), s3.DefaultRetention{}, s3.MalformedXML},
		{wrap("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"), s3.DefaultRetention{}, s3.MalformedXML},
		{wrap(""), s3.DefaultRetention{}, s3.MalformedXML},
		{"", s3.DefaultRetention{}, s3.MalformedXML},
	} {
		got, err := s3.DecodeObjectLock([]byte(c.body))
		if s3.CodeOf(err) != c.code || err == nil && got != c.want {
			t.Errorf("%s: %+v, %v, want %+v %s", c.body, got, err, c.want, c.code)
		}
		if err != nil {
			continue
		}
		again, err := s3.DecodeObjectLock(s3.AppendObjectLock(nil, got))
		if err != nil || again != got {
			t.Errorf("%+v comes back as %+v, %v", got, again, err)
		}
	}
}

func TestDecodeRetention(t *testing.T) {
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		inside string
		want   s3.Retention
		code   s3.Code
	}{
		{"<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-02T03:04:05Z</RetainUntilDate>", s3.Retention{Mode: s3.RetentionGovernance, Until: until}, ""},
		{"<Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-02T04:04:05.000999+01:00</RetainUntilDate>", s3.Retention{Mode: s3.RetentionCompliance, Until: until}, ""},
		{"", s3.Retention{}, ""},
		{"<Mode>GOVERNANCE</Mode>", s3.Retention{}, s3.MalformedXML},
		{"<RetainUntilDate>2030-01-02T03:04:05Z</RetainUntilDate>", s3.Retention{}, s3.MalformedXML},
		{"<Mode>abc</Mode><RetainUntilDate>2030-01-02T03:04:05Z</RetainUntilDate>", s3.Retention{}, s3.MalformedXML},
		{"<Mode>GOVERNANCE</Mode><RetainUntilDate>tomorrow</RetainUntilDate>", s3.Retention{}, s3.MalformedXML},
		{"<EventHold>ON</EventHold>", s3.Retention{}, s3.NotImplemented},
		{"<Hold/>", s3.Retention{}, s3.MalformedXML},
		{"<Mode>COMPLIANCE</Mode><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-02T03:04:05Z</RetainUntilDate>", s3.Retention{}, s3.MalformedXML},
		{"<Mode>GOVERNANCE</Mode><RetainUntilDate>2040-01-02T03:04:05Z</RetainUntilDate><RetainUntilDate>2030-01-02T03:04:05Z</RetainUntilDate>", s3.Retention{}, s3.MalformedXML},
	} {
		got, err := s3.DecodeRetention([]byte("<Retention>" + c.inside + "</Retention>"))
		if s3.CodeOf(err) != c.code || err == nil && got != c.want {
			t.Errorf("%s: %+v, %v, want %+v %s", c.inside, got, err, c.want, c.code)
		}
		if err == nil && got.Mode != "" {
			if again, err := s3.DecodeRetention(s3.AppendRetention(nil, got)); err != nil || again != got {
				t.Errorf("%+v comes back as %+v, %v", got, again, err)
			}
		}
	}
}

func TestDecodeLegalHold(t *testing.T) {
	for status, code := range map[string]s3.Code{"ON": "", "OFF": "", "on": s3.MalformedXML, "": s3.MalformedXML} {
		got, err := s3.DecodeLegalHold(s3.AppendLegalHold(nil, s3.LegalHoldStatus(status)))
		if s3.CodeOf(err) != code || err == nil && string(got) != status {
			t.Errorf("%q: %q, %v", status, got, err)
		}
	}
	if got, err := s3.DecodeLegalHold([]byte("<LegalHold><Status>ON</Status><Status>OFF</Status></LegalHold>")); s3.CodeOf(err) != s3.MalformedXML {
		t.Errorf("on and off: %q, %v", got, err)
	}
}

func TestParseRetention(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		mode, until string
		bad         string // the argument that is refused
	}{
		{"", "", ""},
		{"GOVERNANCE", "2026-01-01T00:00:01Z", ""},
		{"COMPLIANCE", "20300101T000000Z", ""},
		{"GOVERNANCE", "", "x-amz-object-lock-retain-until-date"},
		{"", "2030-01-01T00:00:00Z", "x-amz-object-lock-mode"},
		{"governance", "2030-01-01T00:00:00Z", "x-amz-object-lock-mode"},
		{"GOVERNANCE", "abc", "x-amz-object-lock-retain-until-date"},
		{"GOVERNANCE", "2026-01-01T00:00:00Z", "x-amz-object-lock-retain-until-date"},
		{"GOVERNANCE", "9999-12-31T23:59:59-01:00", "x-amz-object-lock-retain-until-date"},
	} {
		got, err := s3.ParseRetention(c.mode, c.until, now)
		if (err == nil) != (c.bad == "") || err == nil && string(got.Mode) != c.mode {
			t.Errorf("%q %q: %+v, %v", c.mode, c.until, got, err)
		}
		if err != nil && s3.CodeOf(err) != s3.InvalidArgument {
			t.Errorf("%q %q: %v", c.mode, c.until, err)
		}
	}
}
