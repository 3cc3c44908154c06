// Package duel compares two ways of doing the same work on one machine.
//
// A machine drifts: the same cell can differ by 40 % within twenty minutes. So
// the two sides run in turns, a short while each, and what counts is the median
// of the ratios of neighbours, with its spread beside it.
package duel

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load is one side of a duel under a closed loop: Op is called by so many
// callers, one call after the other each.
type Load struct {
	Callers int
	Op      func(caller, i int) error
}

// Run keeps the callers busy for about d and returns calls per second. It stops
// at the first error.
func (l Load) Run(d time.Duration) (perSecond float64, err error) {
	var stop atomic.Bool
	var failed atomic.Pointer[error]
	counts := make([]int, l.Callers)
	var wg sync.WaitGroup
	start := time.Now()
	for c := range l.Callers {
		wg.Go(func() {
			i := 0
			for ; !stop.Load(); i++ {
				if err := l.Op(c, i); err != nil {
					failed.CompareAndSwap(nil, &err)
					stop.Store(true)
					break
				}
			}
			counts[c] = i
		})
	}
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	wg.Wait()
	timer.Stop()
	took := time.Since(start)
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / took.Seconds(), nil
}

// Cell is one comparison: ours against theirs, and the least ratio that is asked
// for (Gate, 0 for a cell that is only reported) or aimed at (Target, 0 for none).
type Cell struct {
	Name         string
	Ours, Theirs func(d time.Duration) (perSecond float64, err error)
	Gate, Target float64
	Alone        bool // one caller, at the mercy of single wake-ups: twice the pairs, twice as long
}

// Result is what came out: rates are medians, ratios are ours/theirs of
// neighbours.
type Result struct {
	Cell         Cell
	Pairs        int
	Ours, Theirs float64
	Ratio        float64 // median
	Low, High    float64 // first and third quartile of the ratios
	Least, Most  float64
}

// Met says whether the median ratio meets the gate.
func (r Result) Met() bool { return r.Ratio >= r.Cell.Gate }

// Run plays a cell: one warm-up pair, then pairs that count, taking turns in who
// begins.
func Run(c Cell, pairs int, each time.Duration) (Result, error) {
	var ours, theirs, ratios []float64
	for i := -1; i < pairs; i++ {
		a, b, err := pair(c, each, i%2 == 0)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", c.Name, err)
		}
		if i < 0 {
			continue
		}
		ours, theirs, ratios = append(ours, a), append(theirs, b), append(ratios, a/b)
	}
	slices.Sort(ratios)
	return Result{
		Cell: c, Pairs: pairs, Ours: median(ours), Theirs: median(theirs), Ratio: median(ratios),
		Low: ratios[pairs/4], High: ratios[pairs-1-pairs/4], Least: ratios[0], Most: ratios[pairs-1],
	}, nil
}

func pair(c Cell, each time.Duration, oursFirst bool) (ours, theirs float64, err error) {
	sides := []struct {
		run  func(time.Duration) (float64, error)
		rate *float64
	}{{c.Ours, &ours}, {c.Theirs, &theirs}}
	if !oursFirst {
		slices.Reverse(sides)
	}
	for _, s := range sides {
		runtime.GC() // neither pays for the other's garbage
		if *s.rate, err = s.run(each); err != nil {
			return 0, 0, err
		}
	}
	return ours, theirs, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Header prints the head of the table that Print fills.
func Header(w io.Writer) {
	fmt.Fprintf(w, "| %-44s | %9s | %9s | %7s | %-11s | %-11s | %6s | %-4s |\n", "cell", "ours/s", "theirs/s", "ratio", "quartiles", "range", "gate", "met")
	fmt.Fprintf(w, "|%s|%s|%s|%s|%s|%s|%s|%s|\n", strings.Repeat("-", 46), strings.Repeat("-", 11), strings.Repeat("-", 11),
		strings.Repeat("-", 9), strings.Repeat("-", 13), strings.Repeat("-", 13), strings.Repeat("-", 8), strings.Repeat("-", 6))
}

// Print adds a row.
func (r Result) Print(w io.Writer) {
	met := "yes"
	switch {
	case !r.Met():
		met = "NO"
	case r.Cell.Gate == 0:
		met = "-"
	case r.Cell.Target > 0 && r.Ratio >= r.Cell.Target:
		met = "aim" // the target as well
	}
	gate := fmt.Sprintf("%.2f", r.Cell.Gate)
	fmt.Fprintf(w, "| %-44s | %9s | %9s | %7.2f | %5.2f–%-5.2f | %5.2f–%-5.2f | %6s | %-4s |\n", r.Cell.Name, rate(r.Ours), rate(r.Theirs),
		r.Ratio, r.Low, r.High, r.Least, r.Most, gate, met)
}

func rate(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%.1fk", v/1000)
	}
	return fmt.Sprintf("%.0f", v)
}

// Machine names what the figures were measured on.
func Machine() string {
	return fmt.Sprintf("%s, %d cores (GOMAXPROCS %d), %s/%s, %s", cpu(), runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func cpu() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
