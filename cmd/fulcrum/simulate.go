package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/sim"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// simulateCommand is fulcrum simulate.
type simulateCommand struct {
	simulateBackend `embed:""`
	simulateLoad    `embed:""`
	simulateTuner   `embed:""`

	Bench  string `help:"Learn --a, --b and --rtt from what fulcrum bench --store --json wrote: its steps of the strategy fulcrum." placeholder:"FILE"`
	Verify string `help:"Instead: measure a database at five loads, predict the same, and print how far off that is." placeholder:"DSN"`
	JSON   bool   `help:"Print the results as JSON and nothing else." name:"json"`

	arrivals load.Arrivals
}

// simulateBackend says what is modelled: T(n) = a + b·n while nobody else is there.
type simulateBackend struct {
	A     time.Duration `help:"What a query costs by itself, on the database's CPU." default:"180us"`
	B     time.Duration `help:"What each key adds." default:"4us"`
	RTT   time.Duration `help:"Round trip of the network." default:"0s" name:"rtt"`
	Cores int           `help:"Cores of the database." default:"2"`
	Sigma float64       `help:"Noise: σ of the logarithm of a query's work." default:"0.25"`

	Copies   int     `help:"Databases with the same data, each like this, among which the fastest is chosen." default:"1"`
	SlowCopy float64 `help:"The last of them takes so many times as long." default:"1" placeholder:"X"`
}

// simulateLoad says what arrives.
type simulateLoad struct {
	Rate     []float64     `help:"Loads to simulate, in keys per second. Default: 20, 50, 80, 95 and 130 % of capacity." placeholder:"R,…"`
	Callers  []int         `help:"Instead: so many callers, each of which asks again when it has its answer." placeholder:"N,…"`
	Due      string        `name:"arrivals" help:"When requests are due: poisson or trace:FILE[@SPEED]." default:"poisson"`
	Times    float64       `help:"How many times the load: what if there were ten times as much?" default:"1"`
	Duration time.Duration `help:"How long is measured, in virtual time." default:"5s"`
	Warmup   time.Duration `help:"How long the same load comes before." default:"3s"`
	Seed     uint64        `help:"Of all that is random: the same seed, the same result." default:"1"`
}

// simulateTuner says who decides.
type simulateTuner struct {
	Tuner     []string      `help:"Who sets the batches in flight: auto, fixed, threshold. Several are compared." default:"auto"`
	InFlight  int           `help:"Batches in flight of fixed and threshold: K." default:"4" name:"k"`
	MaxFlight int           `help:"Most batches in flight." default:"64" name:"max-k"`
	MaxBatch  int           `help:"Most keys in a batch." default:"200"`
	SLO       time.Duration `help:"The p99 to keep: auto then looks for the most throughput within it." placeholder:"D" name:"p99"`
	Cost      bool          `help:"Prefer few queries: auto may hold small batches."`
	Explain   bool          `help:"Print each change of K with its reason."`
}

// Validate refuses what cannot be simulated; kong calls it.
func (c *simulateCommand) Validate() (err error) {
	c.arrivals, err = load.ParseArrivals(c.Due)
	switch {
	case err != nil:
		return fmt.Errorf("--arrivals: %w", err)
	case !c.arrivals.Trace() && c.arrivals.String() != "poisson":
		return fmt.Errorf("--arrivals: %s is not simulated; use poisson or trace:FILE", c.arrivals)
	case c.A < 0 || c.B < 0 || c.A+c.B == 0:
		return errors.New("--a and --b: at least one must be over 0")
	case c.RTT < 0 || c.Sigma < 0 || c.Sigma > 3:
		return errors.New("--rtt must be at least 0, --sigma between 0 and 3")
	case c.Cores < 1 || c.Cores > 1024:
		return fmt.Errorf("--cores: %d is not between 1 and 1024", c.Cores)
	case c.Copies < 1 || c.Copies > sim.MaxCopies:
		return fmt.Errorf("--copies: %d is not between 1 and %d", c.Copies, sim.MaxCopies)
	case !(c.SlowCopy >= 1 && c.SlowCopy <= 1000):
		return fmt.Errorf("--slow-copy: %v is not between 1 and 1000", c.SlowCopy)
	case c.SlowCopy > 1 && c.Copies == 1:
		return errors.New("--slow-copy: there is but one database; say --copies 3")
	case c.Verify != "" && c.Copies > 1:
		return errors.New("--verify: it measures one database; leave out --copies")
	case !(c.Times > 0 && c.Times <= 1e6):
		return fmt.Errorf("--times: %v is not over 0 and up to 1000000", c.Times)
	case c.Duration <= 0 || c.Warmup < 0 || c.Duration+c.Warmup > time.Hour:
		return errors.New("--duration must be over 0, and with --warmup at most 1h")
	}
	for _, r := range c.Rate {
		if !(r > 0 && r <= 1e7) {
			return fmt.Errorf("--rate: %v is not over 0 and up to 10000000", r)
		}
	}
	for _, n := range c.Callers {
		if n < 1 || n > 100_000 {
			return fmt.Errorf("--callers: %d is not between 1 and 100000", n)
		}
	}
	for _, name := range c.Tuner {
		if _, err := c.newTuner(name); err != nil {
			return fmt.Errorf("--tuner: %w", err)
		}
	}
	return nil
}

