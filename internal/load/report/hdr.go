package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/fulcrum-data/fulcrum/internal/hist"
)

// The range and precision of the histograms in a log.
const (
	hdrLeast  = 1              // ns
	hdrMost   = int64(1) << 42 // ns, about 73 min, where package hist ends too
	hdrDigits = 3
)

// WriteHDR writes the response times of all steps, in ns, as an HdrHistogram
// interval log (version 1.3, histograms in their compressed form V2), which the
// usual tools read. A step is an interval whose tag is strategy@rate, such as
// fulcrum@12000, or strategy@callers=64 of a closed loop. Censored requests count
// with the time they are known to have taken. An invalid step is a comment with its
// reason.
//
// Intervals follow one another as if there had been no pause, from r.Begun on, in
// the order of curves and loads; without Begun, from 1970 on.
func WriteHDR(w io.Writer, r Report) error {
	if err := writeHDR(w, r); err != nil {
		return fmt.Errorf("hdr: %w", err)
	}
	return nil
}

func writeHDR(w io.Writer, r Report) error {
	var begun int64 // ms, of whole seconds, as the log's head knows no parts of them
	if !r.Begun.IsZero() {
		begun = r.Begun.Unix() * 1000
	}
	log := hdrhistogram.NewHistogramLogWriter(w)
	log.SetBaseTime(begun)
	for _, write := range []func() error{
		func() error { return log.OutputComment("[" + comment(r.Title) + "; response times in ns]") },
		log.OutputLogFormatVersion,
		func() error { return log.OutputStartTime(begun) },
		func() error { return log.OutputBaseTime(begun) },
		log.OutputLegend,
	} {
		if err := write(); err != nil {
			return err
		}
	}
	h := hdrhistogram.New(hdrLeast, hdrMost, hdrDigits)
	now := time.Duration(0)
	for _, c := range r.Curves {
		for _, s := range c.sorted() {
			if err := writeInterval(log, h, c.Name, s, begun, now); err != nil {
				return err
			}
			now += s.Duration
		}
	}
	return nil
}

// comment is a text without what begins a line of the log's head, which readers
// look for anywhere in a comment.
func comment(s string) string { return strings.ReplaceAll(clean(s), "#", "_") }

// writeInterval writes one step; h is for its use.
func writeInterval(log *hdrhistogram.HistogramLogWriter, h *hdrhistogram.Histogram, name string, s Step, begun int64, now time.Duration) error {
	if v := s.Verdict(); v != "" {
		return log.OutputComment(fmt.Sprintf("[invalid: %s at %s: %s]", comment(name), s.load(), comment(v)))
	}
	if err := fill(h, s.Response.Merge(s.Least)); err != nil {
		return err
	}
	h.SetTag(tag(name, s))
	h.SetStartTimeMs(begun + now.Milliseconds())
	h.SetEndTimeMs(begun + (now + s.Duration).Milliseconds())
	return log.OutputIntervalHistogram(h)
}

// fill makes h hold the same values; what is beyond its range counts as its end.
func fill(h *hdrhistogram.Histogram, s hist.Snapshot) error {
	h.Reset()
	for value, n := range s.Values() {
		if n > math.MaxInt64 {
			return fmt.Errorf("%d values of %s are too many", n, value)
		}
		if err := h.RecordValues(min(value.Nanoseconds(), hdrMost), int64(n)); err != nil {
			return err
		}
	}
	return nil
}

// tag names a step without the characters that end a tag.
func tag(name string, s Step) string {
	load := "callers=" + strconv.Itoa(s.Callers)
	if s.Callers == 0 {
		load = strconv.FormatFloat(math.Round(s.offered()*1e3)/1e3, 'f', -1, 64)
	}
	name = strings.Map(func(r rune) rune {
		if r == ',' || r == '\u2028' || r == '\u2029' {
			return '_'
		}
		return r
	}, clean(name))
	return strings.Join(strings.Fields(name), "_") + "@" + load
}
