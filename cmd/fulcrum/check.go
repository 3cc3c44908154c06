package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/config"
	"github.com/fulcrum-data/fulcrum/internal/gateway"
	"github.com/fulcrum-data/fulcrum/store"
)

// checkCommand is fulcrum check.
type checkCommand struct {
	Config  string   `help:"The configuration to check." short:"c" required:"" placeholder:"FILE"`
	JSON    bool     `help:"Print the result as JSON." name:"json"`
	Explain []string `help:"Tell which region's policy a request with this header gets, and why. May be there several times; an empty one means no header." sep:"none" placeholder:"'NAME: VALUE'"`
	From    string   `help:"The address that request comes from." default:"127.0.0.1" placeholder:"ADDRESS"`
}

// checkJSON is the result of a check.
type checkJSON struct {
	OK        bool            `json:"ok"`
	Problems  config.Problems `json:"problems"`
	Store     string          `json:"store,omitempty"`
	Pool      *poolJSON       `json:"pool,omitempty"`
	Tuner     *tunerJSON      `json:"tuner,omitempty"`
	Replicas  []replicaJSON   `json:"replicas,omitempty"`
	Redis     *redisJSON      `json:"redis,omitempty"`
	Resources []resourceJSON  `json:"resources"`
	Regions   []regionJSON    `json:"regions"`
	Explained *explainedJSON  `json:"explained,omitempty"`
}

type poolJSON struct {
	Used int `json:"used"` // the most connections that all requests together use
	Max  int `json:"max"`
}

// replicaJSON is a replica as it answered, or did not.
type replicaJSON struct {
	Name     string   `json:"name"`
	Region   string   `json:"region,omitempty"`
	Lag      *float64 `json:"lag_seconds,omitempty"`
	LagBytes *int64   `json:"lag_bytes,omitempty"`
	Problem  string   `json:"problem,omitempty"`
}

// redisJSON is a Redis that gateways share, as it answered, or did not.
type redisJSON struct {
	There   bool   `json:"there"`
	Problem string `json:"problem,omitempty"`
}

func checkRedis(g *gateway.Gateway) *redisJSON {
	h, ok := g.Shared()
	switch {
	case !ok:
		return nil
	case h.Lives == 0:
		return &redisJSON{Problem: oneLine(h.Trouble)}
	}
	return &redisJSON{There: true}
}

// String is what it is like, in a few words.
func (r *redisJSON) String() string {
	if r.There {
		return "answers"
	}
	return "does not answer, and without it nothing is kept: " + r.Problem
}

type tunerJSON struct {
	Kind        string `json:"kind"`
	MinInFlight int    `json:"min_in_flight"`
	MaxInFlight int    `json:"max_in_flight"`
	Reserved    int    `json:"reserved"`
}

type resourceJSON struct {
	Name  string   `json:"name"`
	Path  string   `json:"path"`
	Key   []string `json:"key"`
	Cache string   `json:"cache,omitempty"` // how much is kept, and for how long
}

