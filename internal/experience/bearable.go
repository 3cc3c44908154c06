package experience

import (
	"slices"
	"time"
)

// Bearable is the longest wait that people put up with, as far as one can see.
type Bearable struct {
	Page   time.Duration // pages that take longer find fewer takers
	Rest   time.Duration // what of a page's time is not its slowest answer: the median
	Answer time.Duration // Page without Rest; 0: the rest alone takes too long, or is not known
	Fewer  Share         // of those who waited longer: conversions, or the satisfied
	Most   Share         // of those who waited least
	What   string        // conversions or satisfaction
}

// leastRest is how many visits must have told their slowest answer.
const leastRest = 100

// bearable finds the first bucket whose 95 % interval lies below that of those who waited
// least, where the trend falls as well; nil if none does. It is an association.
func (r *Report) bearable(visits []Visit) *Bearable {
	if len(r.Buckets) == 0 {
		return nil
	}
	var found *Bearable
	for _, of := range []struct {
		what  string
		trend Trend
		share func(Bucket) Share
	}{
		{"conversions", r.Conversions.Trend, func(b Bucket) Share { return b.Conversions }},
		{"satisfaction", r.Satisfaction.Trend, func(b Bucket) Share { return b.Satisfaction }},
	} {
		first := of.share(r.Buckets[0])
		i := slices.IndexFunc(r.Buckets, func(b Bucket) bool { s := of.share(b); return s.N > 0 && s.Interval.High < first.Interval.Low })
		if i <= 0 || of.trend.Z >= 0 || of.trend.P >= .05 || found != nil && found.Page <= r.Buckets[i].Low {
			continue
		}
		found = &Bearable{Page: r.Buckets[i].Low, Fewer: of.share(r.Buckets[i]), Most: first, What: of.what}
	}
	if found == nil {
		return nil
	}
	var rest []time.Duration
	for _, v := range visits {
		if v.Answer > 0 {
			rest = append(rest, max(0, v.Wait-v.Answer))
		}
	}
	if len(rest) >= leastRest {
		slices.Sort(rest)
		found.Rest = rest[len(rest)/2]
		found.Answer = max(0, found.Page-found.Rest)
	}
	return found
}
