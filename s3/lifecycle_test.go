package s3_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/s3"
)

func lifecycleOf(inside string) []byte {
	return []byte(`<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + inside + "</LifecycleConfiguration>")
}

func decodeLifecycle(inside string) (*s3.LifecycleConfiguration, error) {
	known := func(c s3.StorageClass) bool { return c != "UNKNOWN" }
	return s3.DecodeLifecycle(lifecycleOf(inside), known, func() string { return "made" })
}

const (
	enabled   = "<Status>Enabled</Status>"
	anyFilter = "<Filter/>"
	oneDay    = "<Expiration><Days>1</Days></Expiration>"
)

func lifecycleMoves(kind, unit string, steps ...any) string {
	var b strings.Builder
	for i := 0; i < len(steps); i += 2 {
		fmt.Fprintf(&b, "<%s><%s>%v</%s><StorageClass>%v</StorageClass></%s>", kind, unit, steps[i], unit, steps[i+1], kind)
	}
	return b.String()
}

func TestLifecycleConfigurationsAreKept(t *testing.T) {
	tests := map[string]struct{ in, out string }{ // out is empty where it is in
		"prefix of old":  {in: "<Rule><ID>a</ID><Prefix>p/</Prefix>" + enabled + oneDay + "</Rule>"},
		"no id":          {in: "<Rule><Filter></Filter>" + enabled + oneDay + "</Rule>", out: "<Rule><ID>made</ID><Filter></Filter>" + enabled + oneDay + "</Rule>"},
		"prefix":         {in: "<Rule><ID>a</ID><Filter><Prefix> p&amp;</Prefix></Filter><Status>Disabled</Status>" + oneDay + "</Rule>"},
		"tag":            {in: "<Rule><ID>a</ID><Filter><Tag><Key>k</Key><Value></Value></Tag></Filter>" + enabled + oneDay + "</Rule>"},
		"size":           {in: "<Rule><ID>a</ID><Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>" + enabled + oneDay + "</Rule>"},
		"all conditions": {in: "<Rule><ID>a</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>" + enabled + oneDay + "</Rule>"},
		"conditions without And": {
			in:  "<Rule><ID>a</ID><Filter><Prefix>p/</Prefix><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>" + enabled + oneDay + "</Rule>",
			out: "<Rule><ID>a</ID><Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>" + enabled + oneDay + "</Rule>",
		},
		"date": {
			in:  "<Rule><ID>a</ID><Filter></Filter>" + enabled + "<Expiration><Date>2030-01-02T01:00:00+01:00</Date></Expiration></Rule>",
			out: "<Rule><ID>a</ID><Filter></Filter>" + enabled + "<Expiration><Date>2030-01-02T00:00:00.000Z</Date></Expiration></Rule>",
		},
		"marker": {in: "<Rule><ID>a</ID><Filter></Filter>" + enabled + "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>"},
		"everything": {in: "<Rule><ID>a</ID><Filter></Filter>" + enabled + lifecycleMoves("Transition", "Days", 30, "STANDARD_IA", 60, "GLACIER_IR") + "<Expiration><Days>90</Days></Expiration>" +
			lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 0, "COLD") +
			"<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions></NoncurrentVersionExpiration>" +
			"<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := decodeLifecycle(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.out
			if want == "" {
				want = tt.in
			}
			_, got, _ := strings.Cut(string(c.AppendXML(nil)), s3.Namespace+`">`)
			if diff := cmp.Diff(want+"</LifecycleConfiguration>", got); diff != "" {
				t.Error(diff)
			}
			c.Minimum = s3.TransitionMinimumVaries
			again, err := s3.ParseLifecycle(c.AppendStored(nil))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(c.AppendXML(nil)), string(again.AppendXML(nil))); diff != "" || again.Minimum != c.Minimum {
				t.Errorf("what is kept is another: %s %s", again.Minimum, diff)
			}
		})
	}
}

