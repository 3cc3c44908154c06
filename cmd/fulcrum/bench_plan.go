package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
	loadreport "github.com/fulcrum-data/fulcrum/internal/load/report"
	"github.com/fulcrum-data/fulcrum/internal/load/target"
)

// benchPlan is what the flags mean.
type benchPlan struct {
	http       *target.HTTP
	strategies []string // of a store
	arrivals   load.Arrivals
	keys       load.Keys
	mix        load.Mix
	slo        curve.SLO // the zero value: none
	loads      []offer
	rounds     int
	warmup     time.Duration
}

// offer is a load: an open loop's rate, or a closed loop's callers.
type offer struct {
	rate    float64 // keys per second
	callers int
}

func (o offer) String() string {
	if o.callers > 0 {
		return count(o.callers, "caller")
	}
	return fmt.Sprintf("%s/s", thousands(int(math.Round(o.rate))))
}

const (
	defaultSLO      = "p99=20ms"
	defaultStrategy = "fulcrum"

	mostRounds   = 5
	leastRound   = time.Second
	mostWarmup   = time.Second
	warmupShare  = 5 // a fifth of a round
	leastStep    = 100 * time.Millisecond
	maxStep      = 24 * time.Hour
	maxAroundIt  = time.Hour
	maxBenchRate = 10_000_000
	maxCallers   = 20_000
)

