package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	loadreport "github.com/fulcrum-data/fulcrum/internal/load/report"
)

// writeFiles writes the plot, the page and the log that were asked for, of what was
// measured.
func (c *benchCommand) writeFiles(b *bench) error {
	r := b.report()
	var all []error
	if c.Plot != "" {
		all = append(all, loadreport.WritePlot(c.Plot, r))
	}
	for _, f := range []struct {
		path  string
		write func(*os.File) error
	}{
		{c.HTML, func(f *os.File) error { return loadreport.WriteHTML(f, r) }},
		{c.HDR, func(f *os.File) error { return loadreport.WriteHDR(f, r) }},
	} {
		if f.path == "" {
			continue
		}
		file, err := os.Create(f.path)
		if err == nil {
			err = errors.Join(f.write(file), file.Close())
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// report is all that was measured.
func (b *bench) report() loadreport.Report {
	r := loadreport.Report{
		Title: "Response time and throughput of " + b.what(), Machine: machine(), Settings: b.settings(),
		Begun: b.begun, SLO: b.slo,
	}
	for _, c := range b.contenders {
		curve := loadreport.Curve{Name: c.name, Result: c.result}
		for _, m := range c.steps {
			s := loadreport.Step{Step: m.Step, Rate: m.offer.rate}
			if m.asked {
				s.QueriesPerSecond, s.RowsPerQuery, s.CPUPerKey = m.queriesPerSecond(), ratio(m.used.Rows, m.used.Queries), m.databaseCPU()
			}
			curve.Steps = append(curve.Steps, s)
		}
		r.Curves = append(r.Curves, curve)
	}
	return r
}

// what is measured, in a few words.
func (b *bench) what() string {
	if b.cmd.URL != "" {
		return b.cmd.URL
	}
	return "table " + b.reads
}

// settings say how it is loaded.
func (b *bench) settings() []string {
	c := b.cmd
	all := []string{count(c.Connections, "connection")}
	if b.keys.String() != "" {
		all = append(all, "keys "+b.keys.String())
	}
	if c.Callers == nil {
		all = append(all, b.arrivals.String()+" arrivals")
	} else {
		all = append(all, "closed loop")
	}
	if c.Mix != "" {
		all = append(all, "classes "+c.Mix)
	}
	return append(all, b.rhythm(), fmt.Sprintf("seed %d", c.Seed))
}

// rhythm is how steps are divided.
func (b *bench) rhythm() string {
	switch {
	case b.arrivals.Trace():
		return "a trace of " + b.arrivals.Span().String()
	case b.rounds > 1:
		return fmt.Sprintf("steps of %s in %d interleaved rounds, each after %s of warm-up", b.cmd.Duration, b.rounds, b.warmup)
	}
	return fmt.Sprintf("steps of %s after %s of warm-up", b.cmd.Duration, b.warmup)
}

func machine() string {
	return fmt.Sprintf("%s, %s/%s, %s", count(runtime.NumCPU(), "processor"), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
