package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WriterConfig says where a Writer writes.
type WriterConfig[T, R any] struct {
	// Name appears in statistics, hooks and errors. Default "writer".
	Name string

	// Apply makes the writes of a commit in one transaction, or in one call to whatever
	// takes them. It must be safe for concurrent calls. An error says that none was made,
	// unless it is ErrAmbiguous; c.Fail gives single writes their own. Its context holds a
	// deadline and the scope and nothing of any caller, and callers who leave do not cut it
	// short. A panic is ErrAmbiguous to all its callers. Required.
	Apply func(ctx context.Context, c *Commit[T, R]) error

	// OrderBy is what a write is about: of one key no two are in flight at once, and they
	// are made in the order in which they came. A write whose key is empty has no order.
	// Default: none has.
	OrderBy func(T) string

	// Merge makes one write of two of the same key that both wait behind a third; both
	// callers get the result of that one. False keeps them apart. It runs under a lock: it
	// must be quick and must not call the Writer. It needs OrderBy. Default: never.
	Merge func(older, newer T) (T, bool)

	// Resolve says what became of a commit whose Apply returned ErrAmbiguous after it had
	// called SetID. A commit that was aborted is made again, once. Default: nobody is asked,
	// and the callers get ErrAmbiguous.
	Resolve func(ctx context.Context, id CommitID) (Fate, error)

	// Invalidate tells caches of a commit: it is called before Apply, and what it returns
	// once the commit's fate is known, or known never to be known, before anybody is
	// answered. A commit without items stands for all writes there could be. It must be
	// safe for concurrent calls. Default: nobody is told.
	Invalidate func(c *Commit[T, R]) (over func(known bool))

	// Size is the bytes of a write, for MaxBytes. Default: 0 each.
	Size func(T) int
	// MaxBytes is the most bytes of writes that are not made yet; more are shed. Default
	// 64 MiB.
	MaxBytes int

	// Journaling keeps writes that ask to be Journaled until they are applied, one batch
	// after the other, with Apply and beside the Backend's slots: each of the journal's
	// shards uses a connection more. A write that fails on its data is Apply's to keep
	// elsewhere. Default nil: there are none such.
	Journaling *Journaling[T]

	// Lost is told of a write that was acknowledged InMemory and could not be made, or
	// may not have been (ErrAmbiguous). Default: it is counted only.
	Lost func(item T, err error)

	// Timeout bounds one call to Apply, and one to Resolve. Default and most 10 s.
	Timeout time.Duration

	// Policy holds the limits: as for a Reader, where MaxBatch counts writes, MaxQueued
	// those that wait for a slot, MaxWaiters those that wait for one key.
	Policy Policy

	// Backend is what it shares with other Writers: slots and their tuner. Queries cost
	// something else than commits and want a Backend of their own. Default: one of its own
	// with the policy's InFlight as MaxInFlight, 2 at least at once, and without a circuit.
	Backend *Backend

	// Hooks are told what happens; a batch is a commit. Default none.
	Hooks *Hooks
}

const (
	defaultMaxBytes = 64 << 20

	// leastCommits at once: while one waits for the disk, the next one is computed.
	leastCommits = 2
)

// withDefaults checks the configuration and fills in what is missing.
func (c WriterConfig[T, R]) withDefaults() (WriterConfig[T, R], error) {
	orDefault(&c.Name, "writer")
	orDefault(&c.MaxBytes, defaultMaxBytes)
	switch {
	case c.Apply == nil:
		return c, fmt.Errorf("fulcrum: writer %q: WriterConfig.Apply is missing: give it the function that makes the writes", c.Name)
	case c.Merge != nil && c.OrderBy == nil:
		return c, fmt.Errorf("fulcrum: writer %q: WriterConfig.Merge: it needs OrderBy, which says whose writes may be merged", c.Name)
	case c.MaxBytes < 0:
		return c, fmt.Errorf("fulcrum: writer %q: WriterConfig.MaxBytes: %d is negative", c.Name, c.MaxBytes)
	case c.Timeout < 0:
		return c, fmt.Errorf("fulcrum: writer %q: WriterConfig.Timeout: %s is negative", c.Name, c.Timeout)
	case c.Journaling != nil:
		if err := c.Journaling.validate(); err != nil {
			return c, fmt.Errorf("fulcrum: writer %q: %w", c.Name, err)
		}
	}
	if c.OrderBy == nil {
		c.OrderBy = func(T) string { return "" }
	}
	if c.Size == nil {
		c.Size = func(T) int { return 0 }
	}
	if c.Lost == nil {
		c.Lost = func(T, error) {}
	}
	if c.Backend != nil {
		return c, nil
	}
	p := c.Policy.withDefaults()
	if err := p.validate(); err != nil {
		return c, fmt.Errorf("%w (writer %q)", err, c.Name)
	}
	var err error
	c.Backend, err = NewBackend(BackendConfig{
		Name: c.Name, MinInFlight: min(leastCommits, p.InFlight), MaxInFlight: p.InFlight, Reserved: p.Reserved, MaxBatch: p.MaxBatch, Mode: p.Mode, NoCircuit: true,
	})
	return c, err
}

// Writer gathers concurrent writes into commits: while one is in flight, the next one
// gathers. A lone write goes at once. It is safe for use by many goroutines. Shutdown
// ends it.
//
// It is a Reader at heart, whose keys are the writes themselves: slots, lanes, tuner,
// modes and circuit are those of reading. What it adds is order (line.go), the truth
// about what was made (apply.go), and writes that are answered before (behind.go).
type Writer[T, R any] struct {
	cfg    WriterConfig[T, R]
	reader *Reader[*write[T, R], R]
	lines  lines[T, R]
	counts writerCounts
	pumps  pumps[T, R]

	journal *journaled[T] // nil without Journaling
}