func (c *benchCommand) makePlan() (p benchPlan, err error) {
	for _, part := range []func(*benchPlan) error{c.planTarget, c.planLoad, c.planTime, c.planRequests, c.planFiles} {
		if err := part(&p); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (c *benchCommand) planTarget(p *benchPlan) error {
	switch {
	case c.URL == "" && c.Store == "":
		return errors.New("name what to measure: --url URL or --store DSN")
	case c.URL != "" && c.Store != "":
		return errors.New("--url and --store exclude each other")
	case c.Connections < 1:
		return fmt.Errorf("--connections: %d is not at least 1", c.Connections)
	case c.URL != "":
		return c.planURL(p)
	case len(c.Header) > 0:
		return errors.New("--header is for --url")
	}
	return c.planStore(p)
}

func (c *benchCommand) planURL(p *benchPlan) error {
	for flag, given := range map[string]bool{
		"--strategy": c.Strategy != "", "--compare": c.Compare != nil, "--table": c.Table != "",
		"--key-column": c.Key != nil, "--columns": c.Columns != nil, "--cache": c.Cache != 0,
	} {
		if given {
			return fmt.Errorf("%s is for --store: how a service reads is its own affair", flag)
		}
	}
	p.strategies = []string{urlStrategy}
	var err error
	p.http, err = target.NewHTTP(target.HTTPConfig{
		URL: c.URL, Connections: c.Connections, Headers: c.Header, Classes: c.Mix != "",
	})
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	return nil
}

func (c *benchCommand) planStore(p *benchPlan) error {
	if c.Strategy != "" && c.Compare != nil {
		return errors.New("--strategy and --compare exclude each other")
	}
	p.strategies = c.Compare
	if c.Compare == nil {
		name := c.Strategy
		if name == "" {
			name = defaultStrategy
		}
		p.strategies = []string{name}
	}
	for i, name := range p.strategies {
		switch {
		case !slices.Contains(target.Strategies, name):
			return fmt.Errorf("strategy %q is none of %s", name, strings.Join(target.Strategies, ", "))
		case slices.Contains(p.strategies[:i], name):
			return fmt.Errorf("--compare: %s is there twice", name)
		}
	}
	if c.Cache != 0 && !slices.Contains(p.strategies, defaultStrategy) {
		return fmt.Errorf("--cache is for the strategy %s", defaultStrategy)
	}
	if c.WindowKeys < 1 || c.WindowWait <= 0 {
		return errors.New("--window-keys and --window-wait must be over 0")
	}
	if err := c.storeConfig().Check(); err != nil {
		return fmt.Errorf("--store: %w", err)
	}
	return nil
}

func (c *benchCommand) storeConfig() target.StoreConfig {
	return target.StoreConfig{
		DSN: c.Store, Table: c.Table, Key: c.Key, Columns: c.Columns, Connections: c.Connections,
		Window: target.WindowConfig{Keys: c.WindowKeys, Wait: c.WindowWait}, Cache: c.Cache,
	}
}

// planLoad decides which loads are offered.
func (c *benchCommand) planLoad(p *benchPlan) (err error) {
	if p.arrivals, err = load.ParseArrivals(c.Arrivals); err != nil {
		return fmt.Errorf("--arrivals: %w", err)
	}
	given := 0
	for _, is := range []bool{c.Rate != nil, c.Callers != nil, c.Curve} {
		if is {
			given++
		}
	}
	switch {
	case p.arrivals.Trace() && given > 0:
		return errors.New("--arrivals trace: has a rate of its own, which @SPEED multiplies: leave out --rate, --callers and --curve")
	case p.arrivals.Trace():
		p.loads = []offer{{rate: p.arrivals.Rate()}}
		return nil
	case given == 0:
		return errors.New("say how much load: --rate R, --callers N or --curve")
	case given > 1:
		return errors.New("--rate, --callers and --curve exclude each other")
	case c.Callers != nil && c.Arrivals != "poisson":
		return errors.New("--arrivals is for open loops: with --callers, a request is due when the one before is answered")
	}
	for _, r := range c.Rate {
		if !(r > 0 && r <= maxBenchRate) {
			return fmt.Errorf("--rate: %v is not over 0 and up to %d", r, maxBenchRate)
		}
		p.loads = append(p.loads, offer{rate: r})
	}
	for _, n := range c.Callers {
		if n < 1 || n > maxCallers {
			return fmt.Errorf("--callers: %d is not between 1 and %d", n, maxCallers)
		}
		p.loads = append(p.loads, offer{callers: n})
	}
	if c.Curve && !(c.Lowest > 0 && c.Lowest <= c.Highest && c.Highest <= maxBenchRate) {
		return fmt.Errorf("--lowest and --highest: %v and %v are not in order between 0 and %d", c.Lowest, c.Highest, maxBenchRate)
	}
	return nil
}

// planTime divides each step into rounds.
func (c *benchCommand) planTime(p *benchPlan) error {
	switch {
	case c.Duration < leastStep || c.Duration > maxStep:
		return fmt.Errorf("--duration: %s is not between %s and %s", c.Duration, leastStep, maxStep)
	case c.Drain <= 0 || c.Drain > maxAroundIt:
		return fmt.Errorf("--drain: %s is not over 0 and up to %s", c.Drain, maxAroundIt)
	case c.Warmup != nil && (*c.Warmup < 0 || *c.Warmup > maxAroundIt):
		return fmt.Errorf("--warmup: %s is not between 0 and %s", *c.Warmup, maxAroundIt)
	case c.Rounds < 0 || time.Duration(c.Rounds)*leastStep > c.Duration:
		return fmt.Errorf("--rounds: %d is not between 1 and one per %s of --duration", c.Rounds, leastStep)
	}
	p.rounds = c.Rounds
	switch {
	case p.arrivals.Trace() || c.Curve || len(p.strategies) == 1 && c.Rounds == 0:
		p.rounds = 1
	case c.Rounds == 0:
		p.rounds = int(min(mostRounds, max(1, c.Duration/leastRound)))
	}
	p.warmup = min(mostWarmup, c.Duration/time.Duration(p.rounds)/warmupShare)
	if c.Warmup != nil {
		p.warmup = *c.Warmup
	}
	return nil
}

// planRequests decides what is asked for.
func (c *benchCommand) planRequests(p *benchPlan) (err error) {
	switch {
	case c.Keys != "":
		if p.keys, err = load.ParseKeys(c.Keys); err != nil {
			return fmt.Errorf("--keys: %w", err)
		}
	case strings.Contains(c.URL, "{key}"):
		return errors.New("--keys: say which keys {key} stands for, such as uniform:1000")
	}
	if c.Mix != "" {
		if p.mix, err = load.ParseMix(c.Mix); err != nil {
			return fmt.Errorf("--mix: %w", err)
		}
		if err := c.planWrites(p); err != nil {
			return err
		}
	}
	slo := c.SLO
	if slo == "" && c.Curve {
		slo = defaultSLO
	}
	if slo != "" {
		if p.slo, err = curve.ParseSLO(slo); err != nil {
			return fmt.Errorf("--slo: %w", err)
		}
	}
	return nil
}

// planWrites sees whether what is measured can write.
func (c *benchCommand) planWrites(p *benchPlan) error {
	if !p.mix.Writes() {
		return nil
	}
	if c.URL != "" {
		return errors.New("--mix: write is for --store: what a service is to write nobody can guess")
	}
	for _, name := range p.strategies {
		if !slices.Contains(target.Writers, name) {
			return fmt.Errorf("--mix: strategy %s does not write: want %s", name, strings.Join(target.Writers, ", "))
		}
	}
	return nil
}

// planFiles checks that the results can be written.
func (c *benchCommand) planFiles(*benchPlan) error {
	if c.Plot != "" {
		if err := loadreport.CheckPlot(c.Plot); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	for _, f := range []struct{ flag, path string }{{"plot", c.Plot}, {"html", c.HTML}, {"hdr", c.HDR}} {
		if f.path == "" {
			continue
		}
		if info, err := os.Stat(filepath.Dir(f.path)); err != nil || !info.IsDir() {
			return fmt.Errorf("--%s: there is no folder %s", f.flag, filepath.Dir(f.path))
		}
		if info, err := os.Stat(f.path); err == nil && info.IsDir() {
			return fmt.Errorf("--%s: %s is a folder", f.flag, f.path)
		}
	}
	return nil
}
