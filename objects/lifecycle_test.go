package objects

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

func anyClass(s3.StorageClass) bool { return true }

// rulesOf parses the inside of a configuration.
func rulesOf(tb testing.TB, inside string) *Lifecycle {
	tb.Helper()
	n := 0
	c, err := s3.DecodeLifecycle([]byte("<LifecycleConfiguration>"+inside+"</LifecycleConfiguration>"), anyClass, func() string {
		n++
		return fmt.Sprint("id", n)
	})
	if err != nil {
		tb.Fatalf("%s: %v", inside, err)
	}
	l, err := ParseLifecycle(c.AppendStored(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func rule(filter, actions string) string {
	return "<Rule><Filter>" + filter + "</Filter><Status>Enabled</Status>" + actions + "</Rule>"
}

const (
	days3   = "<Expiration><Days>3</Days></Expiration>"
	markers = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
	old5    = "<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays></NoncurrentVersionExpiration>"
	old5or2 = "<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
)

func moveTo(class string, days int) string {
	return fmt.Sprintf("<Transition><Days>%d</Days><StorageClass>%s</StorageClass></Transition>", days, class)
}

func oldMoveTo(class string, days int) string {
	return fmt.Sprintf("<NoncurrentVersionTransition><NoncurrentDays>%d</NoncurrentDays><StorageClass>%s</StorageClass></NoncurrentVersionTransition>", days, class)
}

func moveFrom(class, date string) string {
	return fmt.Sprintf("<Transition><Date>%s</Date><StorageClass>%s</StorageClass></Transition>", date, class)
}

func TestLifecycleDecides(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	at := func(day int) int64 { return time.Date(2026, 3, day, 15, 0, 0, 0, time.UTC).UnixMilli() }
	live := candidate{key: []byte("logs/a"), size: 1000, class: "STANDARD", latest: true, created: at(1)}
	with := func(v candidate, change func(*candidate)) candidate { change(&v); return v }
	aged := func(day int) candidate { return with(live, func(v *candidate) { v.created = at(day) }) }
	old := with(live, func(v *candidate) { v.latest, v.since = false, at(1) })
	marker := with(live, func(v *candidate) { v.marker, v.alone, v.size = true, true, 0 })
	red := []Pair{{Name: "color", Value: "red"}, {Name: "size", Value: "s"}}
	const prefix = "<Prefix>logs/</Prefix>"
	tests := map[string]struct {
		rules string
		v     candidate
		want  string // "" keeps
	}{
		"old enough":                           {rule(prefix, days3), aged(6), "expire"},
		"old enough at the next midnight only": {rule(prefix, days3), aged(7), ""},
		"another prefix":                       {rule("<Prefix>other/</Prefix>", days3), live, ""},
		"no filter":                            {rule("", days3), live, "expire"},
		"disabled":                             {strings.Replace(rule(prefix, days3), "Enabled", "Disabled", 1), live, ""},
		"date past":                            {rule("", "<Expiration><Date>2026-03-10</Date></Expiration>"), aged(10), "expire"},
		"date to come":                         {rule("", "<Expiration><Date>2026-03-11</Date></Expiration>"), live, ""},
		"tag":                                  {rule("<Tag><Key>color</Key><Value>red</Value></Tag>", days3), with(live, func(v *candidate) { v.tags = red }), "expire"},
		"tag of another value":                 {rule("<Tag><Key>color</Key><Value>blue</Value></Tag>", days3), with(live, func(v *candidate) { v.tags = red }), ""},
		"all tags":                             {rule("<And><Tag><Key>color</Key><Value>red</Value></Tag><Tag><Key>size</Key><Value>s</Value></Tag></And>", days3), with(live, func(v *candidate) { v.tags = red }), "expire"},
		"not all tags":                         {rule("<And><Tag><Key>color</Key><Value>red</Value></Tag><Tag><Key>size</Key><Value>l</Value></Tag></And>", days3), with(live, func(v *candidate) { v.tags = red }), ""},
		"larger":                               {rule("<ObjectSizeGreaterThan>999</ObjectSizeGreaterThan>", days3), live, "expire"},
		"not larger":                           {rule("<ObjectSizeGreaterThan>1000</ObjectSizeGreaterThan>", days3), live, ""},
		"smaller":                              {rule("<ObjectSizeLessThan>1001</ObjectSizeLessThan>", days3), live, "expire"},
		"not smaller":                          {rule("<ObjectSizeLessThan>1000</ObjectSizeLessThan>", days3), live, ""},
		"several without And":                  {rule(prefix+"<ObjectSizeLessThan>1000</ObjectSizeLessThan>", days3), live, ""},
		"noncurrent":                           {rule("", old5), old, "noncurrent"},
		"noncurrent not long enough":           {rule("", old5), with(old, func(v *candidate) { v.since = at(5) }), ""},
		"noncurrent and current rules differ":  {rule("", old5), live, ""},
		"current rules leave noncurrent":       {rule("", days3), old, ""},
		"noncurrent delete marker":             {rule("", old5), with(old, func(v *candidate) { v.marker = true }), "noncurrent"},
		"noncurrent delete marker has no tags": {rule("<Tag><Key>a</Key><Value>b</Value></Tag>", old5), with(old, func(v *candidate) { v.marker = true }), ""},
		"kept by number":                       {rule("", old5or2), with(old, func(v *candidate) { v.newer = 1 }), ""},
		"beyond the number":                    {rule("", old5or2), with(old, func(v *candidate) { v.newer = 2 }), "noncurrent"},
		"marker alone":                         {rule("", markers), marker, "marker"},
		"marker with versions below":           {rule("", markers), with(marker, func(v *candidate) { v.alone = false }), ""},
		"marker alone by days":                 {rule("", days3), marker, "marker"},
		"marker alone too young":               {rule("", days3), with(marker, func(v *candidate) { v.created = at(8) }), ""},
		"marker of a tag rule":                 {rule("<Tag><Key>a</Key><Value>b</Value></Tag>", days3), marker, ""},
		"a live version is no marker":          {rule("", markers), live, ""},
		"move":                                 {rule("", moveTo("COLD", 2)), live, "move COLD"},
		"move on the day after":                {rule("", moveTo("COLD", 0)), aged(10), ""},
		"move at once":                         {rule("", moveTo("COLD", 0)), aged(9), "move COLD"},
		"moved already":                        {rule("", moveTo("COLD", 2)), with(live, func(v *candidate) { v.class = "COLD" }), ""},
		"the later move":                       {rule("", moveTo("COLD", 2)+moveTo("FROZEN", 7)), live, "move FROZEN"},
		"not yet the later move":               {rule("", moveTo("COLD", 2)+moveTo("FROZEN", 7)), aged(5), "move COLD"},
		"the move of the later date":           {rule("", moveFrom("COLD", "2026-03-05")+moveFrom("FROZEN", "2026-03-09")), live, "move FROZEN"},
		"the move of the later date, reversed": {rule("", moveFrom("FROZEN", "2026-03-05")+moveFrom("COLD", "2026-03-09")), live, "move COLD"},
		"not yet that of the later date":       {rule("", moveFrom("COLD", "2026-03-05")+moveFrom("FROZEN", "2026-03-11")), live, "move COLD"},
		"no way back by date":                  {rule("", moveFrom("COLD", "2026-03-05")+moveFrom("FROZEN", "2026-03-09")), with(live, func(v *candidate) { v.class = "FROZEN" }), ""},
		"days that end after a date":           {rule("", moveFrom("COLD", "2026-03-02")) + rule("", moveTo("FROZEN", 5)), live, "move FROZEN"},
		"days that end before a date":          {rule("", moveFrom("FROZEN", "2026-03-09")) + rule("", moveTo("COLD", 5)), live, "move FROZEN"},
		"no way back":                          {rule("", moveTo("COLD", 2)+moveTo("FROZEN", 7)), with(live, func(v *candidate) { v.class = "FROZEN" }), ""},
		"no way up AWS's classes":              {rule("", moveTo("GLACIER", 2)), with(live, func(v *candidate) { v.class, v.size = "DEEP_ARCHIVE", 1<<20 }), ""},
		"AWS's lowest class":                   {rule("", moveTo("GLACIER", 5)) + rule("", moveTo("DEEP_ARCHIVE", 2)), with(live, func(v *candidate) { v.size = 1 << 20 }), "move DEEP_ARCHIVE"},
		"too small for AWS's classes":          {rule("", moveTo("GLACIER", 2)), live, ""},
		"sizes set by the rule":                {rule("<ObjectSizeGreaterThan>10</ObjectSizeGreaterThan>", moveTo("GLACIER", 2)), live, "move GLACIER"},
		"noncurrent move":                      {rule("", oldMoveTo("COLD", 2)), old, "move COLD"},
		"a noncurrent marker does not move":    {rule("", oldMoveTo("COLD", 2)), with(old, func(v *candidate) { v.marker = true }), ""},
		"deleted rather than moved":            {rule("", old5) + rule("", oldMoveTo("COLD", 2)), old, "noncurrent"},
		"moved rather than hidden":             {rule("", days3) + rule("", moveTo("COLD", 2)), live, "move COLD"},
		"moved, then hidden":                   {rule("", days3) + rule("", moveTo("COLD", 2)), with(live, func(v *candidate) { v.class = "COLD" }), "expire"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.v.tags = append([]Pair{}, tt.v.tags...)
			got := rulesOf(t, tt.rules).at(LifecycleClock{Now: now}, true).decide(&tt.v)
			if text := verdictText(got); text != tt.want {
				t.Errorf("%q, want %q", text, tt.want)
			}
		})
	}
}

func TestLifecycleUnversionedIsDeletedRatherThanMoved(t *testing.T) {
	l := rulesOf(t, rule("", days3)+rule("", moveTo("COLD", 1)))
	v := candidate{key: []byte("a"), latest: true, class: "STANDARD"}
	now := LifecycleClock{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got := l.at(now, false).decide(&v); got.kind != lifecycleExpire {
		t.Errorf("%s", verdictText(got))
	}
}

func verdictText(v verdict) string {
	switch v.kind {
	case lifecycleExpire:
		return "expire"
	case lifecycleNoncurrent:
		return "noncurrent"
	case lifecycleMarker:
		return "marker"
	case lifecycleMove:
		return "move " + string(v.class)
	case lifecycleKeep:
	}
	return ""
}

// TestLifecycleDays holds the clock against dates that are counted out: a day has no
// summer time, and what ends at a midnight ends at the next one.
func TestLifecycleDays(t *testing.T) {
	parse := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct {
		begun string
		days  int
		due   string
	}{
		{"2014-01-15T10:30:00Z", 3, "2014-01-19T00:00:00Z"}, // the example of S3's documentation
		{"2014-01-15T00:00:00Z", 1, "2014-01-17T00:00:00Z"},
		{"2014-01-14T23:59:59Z", 1, "2014-01-16T00:00:00Z"},
		{"2024-02-28T12:00:00Z", 1, "2024-03-01T00:00:00Z"},
		{"1969-12-31T12:00:00Z", 0, "1970-01-01T00:00:00Z"},
		{"2026-01-01T00:00:00.001Z", 0, "2026-01-02T00:00:00Z"},
	} {
		begun, due := parse(tt.begun), parse(tt.due)
		if got := midnightAfter(begun, tt.days); !got.Equal(due) {
			t.Errorf("%s and %d days: %s, want %s", tt.begun, tt.days, got, due)
		}
		for _, now := range []time.Time{due.Add(-time.Millisecond), due, due.Add(time.Hour)} {
			is := begun.UnixMilli() < LifecycleClock{Now: now}.before(tt.days)
			if is == now.Before(due) {
				t.Errorf("%s and %d days at %s: due is %t", tt.begun, tt.days, now, is)
			}
		}
	}
	c := LifecycleClock{Now: time.UnixMilli(100_000), Day: 10 * time.Second}
	if got := c.before(3); got != 70_001 {
		t.Errorf("three short days ago is before %d", got)
	}
}

func TestLifecycleTellsClients(t *testing.T) {
	l := rulesOf(t, `<Rule><ID>a b</ID><Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>`+
		`<Rule><ID>soon</ID><Filter><Prefix>ab</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>`+
		`<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
	begun := time.Date(2026, 5, 1, 13, 0, 0, 0, time.UTC)
	for key, want := range map[s3.Key]string{"a": "a b 2026-06-01", "ab": "soon 2026-05-03", "c": " 0001-01-01"} {
		at, id := l.Expiry(&Object{Key: key, Modified: begun})
		if got := id + " " + at.Format(time.DateOnly); got != want {
			t.Errorf("%s expires %q, want %q", key, got, want)
		}
	}
	if at, id := l.Abort("abc", begun); id != "soon" || !at.Equal(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("abort by %q at %s", id, at)
	}
	if at, _ := l.Abort("a", begun); !at.IsZero() {
		t.Errorf("abort of an upload that no rule is about at %s", at)
	}
	var none *Lifecycle
	if at, _ := none.Expiry(&Object{Key: "a", Modified: begun}); !at.IsZero() {
		t.Error("expires without rules")
	}
}

func TestLifecyclePrefixes(t *testing.T) {
	l := rulesOf(t, rule("<Prefix>b/c</Prefix>", days3)+rule("<Prefix>a</Prefix>", days3)+rule("<Prefix>b/</Prefix>", old5)+rule("<Prefix>a</Prefix>", old5))
	if got := strings.Join(l.prefixes(), " "); got != "a b/" {
		t.Errorf("prefixes %q", got)
	}
	if got := rulesOf(t, rule("", days3)+rule("<Prefix>a</Prefix>", days3)).prefixes(); len(got) != 1 || got[0] != "" {
		t.Errorf("prefixes %q", got)
	}
}

// model decides as the documentation says it, rule by rule and day by day.
func model(c *s3.LifecycleConfiguration, v *candidate, now time.Time) map[string]bool {
	wants := map[string]bool{}
	due := func(begun int64, days int) bool { return !midnightAfter(time.UnixMilli(begun), days).After(now) }
	for i := range c.Rules {
		r := &c.Rules[i]
		if !r.Enabled || !bytes.HasPrefix(v.key, []byte(r.Filter.Prefix)) {
			continue
		}
		tagged := true
		for _, tag := range r.Filter.Tags {
			found := false
			for _, p := range v.tags {
				found = found || p.Name == tag.Key && p.Value == tag.Value
			}
			tagged = tagged && found
		}
		if !tagged || v.marker && len(r.Filter.Tags) > 0 {
			continue
		}
		switch e, n := r.Expiration, r.NoncurrentExpiration; {
		case v.latest && v.marker:
			if e != nil && v.alone && (e.DeleteMarker || e.Days > 0 && due(v.created, e.Days)) {
				wants["marker"] = true
			}
		case v.latest:
			if e != nil && e.Days > 0 && due(v.created, e.Days) {
				wants["expire"] = true
			}
			for _, m := range r.Transitions {
				if due(v.created, m.Days) {
					wants["move "+string(m.Class)] = true
				}
			}
		default:
			if n != nil && due(v.since, n.Days) && v.newer >= n.Newer {
				wants["noncurrent"] = true
			}
			for _, m := range r.NoncurrentTransitions {
				if !v.marker && due(v.since, m.Days) {
					wants["move "+string(m.Class)] = true
				}
			}
		}
	}
	return wants
}

// TestLifecycleModel: what is decided is wanted by a rule, and nothing wanted for good is passed over.
func TestLifecycleModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	one := func(options ...string) string { return options[rnd.IntN(len(options))] }
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	acted := 0
	for range 3000 {
		var text string
		for range 1 + rnd.IntN(4) {
			n := 1 + rnd.IntN(5)
			text += rule(one("", "<Prefix>a</Prefix>", "<Prefix>a/b</Prefix>", "<Tag><Key>k</Key><Value>v</Value></Tag>"), one(
				fmt.Sprintf("<Expiration><Days>%d</Days></Expiration>", n), moveTo(one("X", "Y"), n), oldMoveTo(one("X", "Y"), n),
				fmt.Sprintf("<NoncurrentVersionExpiration><NoncurrentDays>%d</NoncurrentDays><NewerNoncurrentVersions>%d</NewerNoncurrentVersions></NoncurrentVersionExpiration>", n, n)))
		}
		l := rulesOf(t, text)
		c := &s3.LifecycleConfiguration{Rules: l.rules}
		v := candidate{
			key: []byte(one("a", "a/b/c", "b")), latest: rnd.IntN(2) == 0, marker: rnd.IntN(4) == 0, alone: rnd.IntN(2) == 0, newer: rnd.IntN(6),
			class: s3.StorageClass(one("STANDARD", "X", "Y")), created: now.UnixMilli() - rnd.Int64N(7*dayMillis), since: now.UnixMilli() - rnd.Int64N(7*dayMillis),
		}
		if rnd.IntN(2) == 0 && !v.marker {
			v.tags = []Pair{{Name: "k", Value: "v"}}
		}
		versioned := rnd.IntN(2) == 0
		got, wants := verdictText(l.at(LifecycleClock{Now: now}, versioned).decide(&v)), model(c, &v, now)
		switch {
		case got != "" && !wants[got]:
			t.Fatalf("%s: %+v: %q, the model has %v", text, v, got, wants)
		case got == "move "+string(v.class):
			t.Fatalf("%s: %+v moves to where it is", text, v)
		case got != "noncurrent" && wants["noncurrent"], got != "marker" && wants["marker"], got != "expire" && wants["expire"] && !versioned:
			t.Fatalf("%s: %+v: %q, and the model has %v", text, v, got, wants)
		case got == "":
			delete(wants, "move "+string(v.class))
			delete(wants, "move X") // there may be a later move to where it is
			delete(wants, "move Y")
			if len(wants) > 0 {
				t.Fatalf("%s: %+v is kept, the model has %v", text, v, wants)
			}
		default:
			acted++
		}
	}
	if acted < 500 {
		t.Errorf("only %d of 3000 did anything", acted)
	}
}

func FuzzLifecycle(f *testing.F) {
	f.Add([]byte("<LifecycleConfiguration>"+rule("<Prefix>a</Prefix>", days3+old5or2)+"</LifecycleConfiguration>"), []byte("a"), int64(5), int64(1), true)
	f.Add([]byte("<LifecycleConfiguration>"+rule("<And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And>", moveTo("COLD", 3))+"</LifecycleConfiguration>"), []byte("ab"), int64(1), int64(1<<40), false)
	f.Fuzz(func(t *testing.T, body, key []byte, created, now int64, latest bool) {
		c, err := s3.DecodeLifecycle(body, anyClass, func() string { return "new" })
		if err != nil {
			return
		}
		l, err := ParseLifecycle(c.AppendStored(nil))
		if err != nil {
			t.Fatalf("what was accepted is not read: %v", err)
		}
		v := candidate{key: key, created: created, since: created, latest: latest, class: "STANDARD"}
		clock := LifecycleClock{Now: time.UnixMilli(now % (1 << 50))}
		if got := l.at(clock, true).decide(&v); got.kind != lifecycleKeep && len(l.rules) == 0 {
			t.Errorf("no rule says %s", verdictText(got))
		}
		l.Expiry(&Object{Key: s3.Key(key), Modified: time.UnixMilli(created % (1 << 50))})
	})
}

func BenchmarkLifecycleDecide(b *testing.B) {
	j := rulesOf(b, rule("<Prefix>logs/</Prefix>", days3)+rule("<Prefix>data/</Prefix>", moveTo("COLD", 400))).
		at(LifecycleClock{Now: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)}, true)
	v := candidate{key: []byte("data/some/long/key/of/an/object"), size: 1000, class: "STANDARD", latest: true, created: 1_770_000_000_000}
	for b.Loop() {
		if j.decide(&v).kind != lifecycleKeep {
			b.Fatal("not kept")
		}
	}
}
