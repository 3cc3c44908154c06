package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/sim"
	"github.com/fulcrum-data/fulcrum/internal/usage"
	"github.com/fulcrum-data/fulcrum/internal/usage/logs"
)

// analyzeCommand is fulcrum analyze.
type analyzeCommand struct {
	Files []string      `arg:"" optional:"" name:"file" help:"Logs, compressed or not (gzip, xz, bzip2, zstd, tar). - is standard input."`
	Live  string        `help:"Instead: the admin listener of a running gateway whose configuration has usage: true." placeholder:"URL"`
	For   time.Duration `help:"How long it is listened to; Ctrl-C ends it sooner." default:"1m"`

	Format       string   `help:"Format of the logs: auto, combined, common, ltsv, json, iis, csv, openstack, envoy, pg-csvlog, pg-stat-statements, trace:int32be, trace:int64be, trace:start-count or trace:counts." default:"auto"`
	FormatString string   `help:"Instead: the format string of nginx, Envoy or Apache." placeholder:"S"`
	Field        []string `help:"What a field is called in JSON, LTSV or CSV (there also its number): NAME=FIELD, where FIELD is time, request, path, key, status, client, agent, aborted, count, seconds, ms, us or ns." placeholder:"NAME=FIELD" sep:"none"`

	ApdexThreshold time.Duration `help:"Up to when a request satisfies." default:"300ms"`
	KeyTemplate    string        `help:"What of a path is the key: a path such as /users/{key} or /users?id={key}, where * is any segment; auto: up to the first segment with a digit. Default: all of it." placeholder:"T"`
	Entries        []uint64      `help:"Further cache sizes to tell the miss ratio of." placeholder:"N,…"`

	A     time.Duration `help:"For the advice: what a query costs the database by itself." default:"180us"`
	B     time.Duration `help:"What each key adds." default:"4us"`
	RTT   time.Duration `help:"Round trip to the database." default:"0s" name:"rtt"`
	Cores int           `help:"Cores of the database." default:"2"`
	Times float64       `help:"How many times the load: what would be advised if there were ten times as much?" default:"1"`

	Experience string `help:"The admin listener of a gateway that was told what people feel: the SLO that is advised then counts it. Default: that of --live." placeholder:"URL"`

	JSON bool   `help:"Print the report as JSON and nothing else." name:"json"`
	HTML string `help:"Write a page with plots, which needs nothing else." placeholder:"FILE" name:"html"`

	key  usage.KeyTemplate
	live string // URL of the stream
}

// Validate refuses what cannot be analysed; kong calls it.
func (c *analyzeCommand) Validate() (err error) {
	if err := c.options().Check(); err != nil {
		return fmt.Errorf("--format, --format-string or --field: %w", err)
	}
	if c.key, err = usage.ParseKeyTemplate(c.KeyTemplate); err != nil {
		return fmt.Errorf("--key-template: %w", err)
	}
	if c.live, err = liveURL(c.Live); err != nil {
		return fmt.Errorf("--live: %w", err)
	}
	switch {
	case (c.Live == "") == (len(c.Files) == 0):
		return errors.New("name logs, or a gateway with --live")
	case c.For <= 0:
		return fmt.Errorf("--for: %v is not over 0", c.For)
	case c.ApdexThreshold <= 0:
		return fmt.Errorf("--apdex-threshold: %v is not over 0", c.ApdexThreshold)
	case c.A < 0 || c.B < 0 || c.A+c.B == 0:
		return errors.New("--a and --b: at least one must be over 0")
	case c.RTT < 0:
		return errors.New("--rtt must be at least 0")
	case !(c.Times > 0 && c.Times <= 1e6):
		return fmt.Errorf("--times: %v is not over 0 and up to 1000000", c.Times)
	case c.Cores < 1 || c.Cores > 1024:
		return fmt.Errorf("--cores: %d is not between 1 and 1024", c.Cores)
	}
	return nil
}

func (c *analyzeCommand) options() logs.Options {
	return logs.Options{Format: c.Format, FormatString: c.FormatString, Fields: c.Field}
}

