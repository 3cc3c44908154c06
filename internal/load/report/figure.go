package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

// Sizes in px.
const (
	figureWidth = 960.0
	margin      = 16.0
	gutter      = 118.0 // left of the large panel, for the names of its rows
	narrow      = 60.0  // left of the small ones
	sloRoom     = 84.0  // right of the large panel, for the name of the limit
	largeHeight = 340.0
	smallHeight = 190.0
	crossRoom   = 16.0 // above the data, for the crosses
	rowHeight   = 17.0
	rowGap      = 9.0 // between the data and the rows
	lineHeight  = 15.0
	mostReasons = 10 // notes of invalid steps below the figure
	mostNotes   = 20 // all notes there
)

// usual are the quantiles that are always shown.
var usual = []float64{.99, .95, .5}

// figure is a drawing in progress.
type figure struct {
	drawing
	report Report
	plots  []plotted
	y      float64 // where the next part begins
}

// plotted is a curve as it is drawn.
type plotted struct {
	look
	name    string
	samples []sample
	crosses []cross
	marks   []mark
}

// sample is a valid step.
type sample struct {
	step    Step
	offered float64 // of a closed loop: callers
	rate    float64 // throughput, keys/s
	title   string
}

// cross is an invalid step.
type cross struct {
	rate  float64 // offered, keys/s; 0: a closed loop, which offers none
	title string
}

// mark is an answer on a curve.
type mark struct {
	kind markKind
	rate float64 // keys/s
}

type markKind uint8

const (
	sloMark markKind = iota
	powerMark
	kneeMark
)

var (
	markNames  = [...]string{"SLO rate", "power point", "knee"}
	markShapes = [...][]point{regular(24, 6.5, 0), regular(4, 8, 0), regular(3, 8.5, -math.Pi/2)}
)

// layOut places all that the figure shows. Within a page, which has them itself, it
// leaves the title and the reasons of invalid steps out.
func layOut(r Report, within bool) *drawing {
	f := &figure{report: r, y: margin}
	f.width = figureWidth
	for i, c := range r.Curves {
		f.plots = append(f.plots, plot(c, lookOf(i), f.mainQuantile()))
	}
	if !within {
		f.head()
	}
	f.legend()
	f.panels()
	f.notes(within)
	f.height = math.Ceil(f.y + margin)
	return &f.drawing
}

func plot(c Curve, l look, q float64) plotted {
	p := plotted{look: l, name: clean(c.Name)}
	for _, s := range c.sorted() {
		if v := s.Verdict(); v != "" {
			x := cross{title: fmt.Sprintf("%s at %s: %s", p.name, s.load(), clean(v))}
			if s.Callers == 0 {
				x.rate = s.offered()
			}
			p.crosses = append(p.crosses, x)
			continue
		}
		p.samples = append(p.samples, sample{s, s.offered(), s.Throughput(), p.name + " " + sampleTitle(s, q)})
	}
	if c.Result != nil {
		for kind, rate := range []float64{c.Result.SLORate, c.Result.PowerRate, c.Result.KneeRate} {
			if rate > 0 {
				p.marks = append(p.marks, mark{markKind(kind), rate})
			}
		}
	}
	return p
}

// sampleTitle is what the pointer shows.
func sampleTitle(s Step, q float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %s: throughput %s, mean %s", s.load(), perSecond(s.Throughput()), brief(s.Response.Mean()))
	for _, q := range quantiles(q) {
		if v, known := s.quantile(q); known {
			fmt.Fprintf(&b, ", %s %s", quantileName(q), brief(v))
		}
	}
	return b.String()
}

// mainQuantile is that of the SLO, else the p99.
func (f *figure) mainQuantile() float64 {
	if q := f.report.SLO.Quantile; q > 0 {
		return q
	}
	return usual[0]
}

