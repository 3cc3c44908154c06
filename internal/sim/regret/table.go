package regret

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Gates are what auto must keep, in per cent.
var Gates = []struct {
	What string
	Kept func(grid, dynamic Figures) (figure float64, kept bool)
}{
	{"median mean-regret at most 5 %", func(g, _ Figures) (float64, bool) { return g.MeanMedian, g.MeanMedian <= 5 }},
	{"p90 mean-regret at most 20 %", func(g, _ Figures) (float64, bool) { return g.MeanP90, g.MeanP90 <= 20 }},
	{"no cell's mean-regret over 100 %", func(g, _ Figures) (float64, bool) { return g.MeanMax, g.MeanMax <= 100 }},
	{"median p99-regret at most 8 %", func(g, _ Figures) (float64, bool) { return g.P99Median, g.P99Median <= 8 }},
	{"goodput loss at most 5 % in any cell", func(g, _ Figures) (float64, bool) { return -g.GoodputWorst, g.GoodputWorst >= -5 }},
	{"goodput loss at most 15 % in any dynamic scenario", func(_, d Figures) (float64, bool) { return -d.GoodputWorst, d.GoodputWorst >= -15 }},
	{"target: mean and p99 within 10 % and goodput within 3 % in 85 % of all cells", func(g, d Figures) (float64, bool) {
		all := (g.Target*float64(g.Cells) + d.Target*float64(d.Cells)) / float64(g.Cells+d.Cells)
		return all, all >= 85
	}},
}

// WriteTable writes the comparison as Markdown.
func (b *Book) WriteTable(out io.Writer, seeds, rivalSeeds []uint64, command string) error {
	w := &writer{out: out}
	grid, dynamic := Grid(), Dynamic()
	g, d := b.Rows(grid, "auto", seeds), b.Rows(dynamic, "auto", seeds)
	w.line("# How close the tuner comes to the best fixed K")
	w.line("")
	w.line("Written by `%s`, in simulation; do not edit. Regret is how much worse than the best fixed number of batches in flight (of 1 to 64, chosen with hindsight for each cell and seed:", command)
	w.line("the least √(mean·p99) with at least 97.5 %% of the best goodput), in per cent; negative is better. A negative mean regret with a goodput loss means that more was shed. Seeds %s, none of which", list(seeds))
	w.line("was tuned on. The grid is round trip .05/1/5 ms × 2/16 cores × q 10/44/300 × ten loads, measured from 3 s on for 300,000 requests, at least 2 s and at most 4 s.")
	w.line("")
	w.line("## Gates")
	w.line("")
	w.line("| gate | measured | kept |")
	w.line("|---|---|---|")
	for _, gate := range Gates {
		figure, kept := gate.Kept(Sum(g), Sum(d))
		w.line("| %s | %.1f | %s |", gate.What, figure, map[bool]string{true: "yes", false: "**no**"}[kept])
	}
	w.line("")
	w.line("## Grid, by contender")
	w.line("")
	b.compare(w, grid, rivalSeeds)
	w.line("")
	w.line("## Grid, by load: median/p90 of mean regret, worst goodput")
	w.line("")
	b.byLoad(w, grid, rivalSeeds)
	w.line("")
	w.line("## Dynamic scenarios, by contender")
	w.line("")
	b.compare(w, dynamic, rivalSeeds)
	w.line("")
	w.line("## Every dynamic scenario, auto")
	w.line("")
	w.rows(d, func(Row) bool { return true })
	w.line("")
	w.line("## Every miss on the grid, auto")
	w.line("")
	w.line("Mean regret over 20 %%, p99 regret over 40 %% or goodput loss over 3 %%.")
	w.line("")
	w.rows(g, func(r Row) bool { return r.Mean > 20 || r.P99 > 40 || r.Goodput < -3 })
	return w.err
}

// compare has a line for each contender.
func (b *Book) compare(w *writer, cells []Cell, rivalSeeds []uint64) {
	w.line("| contender | runs | mean median/p90/max | p99 median/p90/max | worst goodput | within target |")
	w.line("|---|---|---|---|---|---|")
	for _, c := range Contenders() {
		f := Sum(b.Rows(cells, c.Name, rivalSeeds))
		w.line("| %s | %d | %.0f/%.0f/%.0f | %.0f/%.0f/%.0f | %.0f | %.0f %% |", c.Name, f.Cells,
			f.MeanMedian, f.MeanP90, f.MeanMax, f.P99Median, f.P99P90, f.P99Max, f.GoodputWorst, f.Target)
	}
}

func (b *Book) byLoad(w *writer, cells []Cell, seeds []uint64) {
	var names []string
	for _, c := range Contenders() {
		names = append(names, c.Name)
	}
	w.line("| load %% | %s |", strings.Join(names, " | "))
	w.line("|---|%s", strings.Repeat("---|", len(names)))
	for _, load := range loads {
		at := slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return c.Load != load })
		var columns []string
		for _, name := range names {
			f := Sum(b.Rows(at, name, seeds))
			columns = append(columns, fmt.Sprintf("%.0f/%.0f, %.0f", f.MeanMedian, f.MeanP90, f.GoodputWorst))
		}
		w.line("| %.0f | %s |", 100*load, strings.Join(columns, " | "))
	}
}

// writer keeps the first error.
type writer struct {
	out io.Writer
	err error
}

func (w *writer) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format+"\n", args...)
	}
}

func (w *writer) rows(rows []Row, want func(Row) bool) {
	w.line("| scenario | seed | best K | own K ± | mean | p99 | goodput | mean ms | p99 ms |")
	w.line("|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		if want(r) {
			w.line("| %s | %d | %d | %.1f ± %.0f %% | %.0f | %.0f | %.1f | %.2f | %.2f |", r.Cell.Name, r.Seed, r.BestK, r.Own.K, 100*r.Own.KSpread,
				r.Mean, r.P99, r.Goodput, 1e3*r.Own.Mean, 1e3*r.Own.P99)
		}
	}
}

func list(seeds []uint64) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(seeds), "[]"), " ", ", ")
}
