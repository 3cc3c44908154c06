package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
	"pgregory.net/rapid"
)

// element is an XML element with the text in it.
type element struct {
	name string
	attr map[string]string
	text string
}

// elements reads a whole document, strictly.
func elements(t *testing.T, doc []byte) []element {
	t.Helper()
	var all []element
	var open []int
	for d := xml.NewDecoder(bytes.NewReader(doc)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(token)
			}
		}
	}
}

// texts of all elements of a name.
func texts(all []element, name string) []string {
	var found []string
	for _, e := range all {
		if e.name == name {
			found = append(found, e.text)
		}
	}
	return found
}

func svgOf(t *testing.T, r Report) []element {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plot.svg")
	if err := WritePlot(path, r); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return elements(t, doc)
}

func contains(all []string, part string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, part) })
}

func TestFigureSaysAll(t *testing.T) {
	svg := svgOf(t, sweep(slo20))
	written, titles := texts(svg, "text"), texts(svg, "title")
	for _, want := range []string{
		"Reading profiles one by one", "4 processors", "Poisson arrivals · 10 s each",
		"dial", "direct", "window", "bulk", "fulcrum",
		"p99 response time (log scale)", "p95 response time", "p50 response time",
		"throughput (good answers, keys per second", "10 k/s", "1 ms", "500 µs", "SLO 20 ms",
		"SLO rate (p99=20ms)", "power point", "knee", "invalid step, at its offered load", "upper 95 % limit of the p99",
		"× direct at", "requests without answer reach into the p99",
	} {
		if !contains(written, want) {
			t.Errorf("%q is not written", want)
		}
	}
	for _, want := range []string{"fulcrum at 1400/s: throughput 1400/s, mean ", ", p99 ", ", p95 ", ", p50 ", "fulcrum: knee ", "dial: SLO rate ", "bulk: power point "} {
		if !contains(titles, want) {
			t.Errorf("no title has %q", want)
		}
	}
}

// Every curve has its own line and marker in every panel, and the legend.
func TestCurvesAreToldApart(t *testing.T) {
	dashes := map[string]bool{}
	for _, e := range svgOf(t, sweep(slo20)) {
		if e.name == "polyline" && strings.Count(e.attr["points"], " ") > 5 && e.attr["stroke-width"] == "2" {
			dashes[e.attr["stroke"]+e.attr["stroke-dasharray"]] = true
		}
	}
	if len(dashes) != 5 {
		t.Errorf("5 curves have %d kinds of line: %v", len(dashes), dashes)
	}
	seen := map[string]bool{}
	for i := range 210 {
		seen[fmt.Sprint(lookOf(i))] = true
	}
	if len(seen) != 210 {
		t.Errorf("%d of 210 looks are different", len(seen))
	}
}

// contrast is defined by the Web Content Accessibility Guidelines 2.2.
func contrast(a, b color.RGBA) float64 {
	luminance := func(c color.RGBA) float64 {
		part := func(v uint8) float64 {
			if s := float64(v) / 255; s > .04045 {
				return math.Pow((s+.055)/1.055, 2.4)
			}
			return float64(v) / 255 / 12.92
		}
		return .2126*part(c.R) + .7152*part(c.G) + .0722*part(c.B)
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + .05) / (min(la, lb) + .05)
}

func TestInksCanBeSeen(t *testing.T) {
	for k, p := range palette {
		least := 3. // for graphics
		switch ink(k) {
		case paper, grid:
			continue
		case writing, faint, alarm:
			least = 4.5 // for texts
		}
		if light, dark := contrast(p.light, palette[paper].light), contrast(p.dark, palette[paper].dark); light < least || dark < least {
			t.Errorf("ink %d has contrasts %.2f and %.2f", k, light, dark)
		}
	}
}

// box is where a text stands.
type box struct {
	text           string
	x0, y0, x1, y1 float64
}

