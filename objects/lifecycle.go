package objects

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

// Lifecycle is what the rules of a bucket that are enabled make of its versions and
// uploads. It decides and does nothing; it never changes.
type Lifecycle struct {
	rules   []s3.LifecycleRule
	minimum s3.TransitionMinimum
	fields  metadata.LifecycleFields // that the rules look at
	newer   int                      // the most noncurrent versions that a rule keeps
	aborts  bool                     // a rule aborts uploads
}

// ParseLifecycle reads the document of a bucket's ConfigLifecycle.
func ParseLifecycle(doc []byte) (*Lifecycle, error) {
	c, err := s3.ParseLifecycle(doc)
	if err != nil {
		return nil, err
	}
	l := &Lifecycle{minimum: c.Minimum}
	for i := range c.Rules {
		if c.Rules[i].Enabled {
			l.add(&c.Rules[i])
		}
	}
	return l, nil
}

func (l *Lifecycle) add(r *s3.LifecycleRule) {
	l.rules = append(l.rules, *r)
	l.aborts = l.aborts || r.AbortDays > 0
	if len(r.Transitions)+len(r.NoncurrentTransitions) > 0 {
		l.fields = max(l.fields, metadata.LifecycleClasses)
	}
	if len(r.Filter.Tags) > 0 {
		l.fields = max(l.fields, metadata.LifecycleTags)
	}
	if r.NoncurrentExpiration != nil {
		l.newer = max(l.newer, r.NoncurrentExpiration.Newer)
	}
	for i := range r.NoncurrentTransitions {
		l.newer = max(l.newer, r.NoncurrentTransitions[i].Newer)
	}
}

