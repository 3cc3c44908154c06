package report

import (
	"bytes"
	"image"
	"image/draw"
	"image/png"
	"math"

	xfont "golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// pngScale is the px of the image for each px of the drawing: enough for print at
// the width of a page.
const pngScale = 2

// png rasterises the drawing on light paper.
func (d *drawing) png(scale float64) ([]byte, error) {
	w, h := int(math.Ceil(d.width*scale)), int(math.Ceil(d.height*scale))
	r := raster{scale: scale, img: image.NewRGBA(image.Rect(0, 0, w, h)), fonts: map[font]xfont.Face{}}
	draw.Draw(r.img, r.img.Bounds(), image.NewUniform(palette[paper].light), image.Point{}, draw.Src)
	for _, o := range d.ops {
		var err error
		switch o.kind {
		case lineOp:
			r.stroke(o)
		case areaOp:
			r.begin()
			r.polygon(o.points)
			r.fill(o.ink)
		case textOp:
			err = r.text(o)
		}
		if err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, r.img)
	return b.Bytes(), err
}

// raster is an image on which is drawn.
type raster struct {
	scale  float64 // px of the image for each of the drawing
	img    *image.RGBA
	fonts  map[font]xfont.Face
	pieces vector.Rasterizer // of one line or area: they cover each other, they do not add up
	bounds bounds
	shapes [][]point
}

// bounds are the part of the image that is touched, so that small things cost
// little.
type bounds struct{ x0, y0, x1, y1 float64 }

func (r *raster) begin() {
	r.shapes = r.shapes[:0]
	r.bounds = bounds{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
}

// polygon adds a piece. All pieces of a line turn the same way round, as the
// rasteriser counts areas of opposite turns against each other.
func (r *raster) polygon(corners []point) {
	scaled := make([]point, len(corners))
	for i, c := range corners {
		p := point{c.x * r.scale, c.y * r.scale}
		scaled[i] = p
		b := &r.bounds
		b.x0, b.y0, b.x1, b.y1 = min(b.x0, p.x), min(b.y0, p.y), max(b.x1, p.x), max(b.y1, p.y)
	}
	r.shapes = append(r.shapes, scaled)
}

// fill draws the pieces.
func (r *raster) fill(k ink) {
	b := r.bounds
	area := image.Rect(int(math.Floor(b.x0)), int(math.Floor(b.y0)), int(math.Ceil(b.x1)), int(math.Ceil(b.y1))).Intersect(r.img.Bounds())
	if area.Empty() {
		return
	}
	r.pieces.Reset(area.Dx(), area.Dy())
	place := func(p point) (x, y float32) {
		return float32(p.x - float64(area.Min.X)), float32(p.y - float64(area.Min.Y))
	}
	for _, s := range r.shapes {
		r.pieces.MoveTo(place(s[0]))
		for _, p := range s[1:] {
			r.pieces.LineTo(place(p))
		}
		r.pieces.ClosePath()
	}
	r.pieces.Draw(r.img, area, image.NewUniform(palette[k].light), image.Point{})
}

// stroke draws a line as its segments, and a disc where two meet.
func (r *raster) stroke(o op) {
	r.begin()
	for _, part := range dashed(o.points, o.dash) {
		for i := 1; i < len(part); i++ {
			r.segment(part[i-1], part[i], o.width/2)
			if i+1 < len(part) {
				r.polygon(at(part[i], regular(8, o.width/2, 0)))
			}
		}
	}
	r.fill(o.ink)
}

func (r *raster) segment(p, q point, half float64) {
	length := math.Hypot(q.x-p.x, q.y-p.y)
	if length == 0 {
		return
	}
	nx, ny := half*(q.y-p.y)/length, -half*(q.x-p.x)/length
	r.polygon([]point{{p.x + nx, p.y + ny}, {q.x + nx, q.y + ny}, {q.x - nx, q.y - ny}, {p.x - nx, p.y - ny}})
}

// dashed cuts a line into what is drawn of it.
func dashed(points []point, dash []float64) [][]point {
	if len(dash) == 0 || len(points) == 0 {
		return [][]point{points}
	}
	var parts [][]point
	part, which, left := []point{points[0]}, 0, dash[0]
	for i := 1; i < len(points); i++ {
		p, q := points[i-1], points[i]
		for length := math.Hypot(q.x-p.x, q.y-p.y); length > left; length = math.Hypot(q.x-p.x, q.y-p.y) {
			p = point{p.x + (q.x-p.x)*left/length, p.y + (q.y-p.y)*left/length}
			if which%2 == 0 {
				parts = append(parts, append(part, p))
			}
			part = []point{p}
			which = (which + 1) % (2 * len(dash))
			left = dash[which%len(dash)]
		}
		left -= math.Hypot(q.x-p.x, q.y-p.y)
		part = append(part, q)
	}
	if which%2 == 0 {
		parts = append(parts, part)
	}
	return parts
}

func (r *raster) text(o op) error {
	f := font{o.size, o.bold}
	face := r.fonts[f]
	if face == nil {
		var err error
		if face, err = f.face(r.scale); err != nil {
			return err
		}
		r.fonts[f] = face
	}
	s := clean(o.text)
	shift := fixed.Int26_6(0)
	switch width := xfont.MeasureString(face, s); o.anchor {
	case centre:
		shift = width / 2
	case right:
		shift = width
	}
	pen := xfont.Drawer{Dst: r.img, Src: image.NewUniform(palette[o.ink].light), Face: face}
	pen.Dot = fixed.Point26_6{X: fixed.Int26_6(o.points[0].x*r.scale*64) - shift, Y: fixed.Int26_6(o.points[0].y * r.scale * 64)}
	pen.DrawString(s)
	return nil
}
