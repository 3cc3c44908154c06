package page

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// A plot is one curve, or bars.
type plot struct {
	title  string
	x, y   string // what the axes show
	points []point
	logX   bool
	bars   bool
	steps  bool    // the value holds until the next point
	mostY  float64 // 0: the largest value
	unit   func(x float64) string
}

type point struct {
	x, y      float64
	low, high float64 // of an interval; both 0: none
	label     string  // under a bar
}

// Sizes in px.
const (
	width, height           = 460.0, 240.0
	left, right, top, below = 52.0, 14.0, 28.0, 40.0
)

// svg draws the plot; it is empty without points.
func (p plot) svg() string {
	if len(p.points) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, html.EscapeString(p.title))
	fmt.Fprintf(&b, `<text class="head" x="%g" y="16">%s</text>`, left, html.EscapeString(p.title))
	most := p.most()
	p.grid(&b, most)
	if p.bars {
		p.drawBars(&b, most)
	} else {
		p.drawCurve(&b, most)
	}
	fmt.Fprintf(&b, `<text class="axis" x="%g" y="%g" text-anchor="end">%s</text></svg>`, width-right, height-6, html.EscapeString(p.x))
	return b.String()
}

func (p plot) most() float64 {
	most := p.mostY
	for _, q := range p.points {
		most = max(most, q.y, q.high)
	}
	if most <= 0 {
		return 1
	}
	return most
}

func yAt(y, most float64) float64 { return height - below - (height-below-top)*min(1, y/most) }

// xAt is where a value stands; bars stand side by side.
func (p plot) xAt(x float64) float64 {
	low, high := p.points[0].x, p.points[len(p.points)-1].x
	if p.logX {
		low, high, x = math.Log(low), math.Log(high), math.Log(x)
	}
	if high <= low {
		return left
	}
	return left + (width-left-right)*(x-low)/(high-low)
}

func (p plot) grid(b *strings.Builder, most float64) {
	for i := range 5 {
		v := most * float64(i) / 4
		y := yAt(v, most)
		fmt.Fprintf(b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="axis" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, y, y, left-6, y+4, short(v))
	}
	fmt.Fprintf(b, `<text class="axis" x="4" y="%g">%s</text>`, height-6, html.EscapeString(p.y))
	if p.bars {
		return
	}
	ticks := min(5, len(p.points))
	for i := range ticks {
		q := p.points[i*(len(p.points)-1)/max(1, ticks-1)]
		fmt.Fprintf(b, `<text class="axis" x="%.1f" y="%g" text-anchor="middle">%s</text>`, p.xAt(q.x), height-below+16, html.EscapeString(p.unit(q.x)))
	}
}

func (p plot) drawBars(b *strings.Builder, most float64) {
	each := (width - left - right) / float64(len(p.points))
	for i, q := range p.points {
		y := yAt(q.y, most)
		x := left + each*float64(i)
		fmt.Fprintf(b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %s</title></rect>`, x+1, y, each-2, height-below-y, html.EscapeString(q.label), short(q.y))
		if len(p.points) <= 7 || i%6 == 0 {
			fmt.Fprintf(b, `<text class="axis" x="%.1f" y="%g" text-anchor="middle">%s</text>`, x+each/2, height-below+16, html.EscapeString(q.label))
		}
	}
}

func (p plot) drawCurve(b *strings.Builder, most float64) {
	var line, low, high []string
	for i, q := range p.points {
		x := p.xAt(q.x)
		if p.steps && i > 0 {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x, yAt(p.points[i-1].y, most)))
		}
		line = append(line, fmt.Sprintf("%.1f,%.1f", x, yAt(q.y, most)))
		if q.high > 0 {
			high = append(high, fmt.Sprintf("%.1f,%.1f", x, yAt(q.high, most)))
			low = append([]string{fmt.Sprintf("%.1f,%.1f", x, yAt(q.low, most))}, low...)
		}
	}
	if len(high) > 1 {
		fmt.Fprintf(b, `<polygon class="band" points="%s"/>`, strings.Join(append(high, low...), " "))
	}
	fmt.Fprintf(b, `<polyline class="line" points="%s"/>`, strings.Join(line, " "))
	for _, q := range p.points {
		fmt.Fprintf(b, `<circle class="dot" cx="%.1f" cy="%.1f" r="2.5"><title>%s: %s</title></circle>`, p.xAt(q.x), yAt(q.y, most), html.EscapeString(p.unit(q.x)), short(q.y))
	}
}

// short has three digits.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	}
	if v >= 1e3 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// seconds is a duration with its unit.
func seconds(s float64) string {
	switch {
	case s >= 1:
		return short(s) + " s"
	case s >= 1e-3:
		return short(s*1e3) + " ms"
	}
	return short(s*1e6) + " µs"
}
