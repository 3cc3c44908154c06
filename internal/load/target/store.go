package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/store"
)

// StoreConfig says which rows to read.
type StoreConfig struct {
	// DSN of the database: sqlite:FILE or postgres://… Required.
	DSN string
	// Table or view. Default the only table with a primary key, or users if it is one
	// of several.
	Table string
	// Key holds the key's columns. Default the table's primary key.
	Key []string
	// Columns are read of each row. Default all.
	Columns []string
	// Connections is the size of the pool that all strategies but dial share.
	// Default 64, at least 6 and at most 10,000.
	Connections int
	// Window is how many keys and how long the strategy window waits for.
	Window WindowConfig
	// Cache is the entries that the strategy fulcrum keeps. Default 0: no cache.
	Cache int
}

// WindowConfig is a fixed window, as batchers with a timer have it.
type WindowConfig struct {
	// Keys that fill it. Default 50, at most 100,000.
	Keys int
	// Wait is how long after its first key it leaves, full or not. Default 10 ms, at
	// most 1 min.
	Wait time.Duration
}

const (
	defaultWindowKeys = 50
	defaultWindowWait = 10 * time.Millisecond
	maxWindowKeys     = 100_000
	maxWindowWait     = time.Minute
	maxPool           = 10_000
	maxCache          = 100_000_000
	leastPool         = 6 // what a Reader with the default policy uses

	// BulkKeys is how many keys each caller of the strategy bulk has at hand.
	BulkKeys = 20
)

// Strategies are the ways to read rows, in the order of the usual table:
//
//	dial     a connection for each request
//	direct   a point query on a pooled connection
//	single   direct, and each write a commit of its own
//	window   a query, or a commit, for as many keys as come within a fixed time
//	bulk     callers who have 20 keys at hand, and read them in one query
//	fulcrum  a fulcrum.Reader and a fulcrum.Writer with the default policy, behind a cache if there is one
var Strategies = []string{"dial", "direct", "single", "window", "bulk", "fulcrum"}

// Writers are the strategies that can write.
var Writers = []string{"single", "window", "fulcrum"}

func (c StoreConfig) withDefaults() (StoreConfig, error) {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Connections, defaultConnections}, {&c.Window.Keys, defaultWindowKeys}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Window.Wait == 0 {
		c.Window.Wait = defaultWindowWait
	}
	switch {
	case c.Cache < 0 || c.Cache > maxCache:
		return c, fmt.Errorf("a cache of %d entries is not between 0 and %d", c.Cache, maxCache)
	case c.Connections < leastPool || c.Connections > maxPool:
		return c, fmt.Errorf("%d connections are not between %d and %d", c.Connections, leastPool, maxPool)
	case c.Window.Keys < 1 || c.Window.Keys > maxWindowKeys:
		return c, fmt.Errorf("a window of %d keys is not between 1 and %d", c.Window.Keys, maxWindowKeys)
	case c.Window.Wait < 0 || c.Window.Wait > maxWindowWait:
		return c, fmt.Errorf("a window of %s is not between 0 and %s", c.Window.Wait, maxWindowWait)
	}
	return c, nil
}

// Store is a database that rows are read from through one of the Strategies.
type Store struct {
	cfg     StoreConfig
	backend backend
	table   counted
	closers []func() error
	singles chan *fulcrum.Reader[store.Key, []byte]
	writes  *writing // nil until OpenWrites
}

// A backend is what differs between databases.
type backend interface {
	store.DB
	// dial makes what runs a point query on a connection of its own.
	dial(StoreConfig) func(ctx context.Context, key []string) error
	// shapes are the tables and views there are.
	shapes(ctx context.Context) ([]shape, error)
	// sample reads some keys, at most so many, each as its parts.
	sample(ctx context.Context, cfg StoreConfig, most int) ([][]string, error)
	// scratch makes the table that is written to, and what takes it away again.
	scratch(context.Context, StoreConfig) (drop func() error, err error)
	// cpu is the processor time the database has used, if it can be known.
	cpu() (time.Duration, bool)
}