// quantiles are the main one and the usual others, falling.
func quantiles(q float64) []float64 {
	all := []float64{q}
	for _, u := range usual {
		if math.Abs(u-q) > 1e-9 {
			all = append(all, u)
		}
	}
	slices.SortFunc(all[1:], func(a, b float64) int { return int(math.Copysign(1, b-a)) })
	return all
}

// head writes title and machine.
func (f *figure) head() {
	for _, part := range []struct {
		text  string
		font  font
		ink   ink
		lines int
	}{
		{f.report.Title, titling, writing, 2},
		{f.report.Machine, medium, faint, 2},
		{strings.Join(f.report.Settings, " · "), medium, faint, 2},
	} {
		for _, line := range part.font.wrap(clean(part.text), figureWidth-2*margin, part.lines) {
			f.y += math.Ceil(part.font.size * 1.3)
			f.text(point{margin, f.y - 3}, left, part.ink, part.font, line)
		}
	}
	f.y += 10
}

// legend has an entry for each curve, then one for each kind of mark there is.
func (f *figure) legend() {
	f.y += lineHeight
	x := margin
	for _, p := range f.plots {
		x = f.entry(x, p.name, func(at point) {
			f.line(p.ink, 2, p.dash, point{at.x, at.y}, point{at.x + 30, at.y})
			f.marker(p, point{at.x + 15, at.y})
		})
	}
	f.y += lineHeight + 4
	x = margin
	for kind, name := range markNames {
		if f.has(markKind(kind)) {
			x = f.entry(x, f.explained(markKind(kind), name), func(at point) { f.mark(markKind(kind), point{at.x + 15, at.y}, writing) })
		}
	}
	if slices.ContainsFunc(f.plots, func(p plotted) bool { return len(p.crosses) > 0 }) {
		x = f.entry(x, "invalid step, at its offered load", func(at point) { f.cross(point{at.x + 15, at.y}, writing) })
	}
	f.entry(x, fmt.Sprintf("up to the upper %.0f %% limit of the %s", 100*curve.Confidence, quantileName(f.mainQuantile())), func(at point) {
		f.whisker(point{at.x + 15, at.y + 5}, at.y-5, writing)
	})
	f.y += 8
}

func (f *figure) explained(kind markKind, name string) string {
	if kind == sloMark && f.report.SLO.Quantile > 0 {
		return name + " (" + f.report.SLO.String() + ")"
	}
	return name
}

func (f *figure) has(kind markKind) bool {
	return slices.ContainsFunc(f.plots, func(p plotted) bool {
		return slices.ContainsFunc(p.marks, func(m mark) bool { return m.kind == kind })
	})
}

// entry is a sign and a name, on a new line if need be. It returns where the next
// one begins.
func (f *figure) entry(x float64, name string, sign func(at point)) float64 {
	const signWidth, space, most = 36, 22, 320
	name = medium.fit(name, most)
	if x > margin && x+signWidth+medium.width(name) > figureWidth-margin {
		x = margin
		f.y += lineHeight + 3
	}
	sign(point{x, f.y - 4})
	f.text(point{x + signWidth, f.y}, left, writing, medium, name)
	return x + signWidth + medium.width(name) + space
}

func (f *figure) marker(p plotted, where point) { f.area(p.ink, at(where, p.shape)) }

func (f *figure) mark(kind markKind, where point, k ink) {
	f.loop(k, 1.8, at(where, markShapes[kind]))
}

// whisker goes from a point up to a limit.
func (f *figure) whisker(p point, to float64, k ink) {
	f.line(k, 1, nil, p, point{p.x, to})
	f.line(k, 1, nil, point{p.x - 3, to}, point{p.x + 3, to})
}