// prefixes are those under which a rule may find something, in order; none starts with another.
func (l *Lifecycle) prefixes() []string {
	var all []string
	for i := range l.rules {
		all = append(all, l.rules[i].Filter.Prefix)
	}
	slices.Sort(all)
	var out []string
	for _, p := range all {
		if len(out) == 0 || !strings.HasPrefix(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// LifecycleClock tells when something is so many days old. S3 adds the days to when
// it began, and rounds up to the next midnight of UTC.
type LifecycleClock struct {
	Now time.Time
	// Day is how long a day is that is not rounded up, for tests; 0: a day of S3.
	Day time.Duration
}

// before is the time in milliseconds before which began what is so many days old.
func (c LifecycleClock) before(days int) int64 {
	if c.Day > 0 {
		return c.Now.UnixMilli() - c.long(days) + 1
	}
	return (floorDay(c.Now.UnixMilli()) - int64(days)) * dayMillis
}

// long is how many milliseconds so many days are.
func (c LifecycleClock) long(days int) int64 {
	if c.Day > 0 {
		return int64(days) * c.Day.Milliseconds()
	}
	return int64(days) * dayMillis
}

// since is before for a date: everything, or nothing.
func (c LifecycleClock) since(date time.Time) int64 {
	if c.Now.Before(date) {
		return math.MinInt64
	}
	return math.MaxInt64
}

func floorDay(millis int64) int64 {
	day := millis / dayMillis
	if millis%dayMillis < 0 {
		day--
	}
	return day
}

// midnightAfter is when something that began at a time is so many days old.
func midnightAfter(begun time.Time, days int) time.Time {
	return time.UnixMilli((floorDay(begun.UnixMilli()) + int64(days) + 1) * dayMillis).UTC()
}

// lifecycleKind is what becomes of something.
type lifecycleKind uint8

const (
	lifecycleKeep       lifecycleKind = iota
	lifecycleExpire                   // a current version
	lifecycleNoncurrent               // a noncurrent version or delete marker is deleted
	lifecycleMarker                   // a delete marker is deleted that is alone
	lifecycleMove                     // to another class
)

// verdict is what the rules say of a version.
type verdict struct {
	kind  lifecycleKind
	class s3.StorageClass // of a move
}

// candidate is a version as the rules see it.
type candidate struct {
	key     []byte
	size    int64
	created int64 // milliseconds since 1970
	class   s3.StorageClass
	tags    []Pair
	marker  bool
	latest  bool
	alone   bool  // a delete marker that is latest, and there is no other version
	since   int64 // when it became noncurrent, where it is not latest
	newer   int   // noncurrent versions that are newer, where it is not latest
}

// begun is when a version came to be what it is now.
func (v *candidate) begun() int64 {
	if v.latest {
		return v.created
	}
	return v.since
}

// judge is a Lifecycle at one time.
type judge struct {
	minimum   s3.TransitionMinimum
	versioned bool // or it was: current versions get a delete marker
	rules     []judgeRule
	// classes are those that there are; nil: any. Nothing moves to another.
	classes map[s3.StorageClass]bool
}

// judgeRule is a rule with its days turned into times: what began before them is due.
type judgeRule struct {
	filter     *s3.LifecycleFilter
	sized      bool
	expire     int64
	markers    bool
	noncurrent int64
	newer      int
	moves      []judgeMove
	oldMoves   []judgeMove
}

type judgeMove struct {
	before int64
	after  int64 // milliseconds after it began that it is due, where there is no date
	date   int64 // milliseconds since 1970 from which on it is due, where dated
	dated  bool
	newer  int
	class  s3.StorageClass
}

// due is when a move is due of what began at a time, but for the rounding to a midnight.
func (m *judgeMove) due(begun int64) int64 {
	if m.dated {
		return m.date
	}
	return begun + m.after
}

// at is the judge of a time, for a bucket that keeps versions or does not.
func (l *Lifecycle) at(c LifecycleClock, versioned bool) *judge {
	j := &judge{minimum: l.minimum, versioned: versioned, rules: make([]judgeRule, len(l.rules))}
	for i := range l.rules {
		r := &l.rules[i]
		out := judgeRule{filter: &r.Filter, sized: r.Filter.Sized(), expire: math.MinInt64, noncurrent: math.MinInt64}
		if e := r.Expiration; e != nil {
			out.expire, out.markers = c.due(e.Days, e.Date), e.DeleteMarker
		}
		if e := r.NoncurrentExpiration; e != nil {
			out.noncurrent, out.newer = c.before(e.Days), e.Newer
		}
		for k := range r.Transitions {
			t := &r.Transitions[k]
			m := judgeMove{before: c.before(t.Days), after: c.long(t.Days), class: t.Class}
			if !t.Date.IsZero() {
				m.before, m.date, m.dated = c.since(t.Date), t.Date.UnixMilli(), true
			}
			out.moves = append(out.moves, m)
		}
		for k := range r.NoncurrentTransitions {
			t := &r.NoncurrentTransitions[k]
			out.oldMoves = append(out.oldMoves, judgeMove{before: c.before(t.Days), after: c.long(t.Days), newer: t.Newer, class: t.Class})
		}
		j.rules[i] = out
	}
	return j
}

// due is before or since, or never where neither is said.
func (c LifecycleClock) due(days int, date time.Time) int64 {
	switch {
	case !date.IsZero():
		return c.since(date)
	case days > 0:
		return c.before(days)
	}
	return math.MinInt64
}

// decide says what becomes of a version. To delete for good comes before a move, and that
// before a delete marker.
func (j *judge) decide(v *candidate) verdict {
	expire := lifecycleKeep
	var best judgeMove
	for i := range j.rules {
		r := &j.rules[i]
		ends, moves := r.wants(v)
		if ends == lifecycleKeep && len(moves) == 0 || !matches(r.filter, v) {
			continue
		}
		if ends != lifecycleKeep {
			expire = ends
		}
		for k := range moves {
			if m := &moves[k]; j.mayMove(r, m, v) && better(m, &best, v.begun()) {
				best = *m
			}
		}
	}
	if expire != lifecycleKeep && (best.class == "" || expire != lifecycleExpire || !j.versioned) {
		return verdict{kind: expire}
	}
	if best.class != "" && best.class != v.class {
		return verdict{kind: lifecycleMove, class: best.class}
	}
	return verdict{kind: expire}
}

// wants is what a rule would do with a version that its filter selects: end it, or move it
// where that is due.
func (r *judgeRule) wants(v *candidate) (ends lifecycleKind, moves []judgeMove) {
	switch {
	case v.latest && v.marker:
		if v.alone && (r.markers || v.created < r.expire) {
			ends = lifecycleMarker
		}
	case v.latest:
		if v.created < r.expire {
			ends = lifecycleExpire
		}
		moves = r.moves
	default:
		if v.since < r.noncurrent && v.newer >= r.newer {
			ends = lifecycleNoncurrent
		}
		if !v.marker {
			moves = r.oldMoves
		}
	}
	return ends, moves
}

// mayMove reports whether a move is due and there is nothing against it.
func (j *judge) mayMove(r *judgeRule, m *judgeMove, v *candidate) bool {
	if v.begun() >= m.before || !v.latest && v.newer < m.newer {
		return false
	}
	if j.classes != nil && !j.classes[m.class] {
		return false
	}
	if v.class == m.class {
		return true // it is where it should be, and moves no way back
	}
	return s3.TransitionAllowed(v.class, m.class) && (r.sized || v.size >= j.minimum.MinimumFor(m.class))
}

// better reports whether a move comes before another: further down where AWS has an
// order, else the one that is due later.
func better(m, than *judgeMove, begun int64) bool {
	switch {
	case than.class == "", s3.PrefersClass(m.class, than.class):
		return true
	case s3.PrefersClass(than.class, m.class):
		return false
	case m.due(begun) != than.due(begun):
		return m.due(begun) > than.due(begun)
	}
	return m.class < than.class
}

// matches reports whether a filter selects a version. A delete marker has neither tags nor a size.
func matches(f *s3.LifecycleFilter, v *candidate) bool {
	if len(v.key) < len(f.Prefix) || string(v.key[:len(f.Prefix)]) != f.Prefix {
		return false
	}
	if v.marker {
		return len(f.Tags) == 0 && !f.Sized()
	}
	if f.GreaterThan != nil && v.size <= *f.GreaterThan || f.LessThan != nil && v.size >= *f.LessThan {
		return false
	}
	for i := range f.Tags {
		if !slices.Contains(v.tags, Pair{Name: f.Tags[i].Key, Value: f.Tags[i].Value}) {
			return false
		}
	}
	return true
}

// Expiry is when a current version expires, and the rule that says so; the zero time
// where it does not. It is what clients are told, in days of S3.
func (l *Lifecycle) Expiry(o *Object) (at time.Time, rule string) {
	if l == nil || o.DeleteMarker {
		return time.Time{}, ""
	}
	v := candidate{key: []byte(o.Key), size: o.Size, tags: o.Tags, latest: true}
	for i := range l.rules {
		r := &l.rules[i]
		if r.Expiration == nil || r.Expiration.Days == 0 && r.Expiration.Date.IsZero() || !matches(&r.Filter, &v) {
			continue
		}
		ends := r.Expiration.Date
		if ends.IsZero() {
			ends = midnightAfter(o.Modified, r.Expiration.Days)
		}
		if at.IsZero() || ends.Before(at) {
			at, rule = ends, r.ID
		}
	}
	return at, rule
}

// Abort is when an upload is aborted, and the rule that says so; the zero time where it is not.
func (l *Lifecycle) Abort(key s3.Key, initiated time.Time) (at time.Time, rule string) {
	if l == nil || !l.aborts {
		return time.Time{}, ""
	}
	for i := range l.rules {
		r := &l.rules[i]
		if r.AbortDays == 0 || !strings.HasPrefix(string(key), r.Filter.Prefix) {
			continue
		}
		if ends := midnightAfter(initiated, r.AbortDays); at.IsZero() || ends.Before(at) {
			at, rule = ends, r.ID
		}
	}
	return at, rule
}

// abortDue reports whether an upload is to be aborted now.
func (l *Lifecycle) abortDue(c LifecycleClock, key string, initiated int64) bool {
	for i := range l.rules {
		r := &l.rules[i]
		if r.AbortDays > 0 && strings.HasPrefix(key, r.Filter.Prefix) && initiated < c.before(r.AbortDays) {
			return true
		}
	}
	return false
}