func (c *simulateCommand) newTuner(name string) (tune.Tuner, error) {
	kind, err := tune.ParseKind(name)
	if err != nil {
		return nil, err
	}
	cfg := tune.Config{Kind: kind, InFlight: c.InFlight, MaxInFlight: c.MaxFlight, MaxBatch: c.MaxBatch, P99: c.SLO}
	if kind == tune.Auto {
		cfg.InFlight = 0
	}
	if c.Cost {
		cfg.Prefer = tune.PreferCost
	}
	return tune.New(cfg)
}

func (c *simulateCommand) backend() sim.Backend {
	return sim.Backend{RoundTrip: c.RTT, PerBatch: c.A, PerKey: c.B, Cores: c.Cores, Sigma: c.Sigma, Crowding: 0.02}
}

// Run simulates each load with each tuner and prints a table or JSON.
func (c *simulateCommand) Run(t terminal) error {
	if c.Bench != "" {
		if err := c.learn(c.Bench); err != nil {
			return fmt.Errorf("simulate: --bench: %w", err)
		}
	}
	if c.Verify != "" {
		return c.verify(t)
	}
	var all []simulated
	for _, l := range c.loads() {
		for _, name := range c.Tuner {
			if t.ctx.Err() != nil {
				return errors.New("simulate: interrupted")
			}
			s, err := c.simulate(t, l, name)
			if err != nil {
				return fmt.Errorf("simulate: %w", err)
			}
			all = append(all, s)
		}
	}
	if c.JSON {
		e := json.NewEncoder(t.stdout)
		e.SetIndent("", "  ")
		return e.Encode(simulateJSON{c.modelJSON(), all})
	}
	return c.print(t, all)
}

// simulatedLoad is one load with its name.
type simulatedLoad struct {
	name    string
	offered float64
	load    sim.Load
	until   time.Duration // 0: warm-up and duration
}

func (c *simulateCommand) loads() []simulatedLoad {
	switch {
	case len(c.Callers) > 0:
		var all []simulatedLoad
		for _, n := range c.Callers {
			n = max(1, int(float64(n)*c.Times))
			all = append(all, simulatedLoad{name: fmt.Sprintf("%d callers", n), load: sim.Load{Callers: n}})
		}
		return all
	case c.arrivals.Trace():
		return []simulatedLoad{c.replay()}
	}
	rates := c.Rate
	if rates == nil {
		for _, part := range []float64{.2, .5, .8, .95, 1.3} {
			rates = append(rates, part*c.capacity())
		}
	}
	var all []simulatedLoad
	for _, r := range rates {
		r *= c.Times
		all = append(all, simulatedLoad{name: fmt.Sprintf("%.0f/s", r), offered: r, load: sim.Steady(r)})
	}
	return all
}