// Check says what is wrong with a configuration before anything is opened.
func (c StoreConfig) Check() error {
	if _, err := kindOf(c.DSN); err != nil {
		return err
	}
	_, err := c.withDefaults()
	return err
}

// OpenStore opens the database and the table. What does not fit the table is a
// *store.ConfigError.
func OpenStore(ctx context.Context, cfg StoreConfig) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b, err := openBackend(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, backend: b}
	if err := s.open(ctx); err != nil {
		_ = b.Close() // the first error says more
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.cfg.complete(ctx, s.backend); err != nil {
		return err
	}
	var err error
	s.table.Table, err = s.backend.Open(ctx, store.Resource{Name: "bench", Table: s.cfg.Table, Key: s.cfg.Key, Columns: s.cfg.Columns})
	if err != nil {
		return err
	}
	return s.openSingles()
}

func openBackend(ctx context.Context, cfg StoreConfig) (backend, error) {
	open, err := kindOf(cfg.DSN)
	if err != nil {
		return nil, err
	}
	return open(ctx, cfg)
}

func kindOf(dsn string) (func(context.Context, StoreConfig) (backend, error), error) {
	switch kind, _, _ := strings.Cut(dsn, ":"); kind {
	case "sqlite":
		return openSQLite, nil
	case "postgres", "postgresql":
		return openPostgres, nil
	}
	return nil, errors.New("a store of no kind that is known: want sqlite:FILE or postgres://…") // a DSN may hold a password
}

// Close ends the readers and closes the database.
func (s *Store) Close() error {
	for _, c := range slices.Backward(s.closers) {
		_ = c() // they are idle by now
	}
	return s.backend.Close()
}

// Usage is what has been asked of the database since it was opened.
type Usage struct {
	Queries, Rows uint64
	CPU           time.Duration
	CPUKnown      bool // it is not for embedded and for remote databases
}

// Usage reads the counters.
func (s *Store) Usage() Usage {
	u := Usage{Queries: s.table.queries.Load(), Rows: s.table.rows.Load()}
	u.CPU, u.CPUKnown = s.backend.cpu()
	return u
}

// Sub is what was used since earlier.
func (u Usage) Sub(earlier Usage) Usage {
	return Usage{u.Queries - earlier.Queries, u.Rows - earlier.Rows, u.CPU - earlier.CPU, u.CPUKnown && earlier.CPUKnown}
}

// Probe asks for a row once, so that what is wrong shows before the load.
func (s *Store) Probe(ctx context.Context, keys load.Keys) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return load.CallerFunc(s.direct).Call(ctx, load.Probe(keys))
}

// Strategy is a way to read, as a target, and how many keys its requests have.
func (s *Store) Strategy(name string) (t load.Target, chunk int, err error) {
	if s.writes != nil && !slices.Contains(Writers, name) {
		return nil, 0, fmt.Errorf("strategy %q does not write: want one of %s", name, strings.Join(Writers, ", "))
	}
	switch name {
	case "dial":
		return s.dialed(), 1, nil
	case "direct":
		return load.CallerFunc(s.direct), 1, nil
	case "single":
		return s.writing(load.CallerFunc(s.direct), s.writes.single), 1, nil
	case "window":
		g := &gatherer{writing: s.writes, config: s.cfg.Window}
		return s.writing(newWindow(s), g.call), 1, nil
	case "bulk":
		return load.CallerFunc(s.bulk), BulkKeys, nil
	case "fulcrum":
		t, err := s.shared()
		return t, 1, err
	}
	return nil, 0, fmt.Errorf("strategy %q is none of %s", name, strings.Join(Strategies, ", "))
}

// writing sends requests that write elsewhere.
func (s *Store) writing(read, write load.CallerFunc) load.Target {
	if s.writes == nil {
		return read
	}
	return load.CallerFunc(func(ctx context.Context, r *load.Request) error {
		if r.Write {
			return write(ctx, r)
		}
		return read(ctx, r)
	})
}

