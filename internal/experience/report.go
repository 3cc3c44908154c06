package experience

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Visit is what one session of one person told. What was not measured is NaN.
type Visit struct {
	Region, Device, Mode, Lane string // empty: unknown
	Batch                      int    // requests that shared the slowest answer's query; 0: unknown
	Vitals                     [Vitals]float64
	Wait                       time.Duration // until the page was usable, or was left
	Answer                     time.Duration // of that, its slowest answer; 0: unknown
	Satisfaction               int           // 1 to 5; 0: nobody was asked or answered
	Converted                  bool
}

// satisfied is the least answer, of 1 to 5, that counts as satisfied.
const satisfied = 4

// Config says how visits are analysed.
type Config struct {
	Started int             // visits that the server saw begin; 0: not known
	Target  time.Duration   // of Apdex; 0: one second
	Edges   []time.Duration // between the buckets, rising; nil: fifths of the visits
}

// Bucket is what people did who waited from Low up to, but not including, High.
type Bucket struct {
	Low, High    time.Duration // of the first and the last: the least and the most there was
	Mean         time.Duration // of the waits in it
	Conversions  Share
	Satisfaction Share // satisfied, among those who said
}

// Part is how fast it is for some of the people.
type Part struct {
	Dimension, Value string // region, europe
	Visits           int
	Vitals           [Vitals]Summary
	Apdex            float64
}

// Effect is how an outcome goes with waiting.
type Effect struct {
	Share Share
	Trend Trend
	Fit   *Fit  // nil: see Err
	Err   error // why there is no slope
}

// Report is everything about a number of visits.
type Report struct {
	All          Part
	Parts        []Part // by dimension, then value
	Buckets      []Bucket
	Conversions  Effect
	Satisfaction Effect
	Survivors    Bounds    // of conversions; without Started, nobody is missing
	Bearable     *Bearable // nil: nobody is seen to turn away
}

// ErrNoVisits says that there is nothing to analyse.
var ErrNoVisits = errors.New("experience: there are no visits")

// Analyse makes a report. It returns ErrNoVisits, or an error that names the visit or
// the field that cannot be.
func Analyse(visits []Visit, c Config) (*Report, error) {
	if c.Target == 0 {
		c.Target = time.Second
	}
	if err := check(visits, c); err != nil {
		return nil, err
	}
	r := &Report{All: partOf("", "", visits, c.Target), Buckets: bucketsOf(visits, c.edges(visits))}
	for _, d := range dimensions {
		r.Parts = append(r.Parts, d.parts(visits, c.Target)...)
	}
	var converted, pleased []Outcome
	for _, v := range visits {
		converted = append(converted, Outcome{v.Wait, v.Converted})
		if v.Satisfaction > 0 {
			pleased = append(pleased, Outcome{v.Wait, v.Satisfaction >= satisfied})
		}
	}
	r.Conversions = effectOf(converted, r.Buckets, func(b Bucket) Share { return b.Conversions })
	r.Satisfaction = effectOf(pleased, r.Buckets, func(b Bucket) Share { return b.Satisfaction })
	r.Survivors = Survivors(r.Conversions.Share, c.Started)
	r.Bearable = r.bearable(visits)
	return r, nil
}

func check(visits []Visit, c Config) error {
	if len(visits) == 0 {
		return ErrNoVisits
	}
	for i, v := range visits {
		if v.Wait < 0 {
			return fmt.Errorf("experience: visit %d waited %s: want 0 or more", i, v.Wait)
		}
		if v.Satisfaction < 0 || v.Satisfaction > 5 {
			return fmt.Errorf("experience: visit %d has satisfaction %d: want 1 to 5, or 0 for none", i, v.Satisfaction)
		}
	}
	if c.Target < 0 {
		return fmt.Errorf("experience: Target %s: want more than 0", c.Target)
	}
	for i := range c.Edges {
		if i > 0 && c.Edges[i] <= c.Edges[i-1] {
			return fmt.Errorf("experience: Edges: %s comes after %s: want them rising", c.Edges[i], c.Edges[i-1])
		}
	}
	return nil
}

