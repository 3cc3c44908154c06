package page

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// written is the page of some traffic with everything in it.
func written(t *testing.T) string {
	t.Helper()
	a := usage.New(usage.Config{})
	for i := range int64(20_000) {
		r := usage.Record{
			Time: i * 400e6, Took: time.Duration(i%500) * time.Millisecond, Aborted: i%500 > 400 && i%3 == 0,
			Client: fmt.Appendf(nil, "10.0.0.%d", i%200), Path: fmt.Appendf(nil, "/<script>alert(%d)</script>\x1b", i*i%97),
		}
		a.Add(&r)
	}
	var b strings.Builder
	if err := Write(&b, "a<b>.log", a.Report()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	page := written(t)
	for _, want := range []string{
		"<h1>a&lt;b&gt;.log</h1>", "Misses of an LRU cache", "Company within a window", "Share of people who still wait", "Requests by hour", "Requests by day",
		"5 % are gone after", "&lt;script&gt;alert(", "20000 requests",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("without %q", want)
		}
	}
	for _, no := range []string{"<script", "http://", "https://", "src=", "@import", "NaN", "Inf", "\x1b"} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), no) {
			t.Errorf("with %q: the page must need nothing else", no)
		}
	}
}

// Each figure is well-formed, and what it draws is within it.
func TestFigures(t *testing.T) {
	page := written(t)
	n := 0
	for rest := page; ; n++ {
		_, after, ok := strings.Cut(rest, "<svg")
		if !ok {
			break
		}
		body, tail, _ := strings.Cut(after, "</svg>")
		rest = tail
		d := xml.NewDecoder(strings.NewReader("<svg" + body + "</svg>"))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("figure %d: %v", n, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
				var x, y float64
				for _, a := range e.Attr {
					switch a.Name.Local {
					case "cx":
						x, _ = strconv.ParseFloat(a.Value, 64)
					case "cy":
						y, _ = strconv.ParseFloat(a.Value, 64)
					}
				}
				if x < left-.1 || x > width-right+.1 || y < top-.1 || y > height-below+.1 {
					t.Errorf("figure %d: a point at %v, %v", n, x, y)
				}
			}
		}
	}
	if n != 5 {
		t.Errorf("%d figures, want 5", n)
	}
}

// A report of nothing is a page without figures.
func TestEmptyPage(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, "empty", usage.New(usage.Config{}).Report()); err != nil || strings.Contains(b.String(), "<svg") {
		t.Errorf("%v", err)
	}
}
