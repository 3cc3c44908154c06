package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/gateway"
	"github.com/fulcrum-data/fulcrum/internal/hist"
	"golang.org/x/term"
)

// report tells on the terminal what the demo does.
type report struct {
	out   io.Writer
	color bool
	json  bool
}

func newReport(out io.Writer, asJSON bool) *report {
	return &report{out: out, json: asJSON, color: onTerminal(out)}
}

// onTerminal reports whether people look at it, in colour.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Colours as terminals know them.
const (
	bold = "1"
	dim  = "2"
	red  = "31"
)

func (r *report) paint(color, text string) string {
	if !r.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// classOrder is the order in which classes are shown.
var classOrder = []fulcrum.Class{fulcrum.ClassUrgent, fulcrum.ClassNormal, fulcrum.ClassBulk}

// welcome says where everything is, and heads the table.
func (r *report) welcome(g *gateway.Gateway, c *demoCommand) {
	until := "Ctrl-C ends it"
	if c.For > 0 {
		until = "for " + c.For.String()
	}
	fmt.Fprintf(r.out, "data   http://%s\n", g.Addr())
	fmt.Fprintf(r.out, "see    %s\n", r.paint(bold, fmt.Sprintf("http://%s/", g.AdminAddr())))
	fmt.Fprintf(r.out, "admin  http://%s  /metrics /healthz /readyz /api/v1/stats /debug/pprof/\n", g.AdminAddr())
	fmt.Fprintf(r.out, "try    %s\n", r.paint(bold, fmt.Sprintf("curl -i http://%s/v1/users/42", g.Addr())))
	fmt.Fprintf(r.out, "load   %s keys/s, %s; times are p50/p99 in ms from when a request was due (~ is unsure)\n\n", thousands(c.Rate), until)
	fmt.Fprintln(r.out, r.paint(bold, fmt.Sprintf("%4s %9s %10s %6s %6s %6s %12s %12s %12s %9s %12s",
		"time", "offered/s", "answered/s", "errors", "batch", "saved", "urgent", "normal", "bulk", "changes/s", "changes")))
}

// watch prints a row a second until the traffic is done, or returns why serving ended.
func (r *report) watch(t *traffic, done <-chan struct{}, served <-chan error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := t.snapshot()
	for second := 1; ; second++ {
		select {
		case <-done:
			if now := t.snapshot().since(last); now.at > time.Second*9/10 { // the last second, nearly
				r.row(second, now)
			}
			return nil
		case err := <-served:
			if err == nil {
				err = fmt.Errorf("demo: the gateway stopped by itself")
			}
			return err
		case <-tick.C:
			now := t.snapshot()
			r.row(second, now.since(last))
			last = now
		}
	}
}

func (r *report) row(second int, s snapshot) {
	per := s.at.Seconds()
	failed := fmt.Sprintf("%6s", thousands(s.failed))
	if s.failed > 0 {
		failed = r.paint(red, failed)
	}
	fmt.Fprintf(r.out, "%s %9s %10s %s %6.1f %6s",
		r.paint(dim, fmt.Sprintf("%3ds", second)), thousands(int(float64(s.offered)/per)), thousands(int(float64(s.answered)/per)),
		failed, ratio(s.keys, s.batches), percent(s.saved, s.saved+s.batches))
	for _, class := range classOrder {
		h := s.response[class]
		fmt.Fprintf(r.out, " %12s", quantile(h, .50)+"/"+quantile(h, .99))
	}
	fmt.Fprintf(r.out, " %9s %12s\n", thousands(int(float64(s.written)/per)), quantile(s.writing, .50)+"/"+quantile(s.writing, .99))
}

// finish sums up, as text or as JSON.
func (r *report) finish(stdout io.Writer, s summary) error {
	if r.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	fmt.Fprintf(r.out, "\n%s\n", r.paint(bold, fmt.Sprintf("summary of %.1f s", s.Seconds)))
	fmt.Fprintf(r.out, "requests    %s offered (%s/s), %s answered (%s/s)\n",
		thousands(s.Requests), thousands(int(s.OfferedRPS)), thousands(s.Answered), thousands(int(s.ThroughputRPS)))
	errors := fmt.Sprintf("errors      %s", thousands(s.Errors))
	if s.Errors > 0 {
		errors = r.paint(red, errors+"  such as: "+strings.Join(s.FirstErrors, "; "))
	}
	fmt.Fprintln(r.out, errors)
	fmt.Fprintf(r.out, "mean batch  %.1f keys\n", s.MeanBatch)
	fmt.Fprintf(r.out, "queries     %s instead of %s: %s saved (%.1f %%)\n\n",
		thousands(s.Queries), thousands(s.Queries+s.Saved), thousands(s.Saved), 100*s.SavedRatio)
	fmt.Fprintln(r.out, r.paint(bold, fmt.Sprintf("%-7s %12s %10s %10s %10s", "class", "requests", "p50 ms", "p99 ms", "samples")))
	for _, class := range classOrder {
		c := s.Classes[class.String()]
		fmt.Fprintf(r.out, "%-7s %12s %10s %10s %10s\n", class, thousands(c.Requests),
			quantile(c.response, .50), quantile(c.response, .99), thousands(c.Response.Samples))
	}
	fmt.Fprintf(r.out, "%-7s %12s %10s %10s %10s\n", "changes", thousands(s.Writes.Requests),
		quantile(s.Writes.response, .50), quantile(s.Writes.response, .99), thousands(s.Writes.Response.Samples))
	_, err := fmt.Fprintln(r.out, "\nA bulk request asks for 20 keys at once; each key counts as a request, each call as a sample.")
	return err
}

// quantile is in milliseconds, with a ~ where fewer than ten samples lie beyond it.
func quantile(h hist.Snapshot, q float64) string {
	if h.Count() == 0 {
		return "-"
	}
	text := millis(h.Quantile(q))
	if !h.Sufficient(q) {
		text = "~" + text
	}
	return text
}

// millis has three digits that matter.
func millis(d time.Duration) string {
	ms := d.Seconds() * 1000
	switch {
	case ms < 9.995:
		return strconv.FormatFloat(ms, 'f', 2, 64)
	case ms < 99.95:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 0, 64)
}

func ratio(a, b uint64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func percent(part, whole uint64) string { return fmt.Sprintf("%.1f%%", 100*ratio(part, whole)) }

// thousands writes a number with commas.
func thousands[N int | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