// Run reads the logs and prints what they say.
func (c *analyzeCommand) Run(t terminal) error {
	all, err := c.inputs()
	if c.live != "" {
		all, err = c.listen(t.ctx)
		t.ctx = context.WithoutCancel(t.ctx) // what was heard until then is told
	}
	if err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	watch := newReading(t.stderr, all)
	a, err := c.read(t.ctx, all, watch)
	watch.end()
	if err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	if err := c.feel(t.ctx, a); err != nil {
		return fmt.Errorf("analyze: --experience: %w", err)
	}
	report := reportOf(a, all)
	if c.HTML != "" {
		if err := writeUsagePage(c.HTML, strings.Join(c.Files, ", "), report); err != nil {
			return fmt.Errorf("analyze: --html: %w", err)
		}
	}
	if c.JSON {
		e := json.NewEncoder(t.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return printUsage(t.stdout, report, all, watch)
}

// input is a log on its way.
type input struct {
	name   string
	size   int64 // bytes; 0: unknown
	file   *counted
	source *logs.Source
}

func (i *input) close() { i.file.Close() }

// counted counts what was read of a file.
type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

// inputs looks at the beginning of each log. They are read in order of time, as
// rotated logs seldom are given.
func (c *analyzeCommand) inputs() ([]*input, error) {
	var all []*input
	for _, name := range c.Files {
		in, err := c.open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if name != "-" {
			in.close() // there may be more logs than files that may be open
		}
		all = append(all, in)
	}
	slices.SortStableFunc(all, func(a, b *input) int { return cmp.Compare(a.source.First, b.source.First) })
	return all, nil
}

func (c *analyzeCommand) open(name string) (*input, error) {
	in := &input{name: name}
	if name == "-" {
		in.file = &counted{ReadCloser: os.Stdin}
	} else {
		file, err := os.Open(name)
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) {
				err = path.Err // the name comes before it anyway
			}
			return nil, err
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		} else if err == nil && info.IsDir() {
			file.Close()
			return nil, errors.New("it is a directory: name the logs in it")
		}
		in.file = &counted{ReadCloser: file}
	}
	var err error
	if in.source, err = logs.Open(in.file, c.options()); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// read reads all logs.
func (c *analyzeCommand) read(ctx context.Context, all []*input, watch *reading) (*usage.Analyzer, error) {
	cfg := usage.Config{Apdex: c.ApdexThreshold, Key: c.key, Entries: c.Entries, Backend: c.backend(), Times: c.Times}
	for _, in := range all {
		cfg.Resolution = max(cfg.Resolution, in.source.Resolution)
	}
	a := usage.New(cfg)
	for _, in := range all {
		if err := c.readOne(ctx, in, a, watch); err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
	}
	return a, nil
}

func reportOf(a *usage.Analyzer, all []*input) *usage.Report {
	r := a.Report()
	for _, in := range all {
		r.Skipped += in.source.Skipped
		if !strings.Contains(r.Format, in.source.Format) {
			r.Format = strings.TrimPrefix(r.Format+","+in.source.Format, ",")
		}
	}
	return r
}

func (c *analyzeCommand) readOne(ctx context.Context, in *input, a *usage.Analyzer, watch *reading) error {
	if in.name != "-" && c.live == "" {
		again, err := c.open(in.name)
		if err != nil {
			return err
		}
		*in = *again
	}
	defer in.close()
	watch.begin(in)
	requests := 0
	err := in.source.Each(ctx, func(r *usage.Record) { requests++; a.Add(r) }, watch.tell)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	if requests == 0 {
		return nothing(in.source)
	}
	return nil
}

// nothing explains a log without requests.
func nothing(s *logs.Source) error {
	if len(s.Broken) == 0 {
		return fmt.Errorf("no requests in it: %d lines, none of which is one (format %s)", s.Lines, s.Format)
	}
	b := s.Broken[0]
	return fmt.Errorf("none of its %d lines has the format %s; line %d is %s", s.Lines, s.Format, b.Number, b.Text)
}

func (c *analyzeCommand) backend() sim.Backend {
	return sim.Backend{RoundTrip: c.RTT, PerBatch: c.A, PerKey: c.B, Cores: c.Cores, Sigma: .25, Crowding: .02}
}

// reading shows on a terminal how far and how fast logs are read.
type reading struct {
	out       io.Writer
	begun     time.Time
	shown     time.Time
	in        *input
	all, done int64 // bytes
	unknown   bool  // how much there is
	lines     uint64
	took      time.Duration
}

func newReading(out io.Writer, all []*input) *reading {
	r := &reading{out: out, begun: time.Now()}
	if !onTerminal(out) {
		r.out = nil
	}
	for _, in := range all {
		r.all += in.size
		r.unknown = r.unknown || in.size == 0
	}
	return r
}

func (r *reading) begin(in *input) {
	if r.in != nil {
		r.done += r.in.file.n
		r.lines += r.in.source.Lines
	}
	r.in = in
}

// total is how many lines were read.
func (r *reading) total() uint64 {
	if r.in == nil {
		return 0
	}
	return r.lines + r.in.source.Lines
}

const tellEvery = 250 * time.Millisecond

func (r *reading) tell() {
	now := time.Now()
	if r.out == nil || now.Sub(r.shown) < tellEvery || now.Sub(r.begun) < time.Second {
		return
	}
	r.shown = now
	took := now.Sub(r.begun)
	text := fmt.Sprintf("%s: %s lines, %s/s", r.in.name, thousands(int(r.total())), thousands(int(float64(r.total())/took.Seconds())))
	if at := r.done + r.in.file.n; !r.unknown && r.all > 0 && at > 0 {
		part := float64(at) / float64(r.all)
		left := time.Duration(float64(took) * (1 - part) / part)
		text += fmt.Sprintf(" · %.0f %%, %s left", math.Floor(100*part), left.Round(time.Second))
	}
	fmt.Fprint(r.out, eraseLine, text)
}

func (r *reading) end() {
	r.took = max(time.Since(r.begun), time.Millisecond)
	if r.out != nil && !r.shown.IsZero() {
		fmt.Fprint(r.out, eraseLine)
	}
}