// NewWriter makes a Writer. Without a journal it starts no goroutine and no timer; with
// one it reads what is not applied yet, and goes on with it.
func NewWriter[T, R any](cfg WriterConfig[T, R]) (*Writer[T, R], error) {
	ordered := cfg.OrderBy != nil
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Writer[T, R]{cfg: cfg}
	w.reader, err = NewReader(ReaderConfig[*write[T, R], R]{
		Name: cfg.Name, Fetch: w.commit, Timeout: cfg.Timeout, Policy: cfg.Policy, Backend: cfg.Backend, Hooks: cfg.Hooks,
	})
	if err != nil {
		return nil, err
	}
	w.reader.over = w.over
	w.lines.init(ordered, cfg.Merge, cfg.MaxBytes, w.reader.Policy().MaxWaiters)
	w.lines.ready = w.pump
	if cfg.Journaling != nil {
		return w, w.openJournal(*cfg.Journaling)
	}
	return w, nil
}

// Receipt is what the caller of a write that was accepted gets.
type Receipt[R any] struct {
	Result     R          // what Apply set; zero unless Durability is DurabilityCommitted
	Token      Token      // the moment from which on readers see it; empty if Apply told none
	Durability Durability // what holds at the time of the answer
}

// Write makes a write and waits until it is committed, or accepted as the options say.
// Errors: what Apply said of it; a ShedError, ErrClosed, a CircuitOpenError or the
// context's own error, after all of which it was not made and will not be; ErrAmbiguous,
// together with the context's error if its caller left while it was in flight.
func (w *Writer[T, R]) Write(ctx context.Context, item T, opts ...Option) (Receipt[R], error) {
	req := requestFrom(ctx)
	req.apply(opts)
	if req.durability == DurabilityJournaled {
		return w.writeJournaled(ctx, item, req)
	}
	p := w.prepare(item, req)
	if err := admissible(ctx, p, req); err != nil {
		return Receipt[R]{}, err
	}
	if err := w.behindJournal(ctx, p.place); err != nil {
		return Receipt[R]{}, err
	}
	turn, err := w.enter(p)
	if err != nil {
		return Receipt[R]{}, err
	}
	if p.behind {
		return Receipt[R]{Durability: req.durability}, nil
	}
	if !turn {
		if err := w.lines.wait(ctx, p); err != nil {
			return Receipt[R]{}, err
		}
		if p.leader != nil { // it was made together with another
			return p.receipt(p.result, p.err)
		}
	}
	req.class = p.class
	result, left, err := w.reader.get(ctx, p, req)
	return p.receipt(result, w.settled(p, left, err))
}

// settled is a caller's error once the Reader has answered. A write that was never in a
// commit leaves its line; one whose caller left leaves it when its commit is over.
func (w *Writer[T, R]) settled(p *write[T, R], left bool, err error) error {
	if left {
		w.counts.ambiguous.Add(1)
		return ambiguous(err)
	}
	w.lines.giveUp(p)
	return err
}

// Outcome is what became of one of several writes.
type Outcome[R any] struct {
	Receipt Receipt[R]
	Err     error // as Write's
}

// WriteMany makes several writes, in the order of the slice where they are of one key.
// They may be spread over several commits, together with other callers' writes. The
// outcomes are in the order of items; the error is a KeyErrors[int] of those that failed,
// by their place, or nil.
func (w *Writer[T, R]) WriteMany(ctx context.Context, items []T, opts ...Option) ([]Outcome[R], error) {
	req := requestFrom(ctx)
	req.apply(opts)
	m := several[T, R]{writer: w, req: req, out: make([]Outcome[R], len(items))}
	m.enter(ctx, items)
	for len(m.waiting)+len(m.turn) > 0 {
		m.await(ctx)
		m.make(ctx)
	}
	failed := KeyErrors[int]{}
	for i := range m.out {
		if err := m.out[i].Err; err != nil {
			failed[i] = err
		}
	}
	if len(failed) > 0 {
		return m.out, failed
	}
	return m.out, nil
}

// Flush waits until all writes that were accepted before are made or have failed.
func (w *Writer[T, R]) Flush(ctx context.Context) error {
	for _, t := range w.lines.seal() {
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if w.journal != nil {
		return w.journal.flush(ctx)
	}
	return nil
}

// Shutdown refuses new writes with ErrClosed and waits until all accepted ones are made
// or have failed, and their hooks have returned. If ctx ends first, its error is
// returned; what was acknowledged InMemory and is not made by then is told to Lost. What
// is in the journal and not made by then stays there, and is made after the next start.
// It may be called more than once.
func (w *Writer[T, R]) Shutdown(ctx context.Context) error {
	w.lines.close()
	err := w.Flush(ctx)
	if err != nil {
		w.pumps.stop()
	}
	if w.journal != nil {
		w.journal.end(ctx)
	}
	if ended := w.reader.Shutdown(ctx); ended != nil {
		err = ended
	}
	if err == nil {
		return nil
	}
	if n, _ := w.lines.held(); n > 0 {
		err = errors.Join(err, fmt.Errorf("fulcrum: writer %q: %d accepted writes were not made by then", w.cfg.Name, n))
	}
	return err
}

// SetPolicy swaps the limits while writes run, as Reader.SetPolicy does.
func (w *Writer[T, R]) SetPolicy(p Policy) error {
	if err := w.reader.SetPolicy(p); err != nil {
		return err
	}
	w.lines.limit(w.reader.Policy().MaxWaiters)
	return nil
}

// Policy is the one in force, with its defaults filled in.
func (w *Writer[T, R]) Policy() Policy { return w.reader.Policy() }
