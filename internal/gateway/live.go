package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// live is what a reload replaces, all at once. A request keeps the one it began with.
type live struct {
	guard     guard
	table     *region.Table
	resources map[string]*resource
}

// resource is what one name stands for.
type resource struct {
	name    string
	table   store.Table
	wait    fulcrum.Option // whether its requests wait for their queries by themselves
	readers []*reader      // by region

	write    *writer // nil if it cannot be written, as what follows
	writable store.Writable
	version  func(row []byte) string // nil without a version column
	keyParts int
}

type reader = fulcrum.Reader[store.Key, []byte]

// anyReader is a Reader of a region: all have its policy.
func (l *live) anyReader(r *region.Region) *reader {
	for _, res := range l.resources {
		return res.readers[r.Index()]
	}
	return nil // there is no gateway without resources
}

// place names one Reader.
type place struct{ resource, region string }

// retired is how long the Readers of a region that is no longer there are kept: a
// request that found it a moment ago must be answered, and it may come back.
const retired = 10 * time.Minute

// opened is a Reader with the time when its region went; zero if it is there.
type opened struct {
	*reader
	gone time.Time
}

// openAll opens every resource; its error has all that is wrong with any.
func (g *Gateway) openAll(ctx context.Context) error {
	var all []error
	for _, r := range g.cfg.Resources {
		table, err := g.cfg.DB.Open(ctx, r)
		if err != nil {
			all = append(all, fmt.Errorf("gateway: %w", err))
			continue
		}
		g.tables[r.Name] = table
	}
	return errors.Join(all...)
}

// policyOf is what the Readers of a region get.
func (c Config) policyOf(r *region.Region) fulcrum.Policy {
	p := c.Policy
	p.InFlight, p.Reserved = 0, 0
	for _, configured := range c.Regions {
		if configured.Name == r.Name {
			return r.Policy.Over(p)
		}
	}
	return p // a default region that nobody has configured
}

// prepare makes what a configuration says, without touching what holds: its error
// leaves everything as it was.
func (g *Gateway) prepare(cfg Config) (*live, error) {
	guard, err := newGuard(cfg)
	if err != nil {
		return nil, err
	}
	table, err := region.New(region.Config{Regions: cfg.Regions, Proxies: cfg.Proxies, Geo: cfg.Geo})
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	for _, r := range table.Regions() {
		if err := cfg.policyOf(r).Validate(); err != nil {
			return nil, fmt.Errorf("gateway: region %s: %w", r.Name, err)
		}
	}
	return &live{guard: guard, table: table, resources: make(map[string]*resource, len(cfg.Resources))}, nil
}

// install has every resource served in every region, by the Readers that are there or
// new ones, and swaps. The lock is held, or nobody else is there yet.
func (g *Gateway) install(cfg Config, l *live) error {
	for _, r := range cfg.Resources {
		res := &resource{name: r.Name, table: g.tables[r.Name], write: g.commits.writers[r.Name], version: versionOf(r), keyParts: len(r.Key)}
		if res.write != nil {
			res.writable = res.table.(store.Writable)
		}
		if _, is := res.table.(store.Punctual); is {
			res.wait = fulcrum.Patient
		}
		for _, region := range l.table.Regions() {
			reader, err := g.readerFor(res, region, cfg.policyOf(region))
			if err != nil {
				return fmt.Errorf("gateway: %w", err)
			}
			res.readers = append(res.readers, reader)
		}
		l.resources[r.Name] = res
	}
	g.live.Store(l)
	return nil
}

// readerFor finds or makes the Reader of a resource in a region. The policy was
// validated. The lock is held.
func (g *Gateway) readerFor(res *resource, r *region.Region, p fulcrum.Policy) (*reader, error) {
	at := place{res.name, r.Name}
	if o, there := g.readers[at]; there {
		g.readers[at] = opened{reader: o.reader}
		return o.reader, o.SetPolicy(p)
	}
	fetch, one := g.readingOf(res)
	made, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
		Name: res.name, Timeout: g.cfg.Timeout, Policy: p, One: one, Backend: g.backend, Cache: g.caches.of(res.name),
		Fetch: fetch,
	})
	if err != nil {
		return nil, err
	}
	g.readers[at] = opened{reader: made}
	return made, nil
}