// edges are those that were asked for, or parts of equal size.
func (c Config) edges(visits []Visit) []time.Duration {
	if c.Edges != nil {
		return c.Edges
	}
	const parts = 5
	waits := make([]time.Duration, len(visits))
	for i, v := range visits {
		waits[i] = v.Wait
	}
	slices.Sort(waits)
	var edges []time.Duration
	for i := 1; i < parts; i++ {
		edges = append(edges, waits[i*len(waits)/parts])
	}
	return slices.Compact(edges)
}

// bucketsOf leaves empty buckets out.
func bucketsOf(visits []Visit, edges []time.Duration) []Bucket {
	in := make([][]Visit, len(edges)+1)
	for _, v := range visits {
		i, at := slices.BinarySearch(edges, v.Wait)
		if at {
			i++ // an edge belongs to what is above it
		}
		in[i] = append(in[i], v)
	}
	var buckets []Bucket
	for i, some := range in {
		if len(some) == 0 {
			continue
		}
		b := bucketOf(some)
		if i > 0 {
			b.Low = edges[i-1]
		}
		if i < len(edges) {
			b.High = edges[i]
		}
		buckets = append(buckets, b)
	}
	return buckets
}

func bucketOf(visits []Visit) Bucket {
	b := Bucket{Low: visits[0].Wait, High: visits[0].Wait}
	converted, pleased, said, sum := 0, 0, 0, 0.0
	for _, v := range visits {
		b.Low, b.High = min(b.Low, v.Wait), max(b.High, v.Wait)
		sum += float64(v.Wait)
		if v.Converted {
			converted++
		}
		if v.Satisfaction > 0 {
			said++
		}
		if v.Satisfaction >= satisfied {
			pleased++
		}
	}
	b.Mean = time.Duration(sum / float64(len(visits)))
	b.Conversions, b.Satisfaction = ShareOf(converted, len(visits)), ShareOf(pleased, said)
	return b
}

func effectOf(outcomes []Outcome, buckets []Bucket, of func(Bucket) Share) Effect {
	hits := 0
	for _, o := range outcomes {
		if o.Hit {
			hits++
		}
	}
	var groups []Group
	for _, b := range buckets {
		groups = append(groups, Group{Score: b.Mean.Seconds(), Share: of(b)})
	}
	e := Effect{Share: ShareOf(hits, len(outcomes)), Trend: TrendOf(groups)}
	f, err := Logistic(outcomes)
	if e.Err = err; err == nil {
		e.Fit = &f
	}
	return e
}

// dimension is a way to part people.
type dimension struct {
	name string
	of   func(Visit) string
}

var dimensions = []dimension{
	{"batch", func(v Visit) string { return batchText(v.Batch) }},
	{"device", func(v Visit) string { return v.Device }},
	{"lane", func(v Visit) string { return v.Lane }},
	{"mode", func(v Visit) string { return v.Mode }},
	{"region", func(v Visit) string { return v.Region }},
}

// batchText puts the sizes of batches together by their digits.
func batchText(n int) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return "1 alone"
	case n < 10:
		return "2 to 9"
	case n < 100:
		return "10 to 99"
	}
	return "100 and more"
}

// number is the one that a value begins with, 0 if there is none.
func number(value string) int {
	n := 0
	_, _ = fmt.Sscan(value, &n) // most values have none
	return n
}

// parts are in the order of their values; who is unknown is left out.
func (d dimension) parts(visits []Visit, target time.Duration) []Part {
	by := map[string][]Visit{}
	var values []string
	for _, v := range visits {
		value := d.of(v)
		if value == "" {
			continue
		}
		if by[value] == nil {
			values = append(values, value)
		}
		by[value] = append(by[value], v)
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(number(a)-number(b), strings.Compare(a, b)) })
	var parts []Part
	for _, value := range values {
		parts = append(parts, partOf(d.name, value, by[value], target))
	}
	return parts
}

func partOf(name, value string, visits []Visit, target time.Duration) Part {
	p := Part{Dimension: name, Value: value, Visits: len(visits)}
	waits := make([]time.Duration, len(visits))
	for i, v := range visits {
		waits[i] = v.Wait
	}
	p.Apdex = Apdex(waits, 0, target)
	samples := make([]float64, len(visits))
	for v := range Vitals {
		for i := range visits {
			samples[i] = visits[i].Vitals[v]
		}
		p.Vitals[v] = Summarize(v, samples)
	}
	return p
}
