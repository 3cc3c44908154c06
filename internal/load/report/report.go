package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

// Report is what is shown. All its texts may hold anything: they are escaped, and
// what cannot be shown is replaced.
type Report struct {
	Title    string
	Machine  string    // what it ran on, such as processors, system and versions; may be empty
	Settings []string  // how it ran, such as "Poisson arrivals" and "10 s each"; may be empty
	Begun    time.Time // of the first step; zero: unknown
	SLO      curve.SLO // zero: none
	Curves   []Curve   // in the order of the legend
}

// Curve is what was measured of one strategy.
type Curve struct {
	Name   string
	Steps  []Step        // in any order, valid or not
	Result *curve.Result // nil: not analysed
}

// Step is one load and what came of it.
type Step struct {
	*load.Step

	// Rate is the load that was asked for in keys per second; 0 stands for what was
	// offered. A closed loop has none.
	Rate float64

	// What the target says of itself; 0 or less: unknown.
	QueriesPerSecond float64
	RowsPerQuery     float64
	CPUPerKey        time.Duration // processor time of the database for each key
}

// FromPoints makes a curve of a search's points and what they say.
func FromPoints(name string, points []curve.Point, result curve.Result) Curve {
	c := Curve{Name: name, Result: &result}
	for _, p := range points {
		c.Steps = append(c.Steps, Step{Step: p.Step, Rate: p.Rate})
	}
	return c
}

// offered is the load in keys per second; of a closed loop, the number of callers.
func (s Step) offered() float64 {
	switch {
	case s.Callers > 0:
		return float64(s.Callers)
	case s.Rate > 0:
		return s.Rate
	case s.Duration <= 0: // it ended before it began
		return 0
	}
	return s.Offered()
}

// load is the step's load in words.
func (s Step) load() string {
	if s.Callers > 0 {
		return plural(s.Callers, "caller")
	}
	return perSecond(s.offered())
}

// quantile is a response time if it is known and there are values enough.
func (s Step) quantile(q float64) (time.Duration, bool) {
	value, known := s.Quantile(q)
	return value, known && s.Response.Merge(s.Least).Sufficient(q)
}

// sorted are the steps in rising order of load.
func (c Curve) sorted() []Step {
	return slices.SortedStableFunc(slices.Values(c.Steps), func(a, b Step) int { return cmp.Compare(a.offered(), b.offered()) })
}

// clean replaces what is no text: control characters, which XML forbids, and those
// that turn the direction of the text around them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), unicode.Is(unicode.Noncharacter_Code_Point, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// perSecond is a rate in three or four digits.
func perSecond(v float64) string {
	switch {
	case v >= 1e6:
		return digits(v/1e6) + " M/s"
	case v >= 1e4:
		return digits(v/1e3) + " k/s"
	}
	return digits(v) + "/s"
}

// brief is a duration in three digits.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return digits(d.Seconds()) + " s"
	case d >= time.Millisecond:
		return digits(d.Seconds()*1e3) + " ms"
	}
	return digits(d.Seconds()*1e6) + " µs"
}

// digits rounds to three, and to none behind the point from 100 on.
func digits(v float64) string {
	s := aligned(v)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// aligned keeps the zeros at the end, so that numbers below each other compare.
func aligned(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	behind := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(behind, 0), 6), 64)
}

// name of a quantile: p99.
func quantileName(q float64) string { return fmt.Sprintf("p%.6g", q*100) }