// panels are a large one of the main quantile, and small ones of the others.
func (f *figure) panels() {
	all := quantiles(f.mainQuantile())
	x, y := f.xAxis(), f.yAxis(all)
	x.from, x.to = gutter, figureWidth-sloRoom
	large := panel{figure: f, quantile: all[0], main: true, x: x, y: y}
	f.y = large.draw(f.y+30, largeHeight)

	others := all[1:]
	slices.Reverse(others)
	f.y += 30
	width := (figureWidth - margin) / float64(len(others))
	bottom := f.y
	for i, q := range others {
		x.from = float64(i)*width + narrow
		x.to = float64(i+1)*width - 24
		small := panel{figure: f, quantile: q, x: x, y: y}
		bottom = max(bottom, small.draw(f.y, smallHeight))
	}
	f.y = bottom + 6
}

const (
	farApart = 6.   // curves that end at so different throughputs need a logarithmic axis
	farOut   = 1.5  // crosses beyond this multiple of the largest throughput stand at the edge
	instant  = 1e-7 // s; what took less is drawn as this, as a logarithmic axis has no 0
)

// xAxis holds all throughputs and, if they are not far out, all offered loads.
func (f *figure) xAxis() axis {
	least, smallestEnd, most, offered := math.Inf(1), math.Inf(1), 0., 0.
	for _, p := range f.plots {
		end := 0.
		for _, s := range p.samples {
			if s.rate > 0 {
				least, end = min(least, s.rate), max(end, s.rate)
			}
		}
		for _, m := range p.marks {
			end = max(end, m.rate)
		}
		if most = max(most, end); end > 0 {
			smallestEnd = min(smallestEnd, end)
		}
		for _, c := range p.crosses {
			offered = max(offered, c.rate)
		}
	}
	if most == 0 {
		return linear(offered)
	}
	end := max(most, min(offered, farOut*most))
	if most > farApart*smallestEnd {
		return logarithmic(least, end)
	}
	return linear(end)
}

// yAxis holds all response times that are drawn, and the SLO.
func (f *figure) yAxis(quantiles []float64) axis {
	least, most := math.Inf(1), 0.
	see := func(v float64) { least, most = min(least, max(v, instant)), max(most, v, instant) }
	for _, p := range f.plots {
		for _, s := range p.samples {
			for _, q := range quantiles {
				if v, known := s.step.quantile(q); known {
					see(v.Seconds())
				}
			}
		}
	}
	if l := f.report.SLO.Limit; l > 0 {
		see(l.Seconds())
	}
	return logarithmic(least, most)
}

// notes list what the figure leaves out, and why.
func (f *figure) notes(within bool) {
	var all []string
	for _, p := range f.plots {
		for _, c := range p.crosses {
			if !within {
				all = append(all, "× "+c.title)
			}
		}
	}
	if more := len(all) - mostReasons; more > 0 {
		all = append(all[:mostReasons], fmt.Sprintf("× and %d more invalid steps", more))
	}
	all = append(all, f.missing()...)
	if closed := f.closed(); len(closed) > 0 {
		all = append(all, "Closed loop, which waits for the target and so says nothing of how long people would: "+strings.Join(closed, ", "))
	}
	if more := len(all) - mostNotes; more > 0 {
		all = append(all[:mostNotes], fmt.Sprintf("and %d more", more))
	}
	for _, note := range all {
		for _, line := range small.wrap(note, figureWidth-2*margin, 2) {
			f.y += lineHeight
			f.text(point{margin, f.y}, left, faint, small, line)
		}
	}
}

// missing counts the quantiles of valid steps that are not told.
func (f *figure) missing() []string {
	var all []string
	for _, p := range f.plots {
		for _, q := range quantiles(f.mainQuantile()) {
			n := 0
			for _, s := range p.samples {
				if _, known := s.step.quantile(q); !known {
					n++
				}
			}
			if n > 0 {
				all = append(all, fmt.Sprintf("%s: the %s of %s is not known: fewer than ten responses lie beyond it", p.name, quantileName(q), plural(n, "step")))
			}
		}
	}
	return all
}

func (f *figure) closed() []string {
	var names []string
	for _, p := range f.plots {
		if slices.ContainsFunc(p.samples, func(s sample) bool { return s.step.Callers > 0 }) {
			names = append(names, p.name)
		}
	}
	return names
}