func TestLifecycleConfigurationsRefused(t *testing.T) {
	filtered := func(filter, actions string) string {
		return "<Rule><Filter>" + filter + "</Filter>" + enabled + actions + "</Rule>"
	}
	acts := func(actions string) string { return filtered("", actions) }
	tag := "<Tag><Key>k</Key><Value>v</Value></Tag>"
	abort := "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
	marker := "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
	noncurrent := func(days, newer string) string {
		return "<NoncurrentVersionExpiration>" + days + newer + "</NoncurrentVersionExpiration>"
	}
	newer := func(n int) string { return fmt.Sprintf("<NewerNoncurrentVersions>%d</NewerNoncurrentVersions>", n) }
	const days1 = "<NoncurrentDays>1</NoncurrentDays>"
	tests := map[string]struct {
		in   string
		want s3.Code
	}{
		"no rule":                     {"", s3.MalformedXML},
		"unknown element":             {"<Rule><Filter/>" + enabled + oneDay + "<Color>red</Color></Rule>", s3.MalformedXML},
		"what is kept only":           {"<TransitionDefaultMinimumObjectSize>varies_by_storage_class</TransitionDefaultMinimumObjectSize>" + acts(oneDay), s3.MalformedXML},
		"no status":                   {"<Rule><Filter/>" + oneDay + "</Rule>", s3.MalformedXML},
		"status in lower case":        {"<Rule><Filter/><Status>enabled</Status>" + oneDay + "</Rule>", s3.MalformedXML},
		"neither filter nor prefix":   {"<Rule>" + enabled + oneDay + "</Rule>", s3.MalformedXML},
		"filter and prefix":           {"<Rule><Filter/><Prefix/>" + enabled + oneDay + "</Rule>", s3.MalformedXML},
		"no action":                   {acts(""), s3.InvalidRequest},
		"two expirations":             {acts(oneDay + oneDay), s3.MalformedXML},
		"id too long":                 {"<Rule><ID>" + strings.Repeat("a", 256) + "</ID><Filter/>" + enabled + oneDay + "</Rule>", s3.InvalidArgument},
		"id twice":                    {strings.Repeat("<Rule><ID>a</ID><Filter/>"+enabled+oneDay+"</Rule>", 2), s3.InvalidArgument},
		"old and new forms":           {"<Rule><Prefix/>" + enabled + oneDay + "</Rule>" + acts(oneDay), s3.InvalidRequest},
		"new and old forms":           {acts(oneDay) + "<Rule><Prefix/>" + enabled + oneDay + "</Rule>", s3.InvalidRequest},
		"too many rules":              {strings.Repeat(acts(oneDay), s3.MaxLifecycleRules+1), s3.InvalidRequest},
		"days 0":                      {acts("<Expiration><Days>0</Days></Expiration>"), s3.InvalidArgument},
		"days below 0":                {acts("<Expiration><Days>-1</Days></Expiration>"), s3.InvalidArgument},
		"days of no number":           {acts("<Expiration><Days>one</Days></Expiration>"), s3.MalformedXML},
		"days without end":            {acts("<Expiration><Days>2147483648</Days></Expiration>"), s3.MalformedXML},
		"empty expiration":            {acts("<Expiration/>"), s3.MalformedXML},
		"days and date":               {acts("<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>"), s3.MalformedXML},
		"days and marker":             {acts("<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), s3.MalformedXML},
		"marker maybe":                {acts("<Expiration><ExpiredObjectDeleteMarker>maybe</ExpiredObjectDeleteMarker></Expiration>"), s3.MalformedXML},
		"no midnight":                 {acts("<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>"), s3.InvalidArgument},
		"no date":                     {acts("<Expiration><Date>20300101</Date></Expiration>"), s3.MalformedXML},
		"marker by tag":               {filtered(tag, marker), s3.InvalidRequest},
		"marker by size":              {filtered("<ObjectSizeLessThan>9</ObjectSizeLessThan>", marker), s3.InvalidRequest},
		"abort by tag":                {filtered(tag, abort), s3.InvalidRequest},
		"abort by size":               {filtered("<ObjectSizeLessThan>9</ObjectSizeLessThan>", abort), s3.InvalidRequest},
		"abort at once":               {acts(strings.Replace(abort, "1", "0", 1)), s3.InvalidArgument},
		"abort never":                 {acts("<AbortIncompleteMultipartUpload/>"), s3.MalformedXML},
		"tag twice":                   {filtered("<And>"+tag+tag+"</And>", oneDay), s3.InvalidRequest},
		"tag without key":             {filtered("<Tag><Key></Key><Value>v</Value></Tag>", oneDay), s3.InvalidTag},
		"And of one":                  {filtered("<And>"+tag+"</And>", oneDay), s3.MalformedXML},
		"two Ands":                    {filtered("<And>"+tag+"<Prefix/></And><And>"+tag+"<Prefix/></And>", oneDay), s3.MalformedXML},
		"prefixes without both":       {filtered("<Prefix>a</Prefix><And><Prefix>b</Prefix>"+tag+"</And>", oneDay), s3.MalformedXML},
		"prefix too long":             {filtered("<Prefix>"+strings.Repeat("a", 1025)+"</Prefix>", oneDay), s3.InvalidRequest},
		"no size between":             {filtered("<And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And>", oneDay), s3.InvalidRequest},
		"negative size":               {filtered("<ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan>", oneDay), s3.InvalidArgument},
		"noncurrent 0":                {acts(noncurrent("<NoncurrentDays>0</NoncurrentDays>", "")), s3.InvalidArgument},
		"noncurrent without days":     {acts(noncurrent("", newer(1))), s3.MalformedXML},
		"newer 0":                     {acts(noncurrent(days1, newer(0))), s3.InvalidArgument},
		"newer 101":                   {acts(noncurrent(days1, newer(101))), s3.InvalidArgument},
		"newer in the old form":       {"<Rule><Prefix/>" + enabled + noncurrent(days1, newer(1)) + "</Rule>", s3.InvalidRequest},
		"no such class":               {acts(lifecycleMoves("Transition", "Days", 1, "UNKNOWN")), s3.InvalidStorageClass},
		"no such noncurrent class":    {acts(lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 1, "UNKNOWN")), s3.InvalidStorageClass},
		"no class":                    {acts("<Transition><Days>1</Days></Transition>"), s3.MalformedXML},
		"no days":                     {acts("<Transition><StorageClass>COLD</StorageClass></Transition>"), s3.MalformedXML},
		"infrequent too soon":         {acts(lifecycleMoves("Transition", "Days", 29, "STANDARD_IA")), s3.InvalidArgument},
		"noncurrent infrequent soon":  {acts(lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 29, "ONEZONE_IA")), s3.InvalidArgument},
		"a class twice":               {acts(lifecycleMoves("Transition", "Days", 1, "COLD", 2, "COLD")), s3.InvalidRequest},
		"classes on one day":          {acts(lifecycleMoves("Transition", "Days", 1, "COLD", 1, "FROZEN")), s3.InvalidArgument},
		"up the classes":              {acts(lifecycleMoves("Transition", "Days", 1, "GLACIER", 2, "GLACIER_IR")), s3.InvalidArgument},
		"short rest in infrequent":    {acts(lifecycleMoves("Transition", "Days", 30, "STANDARD_IA", 59, "GLACIER_IR")), s3.InvalidArgument},
		"expiration before the move":  {acts(lifecycleMoves("Transition", "Days", 1, "COLD") + oneDay), s3.InvalidArgument},
		"noncurrent before the move":  {acts(lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 1, "COLD") + noncurrent(days1, "")), s3.InvalidArgument},
		"days and a date of moves":    {acts(lifecycleMoves("Transition", "Days", 1, "COLD") + lifecycleMoves("Transition", "Date", "2030-01-01", "FROZEN")), s3.InvalidRequest},
		"days and a date":             {acts(lifecycleMoves("Transition", "Date", "2030-01-01", "FROZEN") + oneDay), s3.InvalidRequest},
		"dates up the classes":        {acts(lifecycleMoves("Transition", "Date", "2030-01-01", "GLACIER", "2030-01-02", "STANDARD_IA")), s3.InvalidArgument},
		"date of expiration too soon": {acts(lifecycleMoves("Transition", "Date", "2030-01-01", "COLD") + "<Expiration><Date>2030-01-01</Date></Expiration>"), s3.InvalidArgument},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := decodeLifecycle(tt.in)
			if got := s3.CodeOf(err); got != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	if _, err := s3.ParseTransitionMinimum("1"); s3.CodeOf(err) != s3.InvalidArgument {
		t.Errorf("a minimum of another name: %v", err)
	}
}