func (d *drawing) boxes() []box {
	var all []box
	for _, o := range d.ops {
		if o.kind != textOp {
			continue
		}
		w := font{o.size, o.bold}.width(clean(o.text))
		x := o.points[0].x - w*float64(o.anchor)/2
		all = append(all, box{o.text, x, o.points[0].y - .7*o.size, x + w, o.points[0].y + .1*o.size})
	}
	return all
}

// layoutFaults finds texts that lie over each other or over the edge, and points
// that are no numbers.
func layoutFaults(d *drawing) []string {
	var bad []string
	all := d.boxes()
	for i, a := range all {
		if a.x0 < 0 || a.x1 > d.width || a.y0 < 0 || a.y1 > d.height {
			bad = append(bad, fmt.Sprintf("%q is over the edge: %+v", a.text, a))
		}
		for _, b := range all[:i] {
			if a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1 {
				bad = append(bad, fmt.Sprintf("%q lies over %q", a.text, b.text))
			}
		}
	}
	for _, o := range d.ops {
		for _, p := range o.points {
			if !(p.x >= -1 && p.x <= d.width+1 && p.y >= -1 && p.y <= d.height+1) {
				bad = append(bad, fmt.Sprintf("a point of %+v is out of the drawing", o))
			}
		}
	}
	return bad
}

// single is a step whose n responses all took d.
func single(rate float64, n uint64, d time.Duration) Step {
	h := hist.New()
	h.RecordN(d, n)
	duration := time.Duration(float64(n) / rate * 1e9)
	return Step{Step: &load.Step{Duration: duration, Sending: duration, Due: n, Sent: n, Good: n, Completed: n, Response: h.Snapshot(), Service: h.Snapshot()}}
}

func closedLoop(callers int) Step {
	s := single(1000*float64(callers), 50_000, time.Millisecond)
	s.Callers = callers
	return s
}

// odd are reports at the edges of what there can be. Tests only read them.
var odd = sync.OnceValue(func() map[string]Report {
	return map[string]Report{
		"sweep":          sweep(slo20),
		"far SLO":        sweep(curve.SLO{Quantile: .9, Limit: time.Hour}),
		"p99.9":          {SLO: curve.SLO{Quantile: .999, Limit: time.Second}, Curves: []Curve{newServer(5000, 0).curve("a", slo20)}},
		"equal loads":    equalLoads(9),
		"empty":          {},
		"no step":        {Title: "t", Curves: []Curve{{Name: "a"}, {}}},
		"one step":       {Curves: []Curve{{Name: "a", Steps: []Step{single(100, 5000, time.Millisecond)}}}},
		"one response":   {Curves: []Curve{{Name: "a", Steps: []Step{single(1, 1, time.Millisecond)}}}},
		"no time":        {Curves: []Curve{{Name: "a", Steps: []Step{single(1e7, 1e8, 0)}}}},
		"an age":         {Curves: []Curve{{Name: "a", Steps: []Step{single(1e-4, 5000, 100*time.Hour)}}}},
		"far apart":      {Curves: []Curve{{Name: "a", Steps: []Step{single(1e-3, 5000, time.Nanosecond)}}, {Name: "b", Steps: []Step{single(9e6, 1e8, time.Hour)}}}},
		"only invalid":   {SLO: slo20, Curves: []Curve{{Name: "a", Steps: []Step{{Step: late(1000)}, {Step: &load.Step{Interrupted: true}}, {Step: &load.Step{Duration: time.Second, Sending: time.Second}}}}}},
		"far out":        {Curves: []Curve{{Name: "a", Steps: []Step{single(100, 5000, time.Millisecond), {Step: late(1e6)}}}}},
		"closed loop":    {SLO: slo20, Curves: []Curve{{Name: "a", Steps: []Step{closedLoop(8), closedLoop(1), {Step: &load.Step{Callers: 9, Interrupted: true}}}}}},
		"endless names":  {Title: strings.Repeat("title ", 99), Machine: strings.Repeat("m", 999), Settings: []string{strings.Repeat("set ", 200)}, Curves: []Curve{{Name: strings.Repeat("name", 99), Steps: []Step{{Step: late(1000)}}}}},
		"endless result": {SLO: slo20, Curves: []Curve{{Name: "a", Result: &curve.Result{SLORate: 5, PowerRate: 1e9, KneeRate: 1e-9, Capacity: math.Inf(1)}}}},
	}
})

