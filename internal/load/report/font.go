package report

import (
	"strings"
	"sync"

	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
)

// font is a size in px, and a weight.
type font struct {
	size float64
	bold bool
}

var (
	small   = font{size: 11}
	medium  = font{size: 12}
	heading = font{size: 13, bold: true}
	titling = font{size: 17, bold: true}
)

// outlines are the two fonts that PNG files are written with. They are a little
// wider than those a browser takes for an SVG file, so what fits here fits there.
var outlines = [2]func() (*opentype.Font, error){
	sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) }),
	sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gobold.TTF) }),
}

// face is the font at a scale in px of the image for each px of the drawing.
func (f font) face(scale float64) (xfont.Face, error) {
	which := outlines[0]
	if f.bold {
		which = outlines[1]
	}
	o, err := which()
	if err != nil {
		return nil, err
	}
	return opentype.NewFace(o, &opentype.FaceOptions{Size: f.size * scale, DPI: 72, Hinting: xfont.HintingNone})
}

// measuring faces are kept, as layout asks for many widths. A face is for one
// goroutine at a time.
var measuring = struct {
	sync.Mutex
	faces map[font]xfont.Face
}{faces: map[font]xfont.Face{}}

// width of a text in px.
func (f font) width(s string) float64 {
	measuring.Lock()
	defer measuring.Unlock()
	face := measuring.faces[f]
	if face == nil {
		var err error
		if face, err = f.face(1); err != nil {
			return f.size * .6 * float64(len(s)) // the fonts are compiled in: this cannot be
		}
		measuring.faces[f] = face
	}
	return float64(xfont.MeasureString(face, s)) / 64
}

const ellipsis = "…"

// fit cuts a text to a width in px.
func (f font) fit(s string, width float64) string {
	if f.width(s) <= width {
		return s
	}
	runes := []rune(s)
	for n := min(len(runes), int(width)); n > 0; n-- { // no letter is narrower than a px
		if cut := string(runes[:n]) + ellipsis; f.width(cut) <= width {
			return cut
		}
	}
	return ellipsis
}

// wrap breaks a text into lines of a width in px, at most so many; the last is cut.
func (f font) wrap(s string, width float64, most int) []string {
	var lines []string
	line := ""
	words := strings.Fields(s)
	for i, w := range words {
		longer := strings.TrimPrefix(line+" "+w, " ")
		if line == "" || f.width(longer) <= width {
			line = longer
			continue
		}
		if len(lines) == most-1 {
			return append(lines, f.fit(line+" "+strings.Join(words[i:], " "), width))
		}
		lines, line = append(lines, f.fit(line, width)), w
	}
	if line == "" {
		return lines
	}
	return append(lines, f.fit(line, width))
}
