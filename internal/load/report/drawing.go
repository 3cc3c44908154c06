package report

import (
	"image/color"
	"math"
)

// point is a place on the drawing in px, y pointing down.
type point struct{ x, y float64 }

// ink is a colour by what it is for: it differs between light and dark paper.
type ink int

const (
	paper   ink = iota
	writing     // texts that matter
	faint       // texts that help
	grid        // lines behind the data
	alarm       // the SLO and what broke it
	series      // the first of the curves' colours
)

// palette has all inks, on light and on dark paper. The curves' seven are told
// apart with any kind of colour vision (after M. Okabe and K. Ito, "Color Universal
// Design", darkened until each has a contrast of 3:1); dash and marker tell them
// apart without colour.
var palette = []struct{ light, dark color.RGBA }{
	paper:   {rgb(0xffffff), rgb(0x16181d)},
	writing: {rgb(0x1b1d22), rgb(0xe8eaee)},
	faint:   {rgb(0x5b616b), rgb(0xa3a9b4)},
	grid:    {rgb(0xe3e5e9), rgb(0x33373f)},
	alarm:   {rgb(0xb3261e), rgb(0xff8a80)},

	series:     {rgb(0x0065a8), rgb(0x5cb8ff)}, // blue
	series + 1: {rgb(0xc85200), rgb(0xff9a4d)}, // vermilion
	series + 2: {rgb(0x00825a), rgb(0x3ddba8)}, // green
	series + 3: {rgb(0xa8327d), rgb(0xf29bd0)}, // purple
	series + 4: {rgb(0x1b1d22), rgb(0xe8eaee)}, // black
	series + 5: {rgb(0x8f6b00), rgb(0xe6c04a)}, // ochre
	series + 6: {rgb(0x2f8fb5), rgb(0x9fdcf5)}, // sky
}

func rgb(v uint32) color.RGBA { return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255} }

// look is how a curve is drawn.
type look struct {
	ink   ink
	dash  []float64 // px drawn and left out in turn; nil: a solid line
	shape []point   // of its markers, around the origin
}

var (
	dashes  = [][]float64{nil, {7, 3}, {2, 2.5}, {9, 3, 2, 3}, {4, 2}}
	markers = [][]point{regular(20, 3.4, 0), regular(4, 4.2, math.Pi/4), regular(3, 4.8, -math.Pi/2), regular(4, 4.8, 0), regular(3, 4.8, math.Pi/2), regular(5, 4.4, -math.Pi/2)}
)

// lookOf is the look of the i-th curve. The numbers of colours, dashes and markers
// have no common divisor, so 210 curves all differ.
func lookOf(i int) look {
	return look{series + ink(i%(len(palette)-int(series))), dashes[i%len(dashes)], markers[i%len(markers)]}
}

// regular is a polygon with n corners on a circle, the first at an angle.
func regular(n int, radius, angle float64) []point {
	corners := make([]point, n)
	for i := range corners {
		sin, cos := math.Sincos(angle + 2*math.Pi*float64(i)/float64(n))
		corners[i] = point{radius * cos, radius * sin}
	}
	return corners
}

func at(p point, shape []point) []point {
	moved := make([]point, len(shape))
	for i, s := range shape {
		moved[i] = point{p.x + s.x, p.y + s.y}
	}
	return moved
}

// drawing is what is drawn, in order.
type drawing struct {
	width, height float64 // px
	ops           []op
}

// op is one thing to draw.
type op struct {
	kind   opKind
	points []point
	ink    ink
	width  float64   // of a line, px
	dash   []float64 // of a line, px
	text   string    // of a text or of a group
	size   float64   // of a text, px
	bold   bool
	anchor anchor
}

type opKind uint8

const (
	lineOp  opKind = iota
	areaOp         // a polygon that is filled
	textOp         // begins, is centred or ends at its point, on the base line
	groupOp        // what follows has a title, which shows under the pointer
	endOp          // of the group
)

type anchor uint8

const (
	left anchor = iota
	centre
	right
)

func (d *drawing) line(k ink, width float64, dash []float64, points ...point) {
	d.ops = append(d.ops, op{kind: lineOp, points: points, ink: k, width: width, dash: dash})
}

// loop is a line that ends where it begins.
func (d *drawing) loop(k ink, width float64, corners []point) {
	d.line(k, width, nil, append(append([]point(nil), corners...), corners[0])...)
}

func (d *drawing) area(k ink, corners []point) {
	d.ops = append(d.ops, op{kind: areaOp, points: corners, ink: k})
}

func (d *drawing) text(p point, a anchor, k ink, f font, s string) {
	d.ops = append(d.ops, op{kind: textOp, points: []point{p}, anchor: a, ink: k, size: f.size, bold: f.bold, text: s})
}

// group draws what has a title.
func (d *drawing) group(title string, draw func()) {
	d.ops = append(d.ops, op{kind: groupOp, text: title})
	draw()
	d.ops = append(d.ops, op{kind: endOp})
}

func (d *drawing) cross(p point, k ink) {
	const r = 4
	d.line(k, 1.8, nil, point{p.x - r, p.y - r}, point{p.x + r, p.y + r})
	d.line(k, 1.8, nil, point{p.x - r, p.y + r}, point{p.x + r, p.y - r})
}