// replay has the trace's arrivals, each Times over: a share of them, or copies
// spread evenly to the next one.
func (c *simulateCommand) replay() simulatedLoad {
	l := simulatedLoad{name: c.arrivals.String(), until: c.arrivals.Span(), offered: c.arrivals.Rate() * c.Times}
	next := c.arrivals.Schedule(1, 1, 0)
	at, ok := next()
	for due := 0.0; ok; {
		following, more := next()
		gap := max(0, following-at)
		due += c.Times
		copies := int(due)
		due -= float64(copies)
		for i := range copies {
			l.load.Trace = append(l.load.Trace, at+gap*time.Duration(i)/time.Duration(copies))
		}
		at, ok = following, more
	}
	return l
}

func (c *simulateCommand) setup(l simulatedLoad, tuner tune.Tuner) sim.Setup {
	u := sim.Setup{
		Backend: c.backend(), Load: l.load, Tuner: tuner, Seed: c.Seed, KeepAll: len(c.Callers) > 0,
		From: c.Warmup, To: c.Warmup + c.Duration,
	}
	if len(c.Callers) > 0 {
		u.Yield = 5 * time.Microsecond
	}
	if l.until > 0 {
		u.From, u.To = 0, l.until
	}
	return u
}

// simulate runs one load with one tuner.
func (c *simulateCommand) simulate(t terminal, l simulatedLoad, name string) (simulated, error) {
	tuner, err := c.newTuner(name)
	if err != nil {
		return simulated{}, err
	}
	u := c.setup(l, tuner)
	if err := c.addCopies(&u, name); err != nil {
		return simulated{}, err
	}
	if c.Explain {
		u.Decided = func(now time.Duration, d tune.Decision) {
			if d.Changed() || d.Why.MaxBatchWas != d.MaxBatch {
				fmt.Fprintf(t.stderr, "%s %s %.3fs %s\n", l.name, name, now.Seconds(), d)
			}
		}
	}
	begun := time.Now()
	r := sim.Run(u)
	return newSimulated(l, name, r, time.Since(begun)), nil
}

// addCopies adds the further databases, the last of them slower.
func (c *simulateCommand) addCopies(u *sim.Setup, name string) error {
	for i := 1; i < c.Copies; i++ {
		tuner, err := c.newTuner(name)
		if err != nil {
			return err
		}
		b := c.backend()
		if i == c.Copies-1 {
			b.RoundTrip = time.Duration(float64(b.RoundTrip) * c.SlowCopy)
			b.PerBatch = time.Duration(float64(b.PerBatch) * c.SlowCopy)
			b.PerKey = time.Duration(float64(b.PerKey) * c.SlowCopy)
		}
		u.Copies = append(u.Copies, sim.Copy{Backend: b, Tuner: tuner})
	}
	return nil
}

// capacity is that of all databases together, but for the slow one.
func (c *simulateCommand) capacity() float64 {
	n := c.Copies
	if c.SlowCopy > 1 {
		n--
	}
	return float64(n) * c.backend().Capacity(c.MaxBatch)
}

// shares are the parts of the queries that the copies got, such as 50/49/1 %.
func shares(parts []float64) string {
	if len(parts) < 2 {
		return ""
	}
	text := make([]string, len(parts))
	for i, p := range parts {
		text[i] = strconv.FormatFloat(100*p, 'f', 1, 64)
	}
	return strings.Join(text, "/") + " %"
}

func (c *simulateCommand) print(t terminal, all []simulated) error {
	fmt.Fprintf(t.stdout, "Simulated: T(n) = %s + n·%s + round trip %s, %d cores, at most %d keys a batch; capacity %.0f keys/s\n",
		c.A, c.B, c.RTT, c.Cores, c.MaxBatch, c.capacity())
	last := ""
	if c.Copies > 1 {
		fmt.Fprintf(t.stdout, "%d copies, the last one %v times as slow\n", c.Copies, c.SlowCopy)
		last = "queries by copy"
	}
	fmt.Fprintln(t.stdout)
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, strings.Join([]string{"load", "tuner", "answered/s", "shed", "p50 ms", "p95 ms", "p99 ms", "K", "keys/query", "queries/s", last, ""}, "\t"))
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.1f %%\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\t%.0f\t%s\t\n", s.Load, s.Tuner, s.Throughput, 100*s.Shed,
			1e3*s.Response.P50, 1e3*s.Response.P95, 1e3*s.Response.P99, s.K, s.RowsPerQuery, s.Queries, shares(s.Shares))
	}
	return w.Flush()
}
