package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func labels(values []float64, write func(float64) string) string {
	var all []string
	for _, v := range values {
		all = append(all, write(v))
	}
	return strings.Join(all, " | ")
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		a     axis
		gap   float64
		write func(float64) string
		want  string
	}{
		{linear(9500), 100, rateTick, "0 | 1 k/s | 2 k/s | 3 k/s | 4 k/s | 5 k/s | 6 k/s | 7 k/s | 8 k/s | 9 k/s"},
		{linear(9500), 250, rateTick, "0 | 5 k/s"},
		{linear(.3), 200, rateTick, "0 | 0.1/s | 0.2/s | 0.3/s"},
		{linear(2.6e6), 200, rateTick, "0 | 1 M/s | 2 M/s"},
		{linear(0), 500, rateTick, "0 | 1/s"},
		{logarithmic(.0003, .04), 20, secondsTick, "200 µs | 500 µs | 1 ms | 2 ms | 5 ms | 10 ms | 20 ms | 50 ms"},
		{logarithmic(.0003, 40), 70, secondsTick, "300 µs | 1 ms | 3 ms | 10 ms | 30 ms | 100 ms | 300 ms | 1 s | 3 s | 10 s | 30 s"},
		{logarithmic(1e-6, 900), 100, secondsTick, "1 µs | 10 µs | 100 µs | 1 ms | 10 ms | 100 ms | 1 s | 10 s | 100 s | 1000 s"},
		{logarithmic(1e-6, 900), 150, secondsTick, "1 µs | 100 µs | 10 ms | 1 s | 100 s"},
		{logarithmic(.001, .001), 20, secondsTick, "1 ms | 2 ms"},
		{logarithmic(math.Inf(1), 0), 20, secondsTick, "1 s | 2 s | 5 s | 10 s"},
	} {
		c.a.from, c.a.to = 0, 1000
		if got := labels(c.a.ticks(c.gap), c.write); got != c.want {
			t.Errorf("%+v with %v px: %s", c.a, c.gap, got)
		}
	}
}

// Ticks are on the axis, rise, and are as far apart as their labels need.
func TestTicksOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := math.Pow(10, rapid.Float64Range(-9, 6).Draw(t, "least"))
		most := least * math.Pow(10, rapid.Float64Range(0, 9).Draw(t, "decades"))
		a := linear(most)
		if rapid.Bool().Draw(t, "log") {
			a = logarithmic(least, most)
		}
		a.from, a.to = 100, rapid.Float64Range(300, 900).Draw(t, "to")
		gap := rapid.Float64Range(20, 90).Draw(t, "gap")
		ticks := a.ticks(gap)
		if len(ticks) == 0 || !slices.IsSorted(ticks) || most > a.high*(1+1e-9) {
			t.Fatalf("%+v: %v", a, ticks)
		}
		for i, v := range ticks {
			at := a.at(v)
			if at < a.from-1e-3 || at > a.to+1e-3 {
				t.Fatalf("tick %v at %v px", v, at)
			}
			if i > 0 && at-a.at(ticks[i-1]) < gap-1e-6 {
				t.Fatalf("%v and %v are %v px apart", ticks[i-1], v, at-a.at(ticks[i-1]))
			}
		}
	})
}

func TestFontsFit(t *testing.T) {
	if got := small.fit("short", 100); got != "short" {
		t.Error(got)
	}
	for _, width := range []float64{0, 5, 30, 60} {
		if got := small.fit("much too long for this", width); width >= 10 && small.width(got) > width || !strings.HasSuffix(got, ellipsis) {
			t.Errorf("%v: %q", width, got)
		}
	}
	lines := small.wrap("one two three four five six seven eight nine ten", 60, 3)
	if len(lines) != 3 || !strings.HasSuffix(lines[2], ellipsis) || lines[0] != "one two" {
		t.Errorf("%q", lines)
	}
	if lines := small.wrap("  ", 60, 3); lines != nil {
		t.Errorf("%q", lines)
	}
	if lines := small.wrap("one two", 600, 1); len(lines) != 1 || lines[0] != "one two" {
		t.Errorf("%q", lines)
	}
}