type regionJSON struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`
	MaxBatch int    `json:"max_batch"`
	SLO      string `json:"slo,omitempty"`
	policy   string
}

// explainedJSON says which policy a request gets.
type explainedJSON struct {
	Region string `json:"region"`
	Policy string `json:"policy"`
	Why    string `json:"why"`
}

// Run reads the configuration, compares it with the database and tells what each
// resource gets. Nothing is listened on.
func (c *checkCommand) Run(t terminal) error {
	result, err := c.check(t)
	if err != nil {
		return err
	}
	print := result.print
	if c.JSON {
		print = result.printJSON
	}
	if err := print(t, c.Config); err != nil {
		return err
	}
	if !result.OK {
		return errReported
	}
	return nil
}

func (c *checkCommand) check(t terminal) (*checkJSON, error) {
	opened, _, err := configure(t.ctx, c.Config, io.Discard, true)
	result := &checkJSON{Problems: config.Problems{}, Resources: []resourceJSON{}, Regions: []regionJSON{}}
	if errors.As(err, &result.Problems) {
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	b := opened.gateway.Backend()
	most := b.MaxInFlight
	if b.Tuner != fulcrum.TunerAuto {
		most = b.InFlight
	}
	result.OK, result.Store = true, opened.Store.String()
	result.Pool = &poolJSON{Used: most + max(0, b.Reserved), Max: opened.db.Conns()}
	result.Tuner = &tunerJSON{Kind: tunerNames[b.Tuner], MinInFlight: max(1, b.MinInFlight), MaxInFlight: most, Reserved: max(0, b.Reserved)}
	result.Replicas = checkReplicas(t.ctx, opened.db)
	result.Redis = checkRedis(opened.gateway)
	for _, r := range opened.gateway.Describe() {
		result.Resources = append(result.Resources, resourceJSON{Name: r.Name, Path: r.Path, Key: r.Key, Cache: r.Cache})
	}
	for _, r := range opened.gateway.Regions() {
		result.Regions = append(result.Regions, regionJSON{Name: r.Name, Mode: r.Policy.Mode.String(), MaxBatch: r.Policy.MaxBatch, SLO: r.SLO, policy: r.String()})
	}
	if header, _ := c.headers(); len(c.Explain) > 0 {
		info, why := opened.gateway.Explain(net.JoinHostPort(c.From, "0"), header)
		result.Explained = &explainedJSON{Region: info.Name, Policy: info.String(), Why: why}
	}
	return result, opened.Close()
}

// replicaTime is how long replicas may take to answer a check.
const replicaTime = 3 * time.Second

// checkReplicas asks the replicas how far they lag. One that does not answer is told of, and
// no problem of the configuration.
func checkReplicas(ctx context.Context, db store.DB) (all []replicaJSON) {
	copied, ok := db.(store.Copied)
	if !ok {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, replicaTime)
	defer cancel()
	for _, c := range copied.Copies() {
		if c.Primary {
			continue
		}
		r := replicaJSON{Name: c.Name, Region: c.Region}
		if lag, err := c.Check(limited); err != nil {
			r.Problem = oneLine(err)
		} else {
			seconds := lag.Time.Seconds()
			r.Lag, r.LagBytes = &seconds, &lag.Bytes
		}
		all = append(all, r)
	}
	return all
}

// String is what a replica is like, in a few words.
func (r replicaJSON) String() string {
	switch {
	case r.Problem != "":
		return "does not answer: " + r.Problem
	case *r.Lag == 0 || *r.LagBytes == 0:
		return "has all that the primary has"
	}
	return fmt.Sprintf("%.1f s and %d bytes behind", *r.Lag, *r.LagBytes)
}

var tunerNames = map[fulcrum.Tuner]string{fulcrum.TunerAuto: "auto", fulcrum.TunerFixed: "fixed", fulcrum.TunerThreshold: "threshold"}

// Validate looks at the flags that kong cannot.
func (c *checkCommand) Validate() error {
	if _, err := netip.ParseAddr(c.From); err != nil {
		return fmt.Errorf("--from %q: want an address such as 192.0.2.1", c.From)
	}
	_, err := c.headers()
	return err
}

// headers reads what --explain was given.
func (c *checkCommand) headers() (http.Header, error) {
	h := http.Header{}
	for _, line := range c.Explain {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); line != "" && (!ok || name == "") {
			return nil, fmt.Errorf("--explain %q: want 'NAME: VALUE'", line)
		}
		if line != "" {
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h, nil
}

func (r *checkJSON) printJSON(t terminal, _ string) error {
	out := json.NewEncoder(t.stdout)
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

func (r *checkJSON) print(t terminal, file string) error {
	if !r.OK {
		_, err := fmt.Fprintf(t.stderr, "%s\n%s\n", r.Problems.Error(), count(len(r.Problems), "problem"))
		return err
	}
	fmt.Fprintf(t.stdout, "%s on %s\n", file, r.Store)
	table := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	for _, res := range r.Resources {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", res.Name, res.Path, strings.Join(res.Key, ", "))
		if res.Cache != "" {
			fmt.Fprintf(table, "  \tcache\t%s\n", res.Cache)
		}
	}
	for _, replica := range r.Replicas {
		fmt.Fprintf(table, "  replica %s\t%s\n", replica.Name, replica)
	}
	if r.Redis != nil {
		fmt.Fprintf(table, "  redis\t%s\n", r.Redis)
	}
	for _, region := range r.Regions {
		fmt.Fprintf(table, "  region %s\t%s\n", region.Name, region.policy)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if e := r.Explained; e != nil {
		fmt.Fprintf(t.stdout, "such a request gets: %s\n  because: %s\n", e.Policy, e.Why)
	}
	_, err := fmt.Fprintf(t.stdout, "tuner %s: %s in flight, %d reserved; up to %d of %s\nOK\n",
		r.Tuner.Kind, span(r.Tuner), r.Tuner.Reserved, r.Pool.Used, count(r.Pool.Max, "connection"))
	return err
}

// span is between which numbers of batches the tuner chooses.
func span(t *tunerJSON) string {
	if t.Kind != "auto" || t.MinInFlight == t.MaxInFlight {
		return strconv.Itoa(t.MaxInFlight)
	}
	return fmt.Sprintf("%d to %d", t.MinInFlight, t.MaxInFlight)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
