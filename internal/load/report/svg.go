package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"strconv"
	"strings"
)

// svg writes the drawing. Every colour stands twice: as an attribute, for light
// paper and for programs that know no styles, and as a class, for dark screens.
// An inline one leaves the classes' meaning to the page it stands in.
func (d *drawing) svg(label string, inline bool) []byte {
	var b bytes.Buffer
	size := fmt.Sprintf(` width="%s" height="%s"`, px(d.width), px(d.height))
	if inline {
		size = ""
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg"%s viewBox="0 0 %s %s" role="img" aria-label="%s" font-family="Arial, Helvetica, 'Liberation Sans', sans-serif">`+"\n",
		size, px(d.width), px(d.height), escaped(label))
	if !inline {
		fmt.Fprintf(&b, "<style>%s</style>\n", darkInks())
		d.write(&b, op{kind: areaOp, ink: paper, points: []point{{0, 0}, {d.width, 0}, {d.width, d.height}, {0, d.height}}})
	}
	for _, o := range d.ops {
		d.write(&b, o)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (d *drawing) write(b *bytes.Buffer, o op) {
	switch o.kind {
	case lineOp:
		fmt.Fprintf(b, `<polyline points="%s" fill="none" class="s%d" stroke="%s" stroke-width="%s" stroke-linejoin="round"%s/>`,
			pairs(o.points), o.ink, hex(palette[o.ink].light), px(o.width), dashArray(o.dash))
	case areaOp:
		fmt.Fprintf(b, `<polygon points="%s" class="f%d" fill="%s"/>`, pairs(o.points), o.ink, hex(palette[o.ink].light))
	case textOp:
		weight := ""
		if o.bold {
			weight = ` font-weight="bold"`
		}
		fmt.Fprintf(b, `<text x="%s" y="%s" class="f%d" fill="%s" font-size="%s" text-anchor="%s"%s>%s</text>`,
			px(o.points[0].x), px(o.points[0].y), o.ink, hex(palette[o.ink].light), px(o.size), [...]string{"start", "middle", "end"}[o.anchor], weight, escaped(o.text))
	case groupOp:
		fmt.Fprintf(b, "<g><title>%s</title>", escaped(o.text))
	case endOp:
		b.WriteString("</g>")
	}
	b.WriteByte('\n')
}

// darkInks are the style of the classes on a dark screen. What is printed stays
// light.
func darkInks() string {
	var b strings.Builder
	b.WriteString("@media screen and (prefers-color-scheme: dark) {")
	for i, p := range palette {
		fmt.Fprintf(&b, " .s%d { stroke: %[2]s } .f%[1]d { fill: %[2]s }", i, hex(p.dark))
	}
	b.WriteString(" }")
	return b.String()
}

func pairs(points []point) string {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(px(p.x) + "," + px(p.y))
	}
	return b.String()
}

func dashArray(dash []float64) string {
	if len(dash) == 0 {
		return ""
	}
	all := make([]string, len(dash))
	for i, d := range dash {
		all[i] = px(d)
	}
	return ` stroke-dasharray="` + strings.Join(all, " ") + `"`
}

// px has a precision of a hundredth.
func px(v float64) string {
	s := strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0")
	return strings.TrimSuffix(s, ".")
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(clean(s))) // a buffer never fails
	return b.String()
}
