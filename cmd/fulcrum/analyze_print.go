package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage"
	"github.com/fulcrum-data/fulcrum/internal/usage/page"
)

// writeUsagePage writes the report as a page.
func writeUsagePage(name, logs string, r *usage.Report) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(page.Write(file, "Usage: "+logs, r), file.Close())
}

// usagePrinter writes a report that fits a screen: a paragraph for each question.
type usagePrinter struct {
	*usage.Report
	out bytes.Buffer
}

func printUsage(out io.Writer, r *usage.Report, all []*input, watch *reading) error {
	p := &usagePrinter{Report: r}
	p.inputs(all, watch)
	p.howMuch()
	p.howLong()
	p.together()
	p.hot()
	for _, n := range r.Notes {
		p.line("note", "%s", n)
	}
	p.advice()
	_, err := out.Write(p.out.Bytes())
	return err
}

// line is one of the report, with what it is about at its begin.
func (p *usagePrinter) line(about, format string, args ...any) {
	fmt.Fprintf(&p.out, "%-10s %s\n", about, fmt.Sprintf(format, args...))
}

// inputs says what was read, and what was not.
func (p *usagePrinter) inputs(all []*input, watch *reading) {
	names := fmt.Sprintf("%d logs", len(all))
	if len(all) == 1 {
		names = all[0].name
	}
	p.line(p.Format, "%s: %s requests, %s lines skipped; read in %s, %s lines/s", names, thousands(int(p.Requests)), thousands(int(p.Skipped)),
		watch.took.Round(time.Millisecond), thousands(int(float64(watch.total())/watch.took.Seconds())))
	for _, in := range all {
		if b := in.source.Broken; len(b) > 0 {
			p.line("skipped", "%s:%d %s", in.name, b[0].Number, b[0].Text)
		}
	}
}

func (p *usagePrinter) howMuch() {
	if p.Peak.RPS1 == nil {
		return
	}
	p.line("peak", "%s/s over 1 s, %s/s over 10 s, %s/s over 60 s; mean %s/s over %s", figure(p.Peak.RPS1), figure(p.Peak.RPS10), figure(p.Peak.RPS60),
		digits(float64(p.Requests)/math.Max(1, *p.Seconds)), (time.Duration(*p.Seconds) * time.Second).String())
	p.line("burst", "dispersion %s at 1 s, %s at 10 s, %s at 60 s; variation of gaps %s (all are 1 if requests come at random)",
		figure(p.Burst.Dispersion1), figure(p.Burst.Dispersion10), figure(p.Burst.Dispersion60), figure(p.Burst.CV))
	if s := p.Shape; s != nil {
		p.line("shape", "by hour, UTC, from midnight %s  by day, from Monday %s", bars(s.Hours[:]), bars(s.Days[:]))
	}
}

// bars draw shares, the largest as high as a line.
func bars(shares []float64) string {
	most := 0.0
	for _, s := range shares {
		most = max(most, s)
	}
	var b strings.Builder
	for _, s := range shares {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[int(math.Round(7*s/max(most, 1e-9)))])
	}
	return b.String()
}

func (p *usagePrinter) howLong() {
	if p.Latency.Samples > 0 {
		p.line("latency", "p50 %s, p95 %s, p99 %s; Apdex(%s) %.4f of %s", secondsOf(p.Latency.P50), secondsOf(p.Latency.P95), secondsOf(p.Latency.P99),
			secondsOf(&p.Apdex.Threshold), *p.Apdex.Score, thousands(int(p.Latency.Samples)))
	}
	q := p.Patience
	switch {
	case q == nil:
	case q.Abandoned == 0:
		p.line("patience", "nobody left before the answer (%s requests by people, %s time-outs, %s by bots)", thousands(int(q.Requests)), thousands(int(q.Timeouts)), thousands(int(q.Bots)))
	default:
		p.line("patience", "%s left (and %s time-outs); 5 %% are gone after %s (%s to %s); %s of those who wait leave each second (%s to %s)", thousands(int(q.Abandoned)), thousands(int(q.Timeouts)),
			secondsOf(q.Wait5), secondsOf(q.Wait5Low), secondsOf(q.Wait5High), shareText(q.Hazard.Value), shareText(q.Hazard.Low), shareText(q.Hazard.High))
	}
}