// TestLifecycleConfigurationOfManyRules: a thousand rules with long texts fit into a row.
func TestLifecycleConfigurationOfManyRules(t *testing.T) {
	var b strings.Builder
	for i := range s3.MaxLifecycleRules {
		fmt.Fprintf(&b, "<Rule><ID>rule-of-team-%d</ID><Filter><Prefix>teams/%d/artifacts/of/a/deep/tree/</Prefix></Filter>%s%s%s</Rule>", i, i, enabled, oneDay,
			lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 0, "COLD"))
	}
	c, err := decodeLifecycle(b.String())
	if err != nil {
		t.Fatal(err)
	}
	stored := c.AppendStored(nil)
	if len(stored) > 80_000 {
		t.Errorf("%d rules are %d bytes", len(c.Rules), len(stored))
	}
	again, err := s3.ParseLifecycle(stored)
	if err != nil || len(again.Rules) != len(c.Rules) {
		t.Fatalf("%v", err)
	}
	if _, err := s3.ParseLifecycle(stored[:len(stored)/2]); err == nil {
		t.Error("half of it reads")
	}
}

// TestLifecycleConfigurationThatGrows: what is kept may be longer than what was sent, for it is
// escaped, and is read all the same.
func TestLifecycleConfigurationThatGrows(t *testing.T) {
	prefix, tag := strings.Repeat("\"", 880), "<Tag><Key>k</Key><Value></Value></Tag>"
	var b strings.Builder
	for range s3.MaxLifecycleRules {
		b.WriteString("<Rule><Filter><And><Prefix>" + prefix + "</Prefix>" + tag + "</And></Filter>" + enabled + oneDay + "</Rule>")
	}
	if body := lifecycleOf(b.String()); len(body) > s3.MaxLifecycleBody {
		t.Fatalf("%d bytes are too many to be sent", len(body))
	}
	c, err := decodeLifecycle(b.String())
	if err != nil {
		t.Fatal(err)
	}
	again, err := s3.ParseLifecycle(c.AppendStored(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Rules) != len(c.Rules) || again.Rules[999].Filter.Prefix != prefix {
		t.Errorf("%d rules of %d", len(again.Rules), len(c.Rules))
	}
}

func FuzzDecodeLifecycle(f *testing.F) {
	f.Add(lifecycleOf("<Rule><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>" + enabled + oneDay + "</Rule>"))
	f.Add(lifecycleOf("<Rule><ID>a</ID><Prefix>p</Prefix>" + enabled + lifecycleMoves("Transition", "Date", "2030-01-01", "COLD") + "</Rule>"))
	f.Add(lifecycleOf("<Rule><Filter/>" + enabled + lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 3, "COLD") + "</Rule>"))
	f.Add(lifecycleOf("<Rule><Filter/>" + enabled + lifecycleMoves("NoncurrentVersionTransition", "NoncurrentDays", 0, "") + "</Rule>"))
	f.Add(lifecycleOf("<Rule><Filter/>" + enabled + lifecycleMoves("Transition", "Days", 0, " ") + "</Rule>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		all := func(s3.StorageClass) bool { return true }
		made := 0
		c, err := s3.DecodeLifecycle(body, all, func() string { made++; return fmt.Sprint("this one was made ", made) })
		if err != nil {
			if _, ok := errors.AsType[*s3.Error](err); !ok {
				t.Fatalf("not an error of S3: %v", err)
			}
			return
		}
		shown := c.AppendXML(nil)
		again, err := s3.DecodeLifecycle(shown, all, func() string { return "other" })
		if err != nil {
			t.Fatalf("what is shown is refused: %v\n%s", err, shown)
		}
		if diff := cmp.Diff(string(shown), string(again.AppendXML(nil))); diff != "" {
			t.Fatal(diff)
		}
	})
}
