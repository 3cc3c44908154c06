package report

import (
	"math"

	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

// panel shows one quantile of all curves.
type panel struct {
	*figure
	quantile float64
	main     bool // with marks, whiskers and a row for each curve
	x, y     axis
}

// draw draws the panel at a height, and returns where it ends.
func (p *panel) draw(top, height float64) float64 {
	p.text(point{p.x.from, top - 8}, left, writing, heading, quantileName(p.quantile)+" response time (log scale)")
	bottom := top + height
	p.y.from, p.y.to = bottom, top+crossRoom
	end := bottom
	rows := p.rows()
	if len(rows) > 0 {
		end += rowGap + rowHeight*float64(len(rows))
	}
	p.grid(top, bottom, end)
	p.slo()
	drawn := 0
	for _, c := range p.plots {
		drawn += p.curve(c, top)
	}
	if drawn == 0 {
		why := "no valid step has responses enough to tell the " + quantileName(p.quantile)
		p.text(point{(p.x.from + p.x.to) / 2, (top + bottom) / 2}, centre, faint, medium, medium.fit(why, p.x.to-p.x.from-8))
	}
	for i, c := range rows {
		p.row(c, bottom+rowGap+rowHeight*(float64(i)+.5))
	}
	return end + 36
}

// grid draws axes and ticks. Below the data it goes on through the rows.
func (p *panel) grid(top, bottom, end float64) {
	for _, v := range p.y.ticks(26) {
		y := p.y.at(v)
		p.line(grid, 1, nil, point{p.x.from, y}, point{p.x.to, y})
		p.text(point{p.x.from - 6, y + 4}, right, faint, small, secondsTick(v))
	}
	for _, v := range p.xTicks() {
		x := p.x.at(v)
		p.line(grid, 1, nil, point{x, top}, point{x, end})
		p.text(point{x, end + 14}, centre, faint, small, rateTick(v))
	}
	p.line(faint, 1, nil, point{p.x.from, top}, point{p.x.from, end})
	p.line(faint, 1, nil, point{p.x.from, bottom}, point{p.x.to, bottom})
	p.line(faint, 1, nil, point{p.x.from, end}, point{p.x.to, end})
	name := "throughput (good answers, keys per second)"
	if p.x.log {
		name = "throughput (good answers, keys per second, log scale)"
	}
	p.text(point{(p.x.from + p.x.to) / 2, end + 29}, centre, faint, small, small.fit(name, p.x.to-p.x.from))
}

// xTicks are so far apart that no two labels meet.
func (p *panel) xTicks() []float64 {
	gap := 0.
	for _, v := range p.x.ticks(40) {
		gap = max(gap, small.width(rateTick(v)))
	}
	return p.x.ticks(gap + 14)
}

// slo draws the limit in the panel whose quantile it limits.
func (p *panel) slo() {
	limit := p.report.SLO
	if !p.main || limit.Limit <= 0 {
		return
	}
	y := p.y.at(max(limit.Limit.Seconds(), instant))
	p.line(alarm, 1.5, []float64{6, 4}, point{p.x.from, y}, point{p.x.to, y})
	p.text(point{p.x.to + 6, y + 4}, left, alarm, small, small.fit("SLO "+brief(limit.Limit), sloRoom-10))
}

// curve draws a curve with its markers, and its crosses at the top. It returns how
// many points it has.
func (p *panel) curve(c plotted, top float64) int {
	var points []point
	var kept []sample
	for _, s := range c.samples {
		if v, known := s.step.quantile(p.quantile); known && s.rate > 0 {
			points = append(points, point{p.x.at(s.rate), p.y.at(max(v.Seconds(), instant))})
			kept = append(kept, s)
		}
	}
	if len(points) > 1 {
		p.line(c.ink, 2, c.dash, points...)
	}
	for i, s := range kept {
		p.group(s.title, func() {
			if p.main {
				p.upper(s.step, points[i], c.ink)
			}
			p.marker(c, points[i])
		})
	}
	for _, x := range c.crosses {
		if x.rate > 0 {
			p.group(x.title, func() { p.cross(point{p.x.within(p.x.at(x.rate)), top + crossRoom/2}, c.ink) })
		}
	}
	if p.main {
		p.marksOn(c, kept, points)
	}
	return len(points)
}

// upper draws a whisker to the upper limit, cut off where the panel ends.
func (p *panel) upper(s Step, from point, k ink) {
	limit := s.Upper(p.quantile, curve.Confidence)
	if limit == math.MaxInt64 {
		return
	}
	if to := p.y.within(p.y.at(max(limit.Seconds(), instant))); from.y-to > 1 {
		p.whisker(from, to, k)
	}
}

// marksOn draws the answers on the curve where they lie on it.
func (p *panel) marksOn(c plotted, kept []sample, points []point) {
	for _, m := range c.marks {
		if y, ok := heightAt(m.rate, p.x.at(m.rate), kept, points); ok {
			p.group(markTitle(c, m), func() { p.mark(m.kind, point{p.x.at(m.rate), y}, c.ink) })
		}
	}
}

// heightAt is the px of a curve above a rate: that of the step with this load, or
// between two steps.
func heightAt(rate, x float64, kept []sample, points []point) (float64, bool) {
	for i, s := range kept {
		if s.step.Callers == 0 && math.Abs(s.offered-rate) <= rate*1e-9 {
			return points[i].y, true
		}
	}
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if a.x <= x && x <= b.x && a.x < b.x {
			return a.y + (b.y-a.y)*(x-a.x)/(b.x-a.x), true
		}
	}
	return 0, false
}

func markTitle(c plotted, m mark) string {
	return c.name + ": " + markNames[m.kind] + " " + perSecond(m.rate)
}

// rows are the curves that have something to show below the data.
func (p *panel) rows() []plotted {
	if !p.main {
		return nil
	}
	var rows []plotted
	for _, c := range p.plots {
		if len(c.marks) > 0 || len(c.crosses) > 0 {
			rows = append(rows, c)
		}
	}
	return rows
}

// row shows how far a curve goes: to its largest valid throughput, with its marks
// and crosses.
func (p *panel) row(c plotted, y float64) {
	p.text(point{p.x.from - 6, y + 4}, right, c.ink, small, small.fit(c.name, gutter-margin-2))
	most := 0.
	for _, s := range c.samples {
		most = max(most, s.rate)
	}
	if most > 0 {
		p.line(c.ink, 2, c.dash, point{p.x.from, y}, point{p.x.within(p.x.at(most)), y})
	}
	for _, m := range c.marks {
		p.group(markTitle(c, m), func() { p.mark(m.kind, point{p.x.at(m.rate), y}, c.ink) })
	}
	for _, x := range c.crosses {
		if x.rate > 0 {
			p.group(x.title, func() { p.cross(point{p.x.within(p.x.at(x.rate)), y}, c.ink) })
		}
	}
}