// counted is a table that counts what it is asked.
type counted struct {
	store.Table
	queries, rows atomic.Uint64
}

func (c *counted) one(ctx context.Context, key store.Key) ([]byte, error) {
	c.queries.Add(1)
	c.rows.Add(1)
	return c.One(ctx, key)
}

func (c *counted) fetch(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
	c.queries.Add(1)
	c.rows.Add(uint64(b.Len()))
	return c.Fetch(ctx, b)
}

// key reads a key as it was drawn: parts joined by slashes.
func (s *Store) key(text string) (store.Key, error) { return s.table.ParseKey(parts(text)) }

func parts(text string) []string { return strings.Split(text, "/") }

func (s *Store) direct(ctx context.Context, r *load.Request) error {
	key, err := s.key(r.Keys[0])
	if err != nil {
		return err
	}
	_, err = s.table.one(ctx, key)
	return err
}

func (s *Store) dialed() load.Target {
	query := s.backend.dial(s.cfg)
	return load.CallerFunc(func(ctx context.Context, r *load.Request) error {
		s.table.queries.Add(1)
		s.table.rows.Add(1)
		return query(ctx, parts(r.Keys[0]))
	})
}

// shared is the library itself.
func (s *Store) shared() (load.Target, error) {
	cfg := fulcrum.ReaderConfig[store.Key, []byte]{Name: "bench", Fetch: s.table.fetch, One: s.table.one}
	if s.cfg.Cache > 0 {
		near, err := cache.New(cache.Config[store.Key, []byte]{Entries: s.cfg.Cache})
		if err != nil {
			return nil, err
		}
		cfg.Cache = near
	}
	reader, err := fulcrum.NewReader(cfg)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, shutdown(reader))
	var write load.CallerFunc
	if s.writes != nil {
		var end func() error
		if write, end, err = s.writes.gathered(); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, end)
	}
	return s.writing(func(ctx context.Context, r *load.Request) error {
		key, err := s.key(r.Keys[0])
		if err != nil {
			return err
		}
		_, err = reader.Get(ctx, key, classOptions[r.Class])
		return err
	}, write), nil
}

var classOptions = [...]fulcrum.Option{fulcrum.ClassNormal: fulcrum.Normal, fulcrum.ClassUrgent: fulcrum.Urgent, fulcrum.ClassBulk: fulcrum.Bulk}

func shutdown(r interface{ Shutdown(context.Context) error }) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return r.Shutdown(ctx)
	}
}

// openSingles makes readers that send all keys of a GetMany in one query, which is
// how a table is asked for many keys by hand. One call at a time may use each.
func (s *Store) openSingles() error {
	s.singles = make(chan *fulcrum.Reader[store.Key, []byte], s.cfg.Connections)
	for range s.cfg.Connections {
		r, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
			Fetch: s.table.fetch, Policy: fulcrum.Policy{InFlight: 1, Reserved: -1, MaxBatch: max(BulkKeys, s.cfg.Window.Keys)},
		})
		if err != nil {
			return err
		}
		s.closers = append(s.closers, shutdown(r))
		s.singles <- r
	}
	return nil
}

// many reads the rows of all keys with one query. A key without a row is an error
// of its own.
func (s *Store) many(ctx context.Context, keys []store.Key) (map[store.Key][]byte, error) {
	select {
	case r := <-s.singles:
		defer func() { s.singles <- r }()
		return r.GetMany(ctx, keys)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Store) bulk(ctx context.Context, r *load.Request) error {
	keys := make([]store.Key, len(r.Keys))
	for i, text := range r.Keys {
		var err error
		if keys[i], err = s.key(text); err != nil {
			return err
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	rows, err := s.many(ctx, keys)
	if err == nil && len(rows) < len(keys) {
		err = fulcrum.ErrNotFound
	}
	return err
}
