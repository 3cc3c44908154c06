package report

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

func pageOf(t *testing.T, r Report) (doc string, all []element) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String(), elements(t, b.Bytes())
}

func TestPageSaysAll(t *testing.T) {
	r := sweep(slo20)
	doc, all := pageOf(t, r)
	for _, want := range []string{"Reading profiles one by one", "4 processors", "64 connections · keys", "begun 2026-11-01T09:30:00Z",
		"p99=20ms", "at a concurrency of", "prefers-color-scheme: dark", "@media print", "queries", "rows per query", "Universal Scalability Law"} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(doc, "db CPU") {
		t.Error("a column that no step has is shown")
	}
	steps := 0
	for _, c := range r.Curves {
		steps += len(c.Steps)
		if !slices.Contains(texts(all, "h3"), c.Name) {
			t.Errorf("%s has no table", c.Name)
		}
	}
	if rows := len(texts(all, "tr")); rows != steps+2*len(r.Curves)+1 { // answers, heads
		t.Errorf("%d rows of %d steps", rows, steps)
	}
	if n := len(texts(all, "svg")); n != 1 {
		t.Errorf("%d figures", n)
	}
}

// An invalid step's row tells what was offered and the reason, and no time.
func TestInvalidRowsAreNoNumbers(t *testing.T) {
	table := tableOf(odd()["only invalid"].Curves[0], allColumns)
	if len(table.Rows) != 3 {
		t.Fatalf("%+v", table)
	}
	for _, r := range table.Rows {
		if r.Reason == "" || len(r.Cells) != 3 || r.Span != len(allColumns)-3 {
			t.Errorf("%+v", r)
		}
	}
	_, all := pageOf(t, odd()["only invalid"])
	if cells := texts(all, "td"); !contains(cells, "invalid: the generator was late") || !contains(cells, "invalid: interrupted") || !contains(cells, "invalid: nothing was due") {
		t.Errorf("%q", cells)
	}
}

func TestCells(t *testing.T) {
	s := single(100, 500, 1234*time.Microsecond) // 5 responses beyond the p99
	s.CPUPerKey = 42 * time.Microsecond
	got := tableOf(Curve{Steps: []Step{s}}, columnsOf([]Curve{{Steps: []Step{s}}})).Rows[0]
	want := []string{"100", "0", "0", "100", "1.23", "1.23", "1.23", "too few", "1.23", "too few", "too few", "42.0"}
	if got.Reason != "" || got.Load != "100" || !slices.Equal(got.Cells, want) {
		t.Errorf("%+v", got)
	}
	s.Censored, s.Due, s.Least = 1, 501, single(1, 1, time.Second).Response
	if got := largest(s); got != "≥ 1000" {
		t.Error(got)
	}
	if got := tableOf(Curve{Steps: []Step{closedLoop(8)}}, allColumns).Rows[0].Load; got != "8 callers, closed loop" {
		t.Error(got)
	}
}

func TestAnswers(t *testing.T) {
	none := answersOf(Curve{Result: &curve.Result{NoUSL: "too few", NoKnee: "no fit"}}, series)
	if none.SLO.Text != "none" || none.Knee != (cell{"none", "no fit"}) || none.Capacity != (cell{"none", "too few"}) || none.Alpha.Text != "–" {
		t.Errorf("%+v", none)
	}
	u := &curve.USL{Gamma: curve.Estimate{Value: 1000, Low: 900, High: 1100}, Alpha: curve.Estimate{Held: true}, Beta: curve.Estimate{Held: true}}
	endless := answersOf(Curve{Result: &curve.Result{SLORate: 12_345, USL: u, Capacity: u.Capacity()}}, series)
	if endless.SLO.Text != "12.3 k/s" || endless.Capacity.Text != "none in sight" || endless.Gamma != (cell{"1000", "900 to 1100"}) || endless.Beta.Text != "0" {
		t.Errorf("%+v", endless)
	}
}

func TestPageEscapes(t *testing.T) {
	doc, all := pageOf(t, hostileReport())
	if slices.ContainsFunc(all, func(e element) bool { return e.name == "script" }) {
		t.Error("a script got in")
	}
	if strings.ContainsAny(doc, "\x00\x1b\u202e") || !utf8.ValidString(doc) {
		t.Error("a character that is no text got in")
	}
	if cells := texts(all, "td"); !contains(cells, "invalid: 100.0 % of the requests failed: <script>alert('&')</script>") {
		t.Errorf("%q", cells)
	}
}

// The page needs nothing from elsewhere, and runs nothing.
func TestPageStandsAlone(t *testing.T) {
	doc, all := pageOf(t, sweep(slo20))
	if m := regexp.MustCompile(`url\(|@import|javascript:`).FindString(doc); m != "" {
		t.Error(m)
	}
	for _, e := range all {
		for name, value := range e.attr {
			if name == "src" || name == "href" || strings.HasPrefix(name, "on") || strings.Contains(value, "://") && name != "xmlns" {
				t.Errorf("%s has %s=%s", e.name, name, value)
			}
		}
		if slices.Contains([]string{"script", "link", "img", "iframe", "object"}, e.name) {
			t.Errorf("there is a %s", e.name)
		}
	}
}

func TestPageOfOddReports(t *testing.T) {
	for _, r := range odd() {
		pageOf(t, r)
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWritersTellErrors(t *testing.T) {
	if err := WriteHTML(broken{}, sweep(slo20)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if err := WriteHDR(broken{}, sweep(slo20)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		perSecond(0): "0/s", perSecond(.5): "0.5/s", perSecond(1234): "1234/s", perSecond(12_345): "12.3 k/s", perSecond(2e6): "2 M/s",
		brief(0): "0 µs", brief(1500): "1.5 µs", brief(20 * time.Millisecond): "20 ms", brief(90 * time.Second): "90 s",
		aligned(.08): "0.0800", aligned(2): "2.00", aligned(99.96): "100.0", aligned(1234.5): "1234", aligned(1e-9): "0.000000",
		digits(120): "120", digits(2.5): "2.5", digits(1000): "1000", groups("123"): "123", groups("1234567"): "1\u202f234\u202f567", groups("0.5"): "0.5",
		plural(1, "step"): "1 step", plural(0, "step"): "0 steps", quantileName(.999): "p99.9", quantileName(.5): "p50",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
