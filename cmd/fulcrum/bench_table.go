package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

// benchTable prints steps as they are done.
type benchTable struct {
	*report
	b       *bench
	columns []benchColumn
}

// benchColumn is what a table tells of a valid step.
type benchColumn struct {
	title string
	width int
	value func(*measured) string
}

func newBenchTable(out io.Writer, b *bench) *benchTable {
	t := &benchTable{report: newReport(out, false), b: b}
	at := func(title string, width int, value func(*measured) string) {
		t.columns = append(t.columns, benchColumn{title, width, value})
	}
	at("throughput/s", 12, func(m *measured) string { return perSecond(m.Throughput()) })
	for _, q := range reportedQuantiles {
		at(q.name+" ms", 9, func(m *measured) string { return sure(m, q.q) })
	}
	if b.cmd.URL != "" {
		at("first byte p50", 14, func(m *measured) string { return quantile(m.FirstByte, .5) })
		at("errors", 8, func(m *measured) string { return thousands(m.Failed) })
		return t
	}
	at("queries/s", 10, func(m *measured) string { return perSecond(m.queriesPerSecond()) })
	at("rows/query", 10, func(m *measured) string { return fmt.Sprintf("%.1f", ratio(m.used.Rows, m.used.Queries)) })
	at("db µs/row", 10, func(m *measured) string { return micros(m.databaseCPU()) })
	at("own µs/row", 10, func(m *measured) string { return micros(m.ownCPU()) })
	return t
}

var reportedQuantiles = []struct {
	name string
	q    float64
}{{"p50", .50}, {"p95", .95}, {"p99", .99}}

// queriesPerSecond is the database's, within the window.
func (m *measured) queriesPerSecond() float64 { return float64(m.used.Queries) / m.Duration.Seconds() }

// databaseCPU is the processor time of the database for a good answer, negative if
// unknown.
func (m *measured) databaseCPU() time.Duration {
	if !m.used.CPUKnown || m.Completed == 0 {
		return -1
	}
	return m.used.CPU / time.Duration(m.Completed)
}

// ownCPU is that of this process, which holds the generator, the strategy, and an
// embedded database.
func (m *measured) ownCPU() time.Duration {
	if m.Completed == 0 {
		return -1
	}
	return m.CPU / time.Duration(m.Completed)
}

func perSecond(rate float64) string { return thousands(int(math.Round(rate))) }

// micros is a duration in microseconds, - if unknown.
func micros(d time.Duration) string {
	if d < 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 1, 64)
}

// sure is a quantile in milliseconds, with a ~ where fewer than ten samples lie
// beyond it.
func sure(m *measured, q float64) string {
	d, known := m.Quantile(q)
	switch {
	case !known:
		return "?"
	case !m.Response.Sufficient(q):
		return "~" + millis(d)
	}
	return millis(d)
}

// head says what is measured, and how to read the figures.
func (t *benchTable) head() {
	fmt.Fprintf(t.out, "%s: %s\n", t.b.what(), strings.Join(t.b.settings(), ", "))
	fmt.Fprintln(t.out, "times in ms from when a request was due (~ is unsure)")
	if t.b.cmd.Callers != nil {
		fmt.Fprintln(t.out, "In a closed loop callers wait for their answers, and a stall stops the load as well: this tells what can be done, not how long people wait.")
	}
	fmt.Fprintln(t.out)
	t.heading()
}

func (t *benchTable) heading() {
	load := "offered/s"
	if t.b.cmd.Callers != nil {
		load = "callers"
	}
	line := fmt.Sprintf("%10s  %-8s", load, "strategy")
	for _, c := range t.columns {
		line += fmt.Sprintf(" %*s", c.width, c.title)
	}
	if t.b.slo != (curve.SLO{}) {
		line += "  " + t.b.slo.String()
	}
	fmt.Fprintln(t.out, t.paint(bold, line))
}

// row tells a step, or why it has no figures.
func (t *benchTable) row(m *measured) {
	t.b.progress.erase()
	load := perSecond(m.offer.rate)
	if m.offer.callers > 0 {
		load = thousands(m.offer.callers)
	}
	line := fmt.Sprintf("%10s  %-8s", load, m.strategy)
	if v := m.Verdict(); v != "" {
		fmt.Fprintln(t.out, line+" "+t.paint(red, "invalid: "+v))
		return
	}
	for _, c := range t.columns {
		line += fmt.Sprintf(" %*s", c.width, c.value(m))
	}
	if t.b.slo != (curve.SLO{}) {
		kept := "kept"
		if m.breach != "" {
			kept = t.paint(red, m.breach)
		}
		line += "  " + kept
	}
	fmt.Fprintln(t.out, line)
}

// finish tells what the curves say, and what the columns mean.
func (t *benchTable) finish() {
	for _, c := range t.b.contenders {
		if c.result != nil {
			t.limits(c.name, *c.result)
		}
	}
	if t.b.cmd.Store == "" || !t.b.anyValid() {
		return
	}
	fmt.Fprintln(t.out, "\nrows/query counts the keys in a query; db µs/row is processor time of the database for each answer (- where it cannot be known),\nown µs/row that of this process: generator, strategy, and the database if it is embedded.")
	for _, c := range t.b.contenders {
		if c.chunk > 1 {
			fmt.Fprintf(t.out, "%s asks for %d keys at once; each key counts.\n", c.name, c.chunk)
		}
	}
}

// limits tells the four answers of a curve.
func (t *benchTable) limits(name string, r curve.Result) {
	fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, name))
	tell := func(what string, rate float64, why string) {
		value := perSecond(rate) + "/s"
		if rate == 0 {
			value = "not known"
		}
		if why != "" {
			value += "  (" + why + ")"
		}
		fmt.Fprintf(t.out, "  %-12s %s\n", what, value)
	}
	tell(r.SLO.String(), r.SLORate, r.SLOLimit)
	tell("power point", r.PowerRate, "most throughput for its response time")
	why := r.NoKnee
	if why == "" {
		why = "beyond it, response rises steeply"
	}
	tell("knee", r.KneeRate, why)
	if r.USL == nil {
		fmt.Fprintf(t.out, "  %-12s none: %s\n", "fit", r.NoUSL)
		return
	}
	fmt.Fprintf(t.out, "  %-12s γ %s, α %s, β %s, %s\n", "fit", estimate(r.USL.Gamma), estimate(r.USL.Alpha), estimate(r.USL.Beta), capacity(r))
}

// estimate is a coefficient with its interval of 95 % confidence.
func estimate(e curve.Estimate) string {
	if e.Held {
		return "0"
	}
	return fmt.Sprintf("%.4g [%.3g, %.3g]", e.Value, e.Low, e.High)
}

func capacity(r curve.Result) string {
	if math.IsInf(r.Capacity, 1) {
		return "no capacity in sight"
	}
	return "capacity " + perSecond(r.Capacity) + "/s"
}
