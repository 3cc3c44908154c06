package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/store"
)

// ScratchTable is what the bench writes to, and takes away again: a copy of some rows
// of the table that it reads. What is measured is left as it is.
const ScratchTable = "fulcrum_bench"

// mostBodies bounds the rows that are written over and over.
const mostBodies = 100

// writing is the scratch table and what is put there.
type writing struct {
	counted *counted
	table   store.Writable
	most    int      // commits that the store makes at once; 0: as many as a Writer takes by itself
	bodies  [][]byte // rows without their keys, as JSON
}

// OpenWrites makes the scratch table. Requests that write need it.
func (s *Store) OpenWrites(ctx context.Context) error {
	drop, err := s.backend.scratch(ctx, s.cfg)
	if err != nil {
		return fmt.Errorf("making table %s, which is written to: %w", ScratchTable, err)
	}
	s.closers = append(s.closers, drop)
	table, err := s.backend.Open(ctx, store.Resource{
		Name: "scratch", Table: ScratchTable, Key: s.cfg.Key, Columns: s.cfg.Columns, Writable: true,
	})
	if err != nil {
		return err
	}
	w := &writing{counted: &s.table, table: table.(store.Writable)}
	if c, ok := s.backend.(store.Committer); ok {
		w.most = c.Commits()
	}
	if w.bodies, err = s.bodies(ctx); err != nil {
		return err
	}
	s.writes = w
	return nil
}

// bodies are the rows that are written: some of those that are read.
func (s *Store) bodies(ctx context.Context) ([][]byte, error) {
	found, err := s.backend.sample(ctx, s.cfg, mostBodies)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, parts := range found {
		row, err := s.body(ctx, parts)
		if errors.Is(err, fulcrum.ErrNotFound) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("table %s has no rows to write copies of", s.cfg.Table)
	}
	return all, nil
}

// body is a row without its key.
func (s *Store) body(ctx context.Context, parts []string) ([]byte, error) {
	key, err := s.table.ParseKey(parts)
	if err != nil {
		return nil, err
	}
	row, err := s.table.One(ctx, key)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(row, &fields); err != nil {
		return nil, err
	}
	for _, column := range s.cfg.Key {
		delete(fields, column)
	}
	return json.Marshal(fields)
}

// change is what a request that writes asks for.
func (w *writing) change(r *load.Request) (store.Change, error) {
	key, err := w.table.ParseKey(parts(r.Keys[0]))
	if err != nil {
		return store.Change{}, err
	}
	return w.table.ParseChange(store.Change{Op: store.Put, Key: key, Body: w.bodies[r.Seq%uint64(len(w.bodies))]})
}

// apply makes a commit and counts it as a query.
func (w *writing) apply(ctx context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
	w.counted.queries.Add(1)
	w.counted.rows.Add(uint64(c.Len()))
	return w.table.Apply(ctx, c)
}

// commit makes changes, each of another key, in a commit of their own. The errors are
// of single ones; one is of all.
func (w *writing) commit(ctx context.Context, changes []store.Change) ([]error, error) {
	c := fulcrum.NewCommit[store.Change, store.Written](changes, nil)
	if err := w.apply(ctx, c); err != nil {
		return nil, err
	}
	errs := make([]error, len(changes))
	for i := range errs {
		_, errs[i] = c.Result(i)
	}
	return errs, nil
}

// single commits each row by itself.
func (w *writing) single(ctx context.Context, r *load.Request) error {
	change, err := w.change(r)
	if err != nil {
		return err
	}
	errs, err := w.commit(ctx, []store.Change{change})
	if err != nil {
		return err
	}
	return errs[0]
}

// gathered is the library itself: a Writer with the default policy, as far as the store
// takes so many commits at once.
func (w *writing) gathered() (call load.CallerFunc, end func() error, err error) {
	var policy fulcrum.Policy
	if w.most > 0 {
		policy.InFlight, policy.Reserved = w.most, -1
	}
	writer, err := fulcrum.NewWriter(fulcrum.WriterConfig[store.Change, store.Written]{
		Name: "bench", Apply: w.apply, Resolve: w.table.Resolve, OrderBy: func(c store.Change) string { return string(c.Key) }, Policy: policy,
	})
	if err != nil {
		return nil, nil, err
	}
	call = func(ctx context.Context, r *load.Request) error {
		change, err := w.change(r)
		if err == nil {
			_, err = writer.Write(ctx, change, classOptions[r.Class])
		}
		return err
	}
	return call, shutdown(writer), nil
}

// gatherer gathers writes for a fixed time or up to a fixed number, then commits them:
// what buffers with a timer do. Unlike some of these it answers when the commit is made.
type gatherer struct {
	writing *writing
	config  WindowConfig

	mu   sync.Mutex
	open *heap
}

// heap is one window's writes. Its outcome may be read once done is closed.
type heap struct {
	changes []store.Change
	place   map[store.Key]int
	timer   *time.Timer
	done    chan struct{}
	errs    []error
	err     error
}

func (g *gatherer) call(ctx context.Context, r *load.Request) error {
	change, err := g.writing.change(r)
	if err != nil {
		return err
	}
	h, i := g.add(change)
	select {
	case <-h.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if h.err != nil {
		return h.err
	}
	return h.errs[i]
}

// add puts a write into the open window, and closes that if it is full. Of two writes of
// one key the later one is made.
func (g *gatherer) add(c store.Change) (*heap, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.open
	if h == nil {
		h = &heap{place: map[store.Key]int{}, done: make(chan struct{})}
		h.timer = time.AfterFunc(g.config.Wait, func() { g.expire(h) })
		g.open = h
	}
	i, twice := h.place[c.Key]
	if twice {
		h.changes[i] = c
		return h, i
	}
	i = len(h.changes)
	h.place[c.Key] = i
	h.changes = append(h.changes, c)
	if len(h.changes) >= g.config.Keys {
		g.open = nil
		if h.timer.Stop() {
			go g.write(h)
		}
	}
	return h, i
}

// expire closes a window whose time is over.
func (g *gatherer) expire(h *heap) {
	g.mu.Lock()
	if g.open == h {
		g.open = nil
	}
	g.mu.Unlock()
	g.write(h)
}

// write commits. Callers come and go, the commit is nobody's.
func (g *gatherer) write(h *heap) {
	order := make([]int, len(h.changes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(string(h.changes[a].Key), string(h.changes[b].Key)) })
	sorted := make([]store.Change, len(order))
	for i, from := range order {
		sorted[i] = h.changes[from]
	}
	errs, err := g.writing.commit(context.Background(), sorted)
	h.errs, h.err = make([]error, len(order)), err
	if err == nil {
		for i, from := range order {
			h.errs[from] = errs[i]
		}
	}
	close(h.done)
}
