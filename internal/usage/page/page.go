package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"unicode"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

//go:embed page.html
var text string

var page = template.Must(template.New("usage").Parse(text))

// Fact is a row of the page's table.
type fact struct{ Name, Text string }

type view struct {
	Title, Format, Fragment string

	Requests, Skipped uint64

	Facts []fact
	Plots []template.HTML
	Top   []usage.KeyCount
	Notes []string
}

// Write writes the page. Its error is one of w. What logs say is escaped.
func Write(w io.Writer, title string, r *usage.Report) error {
	v := view{
		Title: clean(title), Format: r.Format, Fragment: usage.Fragment(r), Requests: r.Requests, Skipped: r.Skipped, Facts: facts(r), Notes: r.Notes,
	}
	for _, k := range r.Keys.Top {
		v.Top = append(v.Top, usage.KeyCount{Key: clean(k.Key), Count: k.Count})
	}
	for _, p := range plots(r) {
		if s := p.svg(); s != "" {
			v.Plots = append(v.Plots, template.HTML(s)) // escaped there
		}
	}
	return page.Execute(w, v)
}

// clean replaces what is no text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// known writes a number that may not be known.
func known(v *float64, unit func(float64) string) string {
	if v == nil {
		return "unknown"
	}
	return unit(*v)
}

func facts(r *usage.Report) []fact {
	var all []fact
	add := func(name, format string, args ...any) { all = append(all, fact{name, fmt.Sprintf(format, args...)}) }
	if r.Peak.RPS1 != nil {
		add("peak", "%s/s over 1 s, %s/s over 10 s, %s/s over 60 s", known(r.Peak.RPS1, short), known(r.Peak.RPS10, short), known(r.Peak.RPS60, short))
		add("burst", "dispersion %s at 1 s, %s at 10 s, %s at 60 s; variation of the gaps %s; all are 1 if requests come at random",
			known(r.Burst.Dispersion1, short), known(r.Burst.Dispersion10, short), known(r.Burst.Dispersion60, short), known(r.Burst.CV, short))
	}
	if r.Latency.Samples > 0 {
		add("latency", "p50 %s, p95 %s, p99 %s; Apdex(%s) %s", known(r.Latency.P50, seconds), known(r.Latency.P95, seconds), known(r.Latency.P99, seconds), seconds(r.Apdex.Threshold), known(r.Apdex.Score, short))
	}
	if p := r.Patience; p != nil {
		add("patience", "%d of %d left before the answer, %d more at a time limit; 5 %% are gone after %s (%s to %s)", p.Abandoned, p.Requests, p.Timeouts, known(p.Wait5, seconds), known(p.Wait5Low, seconds), known(p.Wait5High, seconds))
	}
	if n := r.NPlusOne; n != nil {
		add("N+1", "%d of %d runs ask for five rows or more one by one %s", n.Long, n.Runs, n.Path)
	}
	if c := r.Clients.Distinct; c != nil {
		add("clients", "%d", *c)
	}
	if k := r.Keys; k.Distinct > 0 {
		add("keys", "%d, %s of them asked for once; 80 %% of the requests ask for %d", k.Distinct, known(k.OneHit, percent), *k.Cover80)
		add("skew", "%s (%s, %s)", known(k.ZipfS, short), k.ZipfOf, k.ZipfFit)
	}
	return all
}

func percent(share float64) string { return short(100*share) + " %" }

var days = [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

func plots(r *usage.Report) []plot {
	cache := plot{title: "Misses of an LRU cache", x: "entries", y: "miss ratio", logX: true, mostY: 1, unit: short}
	for _, m := range r.MissRatioCurve {
		cache.points = append(cache.points, point{x: float64(m.Entries), y: m.Ratio})
	}
	company := plot{title: "Company within a window", x: "window", y: "× by chance", logX: true, mostY: 2, unit: seconds}
	for _, t := range r.Together {
		company.points = append(company.points, point{x: t.Window, y: t.Clustering})
	}
	stay := plot{title: "Share of people who still wait", x: "after", y: "share", steps: true, mostY: 1, unit: seconds}
	if r.Patience != nil {
		for _, s := range r.Patience.Survival {
			stay.points = append(stay.points, point{x: s.Seconds, y: s.Share, low: s.Low, high: s.High})
		}
	}
	all := []plot{cache, company, stay}
	if r.Shape != nil {
		hours := plot{title: "Requests by hour", x: "hour, UTC", y: "share", bars: true}
		for h, s := range r.Shape.Hours {
			hours.points = append(hours.points, point{y: s, label: fmt.Sprint(h)})
		}
		week := plot{title: "Requests by day", x: "", y: "share", bars: true}
		for d, s := range r.Shape.Days {
			week.points = append(week.points, point{y: s, label: days[d]})
		}
		all = append(all, hours, week)
	}
	return all
}