func TestLayout(t *testing.T) {
	for name, r := range odd() {
		for _, bad := range layoutFaults(layOut(r, false)) {
			t.Errorf("%s: %s", name, bad)
		}
		svgOf(t, r)
	}
}

func TestLayoutRuleSeesFaults(t *testing.T) {
	d := &drawing{width: 100, height: 100}
	d.text(point{10, 50}, left, writing, small, "one")
	d.text(point{20, 52}, left, writing, small, "two")
	d.text(point{98, 90}, left, writing, small, "edge")
	d.line(writing, 1, nil, point{math.NaN(), 0}, point{5, 5})
	if bad := layoutFaults(d); len(bad) != 3 {
		t.Error(bad)
	}
}

// Whatever was measured, the figure holds together.
func TestLayoutOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Report{Title: rapid.String().Draw(t, "title")}
		if rapid.Bool().Draw(t, "slo") {
			r.SLO = curve.SLO{Quantile: rapid.SampledFrom([]float64{.5, .9, .99, .9999}).Draw(t, "q"), Limit: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "limit"))}
		}
		for range rapid.IntRange(0, 4).Draw(t, "curves") {
			c := Curve{Name: rapid.String().Draw(t, "name")}
			for range rapid.IntRange(0, 5).Draw(t, "steps") {
				rate := math.Pow(10, rapid.Float64Range(-2, 7).Draw(t, "rate"))
				s := single(rate, rapid.Uint64Range(0, 1e5).Draw(t, "n"), time.Duration(math.Pow(10, rapid.Float64Range(0, 12).Draw(t, "ns"))))
				s.Interrupted = rapid.Bool().Draw(t, "interrupted")
				c.Steps = append(c.Steps, s)
			}
			r.Curves = append(r.Curves, c)
		}
		if bad := layoutFaults(layOut(r, false)); len(bad) > 0 {
			t.Fatal(strings.Join(bad, "\n"))
		}
	})
}

// An invalid step is a cross with its reason, and none of its numbers is told.
func TestInvalidStepsAreNoNumbers(t *testing.T) {
	r := odd()["only invalid"]
	svg := svgOf(t, r)
	for _, title := range texts(svg, "title") {
		if strings.Contains(title, "throughput") || strings.Contains(title, ", p9") {
			t.Errorf("%q", title)
		}
	}
	for _, e := range svg {
		if e.name == "polygon" && strings.Contains(e.attr["class"], fmt.Sprint("f", series)) && !legendMarker(e) {
			t.Errorf("a marker is drawn: %v", e.attr)
		}
	}
	if titles := texts(svg, "title"); !contains(titles, "a at 1000/s: the generator was late") {
		t.Error(titles)
	}
	if !contains(texts(svg, "text"), "nothing was due") || !contains(texts(svg, "text"), "interrupted") {
		t.Error("a reason is missing")
	}
	if !contains(texts(svg, "text"), "no valid step has responses enough to tell the p99") {
		t.Error("an empty panel does not say why")
	}
}

// legendMarker says whether a polygon stands above the panels.
func legendMarker(e element) bool {
	var x, y float64
	_, err := fmt.Sscanf(e.attr["points"], "%f,%f", &x, &y)
	return err == nil && y < 60
}

const hostile = "<script>alert('&')</script>\"\x00\x1b\u202e\xff{{.}}]]>-->"