func (p *usagePrinter) together() {
	var all []string
	for _, w := range p.Together {
		if w.Window == .001 || w.Window == .005 || w.Window == .02 || w.Window == .1 || w.Window == 1 || w.Window == 10 {
			all = append(all, fmt.Sprintf("%s: %s (×%s)", secondsOf(&w.Window), digits(w.MeanBatch), digits(w.Clustering)))
		}
	}
	if all != nil {
		p.line("together", "requests in a window of %s; × is by chance 1", strings.Join(all, ", "))
	}
	if n := p.NPlusOne; n != nil && n.Long > 0 {
		p.line("N+1", "%s of %s runs ask for 5 rows and more one by one: %s (%s to %s); mostly %s, %s at a time", thousands(int(n.Long)), thousands(int(n.Runs)),
			shareText(n.Rate.Value), shareText(n.Rate.Low), shareText(n.Rate.High), n.Path, digits(n.MeanLength))
	}
	if p.MultiKey.Requests > 0 {
		p.line("multi-key", "%s requests (%s) ask for several keys already", thousands(int(p.MultiKey.Requests)), shareText(p.MultiKey.Share))
	}
}

func (p *usagePrinter) hot() {
	if c := p.Clients.Distinct; c != nil {
		p.line("clients", "%s", thousands(int(*c)))
	}
	k := p.Keys
	if k.Distinct == 0 {
		return
	}
	p.line("keys", "%s, %s of them asked for once; 80 %% of the requests ask for %s; skew %s", thousands(int(k.Distinct)), shareText(*k.OneHit), thousands(int(*k.Cover80)), skewText(k))
	for i, t := range k.Top[:min(5, len(k.Top))] {
		about := ""
		if i == 0 {
			about = "top"
		}
		p.line(about, "%9s  %s", thousands(int(t.Count)), printable(t.Key))
	}
	var all []string
	last := 2.0
	for _, m := range p.MissRatioCurve {
		if last-m.Ratio >= .08 || len(all) == 0 {
			all = append(all, fmt.Sprintf("%s: %s", thousands(int(m.Entries)), shareText(m.Ratio)))
			last = m.Ratio
		}
	}
	if all != nil {
		p.line("cache", "misses with so many entries: %s", strings.Join(all, ", "))
	}
}

func skewText(k usage.Keys) string {
	switch {
	case k.ZipfS == nil:
		return "not known: too few requests for each key"
	case k.ZipfLow != nil:
		return fmt.Sprintf("%.3f (%.3f to %.3f), Zipf", *k.ZipfS, *k.ZipfLow, *k.ZipfHigh)
	case k.ZipfFit == "zipf":
		return fmt.Sprintf("%.2f, Zipf among keys with 20 requests and more", *k.ZipfS)
	}
	return fmt.Sprintf("%.2f among keys with 20 requests and more, but not Zipf (off by %s)", *k.ZipfS, shareText(*k.Misfit))
}

// printable keeps what others wrote from moving the cursor.
func printable(s string) string {
	const most = 100
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(clean); len(r) > most {
		return string(r[:most]) + "…"
	}
	return clean
}

func (p *usagePrinter) advice() {
	p.out.WriteByte('\n')
	p.out.WriteString(usage.Fragment(p.Report))
}

// figure is a number that may not be known.
func figure(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return digits(*v)
}

// digits has three of them.
func digits(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(math.Round(v)))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func shareText(share float64) string { return digits(100*share) + " %" }

func secondsOf(s *float64) string {
	switch {
	case s == nil:
		return "unknown"
	case *s >= 1:
		return digits(*s) + " s"
	case *s >= 1e-3:
		return digits(*s*1e3) + " ms"
	}
	return digits(*s*1e6) + " µs"
}