// readingOf is how a resource's rows are read: from what gateways share, and from the database.
func (g *Gateway) readingOf(res *resource) (fetch func(context.Context, *fulcrum.Batch[store.Key, []byte]) error, one func(context.Context, store.Key) ([]byte, error)) {
	fetch, one = func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		err := res.table.Fetch(ctx, b)
		if err == nil {
			g.read.Store(int64(time.Since(g.started)))
		}
		return err
	}, res.table.One
	if kept := g.caches[res.name]; kept != nil && kept.tier != nil {
		return kept.tier.Fetch(fetch), kept.tier.One(one)
	}
	return fetch, one
}

// Reload has another configuration hold from the next request on: tokens, policy,
// regions, proxies and addresses. If anything in it is wrong, or differs that only a
// restart can change, the error says what, and all stays as it was.
func (g *Gateway) Reload(cfg Config) error {
	if err := g.reload(cfg); err != nil {
		g.RefuseReload()
		return err
	}
	g.monitor.counts[countedReloads].Add(1)
	return nil
}

// RefuseReload counts a configuration that could not even be read.
func (g *Gateway) RefuseReload() { g.monitor.counts[countedRefusedReloads].Add(1) }

func (g *Gateway) reload(cfg Config) error {
	cfg = cfg.withDefaults()
	cfg.DB, cfg.Log = g.cfg.DB, g.cfg.Log
	if err := cfg.validate(); err != nil {
		return err
	}
	var err error
	if cfg.Backend, cfg.Commits, err = cfg.fit(); err != nil {
		return err
	}
	if err := g.cfg.restart(cfg); err != nil {
		return err
	}
	l, err := g.prepare(cfg)
	if err != nil {
		return err
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.draining.Load() {
		return fulcrum.ErrClosed
	}
	if err := g.install(cfg, l); err != nil {
		return err
	}
	g.retire(l, time.Now())
	if err := g.backend.SetMode(cfg.Policy.Mode); err != nil {
		return err
	}
	if err := g.recopy(); err != nil {
		return err
	}
	g.changed(change{Kind: "configuration", Cause: "reload", Reason: "another configuration holds"})
	return nil
}

// restart says what a reload cannot change.
func (c Config) restart(to Config) error {
	var all []error
	for _, f := range []struct {
		name     string
		from, to any
	}{
		{"Listen", c.Listen, to.Listen}, {"Admin", c.Admin, to.Admin}, {"Resources", c.Resources, to.Resources}, {"Caches", c.Caches, to.Caches}, {"Shared", c.Shared, to.Shared},
		{"Backend", tuning(c.Backend), tuning(to.Backend)}, {"Commits", tuning(c.Commits), tuning(to.Commits)}, {"Journal", c.Journal, to.Journal}, {"Policy.MaxBatch", c.Backend.MaxBatch, max(c.Backend.MaxBatch, to.Backend.MaxBatch)},
		{"Timeout", c.Timeout, to.Timeout}, {"MaxKeys", c.MaxKeys, to.MaxKeys}, {"MaxBody", c.MaxBody, to.MaxBody}, {"MaxHeader", c.MaxHeader, to.MaxHeader}, {"Usage", c.Usage, to.Usage}, {"Cookie", c.Cookie, to.Cookie}, {"Experience", c.Experience, to.Experience},
	} {
		if !reflect.DeepEqual(f.from, f.to) {
			all = append(all, &FieldError{f.name, fmt.Sprintf("cannot change while the gateway runs (it is %v): restart it, or take that back", f.from)})
		}
	}
	return errors.Join(all...)
}

// tuning is a backend's configuration without what can change.
func tuning(b fulcrum.BackendConfig) fulcrum.BackendConfig {
	b.Name, b.MaxBatch, b.Mode, b.OnDecision, b.OnEvent = "", 0, 0, nil, nil
	b.Copies, b.Choice.Vet = nil, nil
	return b
}

// retire closes the Readers whose region went long ago. The lock is held.
func (g *Gateway) retire(l *live, now time.Time) {
	there := map[string]bool{}
	for _, r := range l.table.Regions() {
		there[r.Name] = true
	}
	for at, o := range g.readers {
		switch {
		case there[at.region]:
		case o.gone.IsZero():
			g.readers[at] = opened{o.reader, now}
		case now.Sub(o.gone) > retired:
			delete(g.readers, at)
			go func() { _ = o.Shutdown(context.Background()) }()
		}
	}
}