func hostileReport() Report {
	s := single(100, 5000, time.Millisecond)
	s.Failed, s.Errors = 5000, []load.ErrorCount{{Text: hostile, Count: 5000}}
	return Report{
		Title: hostile, Machine: hostile, Settings: []string{hostile}, SLO: slo20,
		Curves: []Curve{{Name: hostile, Steps: []Step{s, single(50, 5000, time.Millisecond)}, Result: &curve.Result{SLOLimit: hostile, NoKnee: hostile, NoUSL: hostile}}},
	}
}

func TestFigureEscapes(t *testing.T) {
	svg := svgOf(t, hostileReport())
	if slices.ContainsFunc(svg, func(e element) bool { return e.name == "script" }) {
		t.Error("a script got in")
	}
	if !contains(texts(svg, "title"), "<script>alert('&')</script>\"\ufffd\ufffd\ufffd\ufffd{{.}}") {
		t.Error("the name is not what it was")
	}
}

// decoded is a PNG as plain pixels.
func decoded(t *testing.T, data []byte) *image.RGBA {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain := image.NewRGBA(img.Bounds())
	draw.Draw(plain, plain.Bounds(), img, image.Point{}, draw.Src)
	return plain
}

func TestPNG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plot.PNG")
	if err := WritePlot(path, Report{Title: "t"}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b := decoded(t, data).Bounds(); b.Dx() != 1920 || b.Dy() < 1000 {
		t.Errorf("%v", b)
	}
}

func TestPNGHasAllInks(t *testing.T) {
	data, err := layOut(equalLoads(7), false).png(1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[color.RGBA]int{}
	for p := decoded(t, data).Pix; len(p) > 0; p = p[4:] {
		seen[color.RGBA{p[0], p[1], p[2], p[3]}]++
	}
	for k, p := range palette {
		thin := ink(k) == grid || ink(k) == alarm // at this scale these fall between pixels
		if !thin && seen[p.light] < 50 {
			t.Errorf("%d px are of ink %d", seen[p.light], k)
		}
	}
}

func TestPNGOfOddReports(t *testing.T) {
	for _, name := range []string{"only invalid", "an age"} { // the others differ in what layout does
		if _, err := layOut(odd()[name], false).png(1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A line is as dark inside whichever way it turns.
func TestStrokeIsSolid(t *testing.T) {
	d := &drawing{width: 50, height: 50}
	d.line(writing, 6, nil, point{10, 10}, point{40, 10}, point{40, 40}, point{10, 40}, point{25, 12})
	data, err := d.png(2)
	if err != nil {
		t.Fatal(err)
	}
	img := decoded(t, data)
	for _, p := range []point{{10.5, 10}, {25, 10}, {40, 10}, {40, 25}, {40, 40}, {25, 40}, {10, 40}, {17.5, 26}} {
		if got := img.RGBAAt(int(p.x*2), int(p.y*2)); got != palette[writing].light {
			t.Errorf("at %v: %v", p, got)
		}
	}
}

func TestDashes(t *testing.T) {
	parts := dashed([]point{{0, 0}, {11, 0}, {11, 7}}, []float64{4, 2})
	want := [][]point{{{0, 0}, {4, 0}}, {{6, 0}, {10, 0}}, {{11, 1}, {11, 5}}}
	if fmt.Sprint(parts) != fmt.Sprint(want) {
		t.Errorf("%v", parts)
	}
	if parts := dashed([]point{{0, 0}, {9, 0}}, nil); len(parts) != 1 {
		t.Errorf("%v", parts)
	}
}

func TestPlotFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plot.pdf", "plot", "svg"} {
		path := filepath.Join(dir, name)
		if err := WritePlot(path, Report{}); err == nil || !strings.Contains(err.Error(), "want a name that ends in .svg or .png") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if err := WritePlot(filepath.Join(dir, "no", "such.svg"), Report{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// An SVG file needs nothing but itself.
func TestFigureStandsAlone(t *testing.T) {
	doc := layOut(hostileReport(), false).svg("label", false)
	if m := regexp.MustCompile(`href|url\(|@import|src=|<script`).Find(doc); m != nil {
		t.Errorf("%s", m)
	}
}
