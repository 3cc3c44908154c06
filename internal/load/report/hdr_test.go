package report

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

func logOf(t *testing.T, r Report) (text string, intervals []*hdrhistogram.Histogram) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHDR(&b, r); err != nil {
		t.Fatal(err)
	}
	text = b.String()
	for in := hdrhistogram.NewHistogramLogReader(&b); ; {
		h, err := in.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			return text, intervals
		}
		intervals = append(intervals, h)
	}
}

// Another reader finds each valid step under its tag, with its quantiles.
func TestLogIsReadBack(t *testing.T) {
	r := sweep(slo20)
	text, intervals := logOf(t, r)
	found := map[string]*hdrhistogram.Histogram{}
	for _, h := range intervals {
		found[h.Tag()] = h
	}
	valid, invalid, end := 0, 0, r.Begun.UnixMilli()
	for _, c := range r.Curves {
		for _, s := range c.sorted() {
			begin := end
			end += s.Duration.Milliseconds()
			if s.Verdict() != "" {
				invalid++
				continue
			}
			valid++
			h := found[tag(c.Name, s)]
			if h == nil {
				t.Errorf("%s is missing", tag(c.Name, s))
				continue
			}
			if uint64(h.TotalCount()) != s.Good+s.Censored || h.StartTimeMs() != begin || h.EndTimeMs() != end {
				t.Errorf("%s: %d values from %d to %d, want %d from %d to %d", h.Tag(), h.TotalCount(), h.StartTimeMs(), h.EndTimeMs(), s.Good, begin, end)
			}
			for _, q := range []float64{.5, .9, .95, .99, .999} {
				want, _ := s.Quantile(q)
				n := float64(h.TotalCount())
				// The reader rounds qN where the definition has ⌈qN⌉: ask for the very rank.
				if got := float64(h.ValueAtQuantile(100 * math.Ceil(q*n) / n)); math.Abs(got-float64(want)) > .004*float64(want) {
					t.Errorf("%s: %s is %.0f, want %d", h.Tag(), quantileName(q), got, want)
				}
			}
		}
	}
	if len(intervals) != valid || strings.Count(text, "\n#[invalid: ") != invalid || invalid == 0 {
		t.Errorf("%d intervals of %d steps, %d invalid\n%s", len(intervals), valid, invalid, text)
	}
	if !strings.Contains(text, "#[invalid: dial at 2848/s: ") || found["fulcrum@1400"] == nil {
		t.Error(text)
	}
}

// Nothing in a name, a title or a reason can become another line of the log.
func TestLogEscapes(t *testing.T) {
	r := hostileReport()
	r.Title = "\n#[StartTime: 7\n1,1,1,x" + hostile
	r.Curves[0].Name = "a, b\n#[BaseTime: 9 c" + hostile
	text, intervals := logOf(t, r)
	if len(intervals) != 1 || !strings.HasPrefix(intervals[0].Tag(), "a__b_#[BaseTime:_9_c<script>") || !strings.HasSuffix(intervals[0].Tag(), "@50") {
		t.Errorf("%d intervals: %s", len(intervals), text)
	}
	if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) != 7 {
		t.Errorf("%d lines: %s", len(lines), text)
	}
}

func TestLogAtTheEdges(t *testing.T) {
	_, intervals := logOf(t, Report{Curves: []Curve{{Name: "a b", Steps: []Step{single(100, 5000, 0), single(200, 5000, 100*time.Hour), closedLoop(4)}}}})
	if len(intervals) != 3 || intervals[0].Tag() != "a_b@callers=4" || intervals[1].Max() > 1 || intervals[2].Tag() != "a_b@200" || intervals[2].TotalCount() != 5000 {
		t.Errorf("%v", intervals)
	}
	for name, r := range odd() {
		if name != "an age" {
			logOf(t, r)
		}
	}
	if _, intervals := logOf(t, Report{SLO: curve.SLO{}}); len(intervals) != 0 {
		t.Error(intervals)
	}
}
