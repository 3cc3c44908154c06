package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// writerCounts is what a Writer counts beyond its Reader.
type writerCounts struct {
	ambiguous, resolved, lost, merged, applied, dead atomic.Uint64
}

// prepare makes a write of an item.
func (w *Writer[T, R]) prepare(item T, req request) *write[T, R] {
	return &write[T, R]{
		item:   item,
		place:  lineKey{scope: req.scope, key: w.cfg.OrderBy(item)},
		class:  req.class,
		size:   w.cfg.Size(item),
		behind: req.durability == DurabilityMemory,
	}
}

// enter lets a write into its line, or says why not.
func (w *Writer[T, R]) enter(p *write[T, R]) (turn bool, err error) {
	turn, head, why := w.lines.enter(p)
	if why != letIn {
		return false, w.reader.refusal(dispatch.Reason(why), p.class)
	}
	if head != nil {
		w.reader.promote(head.place.scope, head, ClassUrgent)
	}
	if turn && p.behind {
		w.pump(p)
	}
	return turn, nil
}

// promote has a queued key served with a more urgent class.
func (r *Reader[K, V]) promote(scope string, key K, c Class) {
	r.lock()
	defer r.unlock(r.now())
	r.dispatch.Promote(scope, key, lanes[c])
}

// commit is what the Reader calls to fetch its keys: it makes them.
func (w *Writer[T, R]) commit(ctx context.Context, b *Batch[*write[T, R], R]) error {
	order := w.sorted(b.keys)
	c := &Commit[T, R]{items: make([]T, len(b.keys)), out: make([]outcome[R], len(b.keys)), class: b.class}
	for j, i := range order {
		p := b.keys[i]
		p.applied = true
		c.items[j] = p.merged
	}
	err := w.apply(ctx, c)
	for j, i := range order {
		if e := c.out[j].err; e != nil && err == nil {
			b.FailAt(i, e)
			continue
		}
		b.SetAt(i, c.out[j].value)
		b.keys[i].token = c.token
	}
	return err
}

// sorted is the places of the writes in the order of their keys: two commits that lock
// the same rows lock them in the same order.
func (w *Writer[T, R]) sorted(keys []*write[T, R]) []int {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	if w.lines.ordered && len(keys) > 1 {
		slices.SortFunc(order, func(a, b int) int { return strings.Compare(keys[a].place.key, keys[b].place.key) })
	}
	return order
}

// apply makes a commit, and has caches forget what it changes.
func (w *Writer[T, R]) apply(ctx context.Context, c *Commit[T, R]) (err error) {
	if w.cfg.Invalidate == nil {
		return w.make(ctx, c)
	}
	var over func(known bool)
	err = guard(func() error { // it is not ours
		over = w.cfg.Invalidate(c)
		return nil
	})
	if err != nil {
		return err
	}
	err = w.make(ctx, c)
	over(!errors.Is(err, ErrAmbiguous))
	return err
}

// make makes a commit and finds out what became of it.
func (w *Writer[T, R]) make(ctx context.Context, c *Commit[T, R]) error {
	for again := false; ; again = true {
		err := guard(func() error { return w.cfg.Apply(ctx, c) })
		var panicked *PanicError
		if errors.As(err, &panicked) {
			return ambiguous(err)
		}
		if !errors.Is(err, ErrAmbiguous) || w.cfg.Resolve == nil || c.id == "" {
			return err
		}
		switch w.fate(ctx, c.id) {
		case FateCommitted:
			w.counts.resolved.Add(1)
			return nil
		case FateAborted:
			w.counts.resolved.Add(1)
			if again || ctx.Err() != nil {
				return fmt.Errorf("%w: the commit was aborted, nothing was written: %v", ErrUnavailable, err) //nolint:errorlint // it is not ambiguous any more
			}
			c.Reset()
		case FateUnknown:
			return err
		}
	}
}

// fate asks what became of a commit, with a deadline of its own: that of the commit may
// have passed.
func (w *Writer[T, R]) fate(ctx context.Context, id CommitID) (fate Fate) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.reader.cfg.Timeout)
	defer cancel()
	err := guard(func() (err error) {
		fate, err = w.cfg.Resolve(ctx, id)
		return err
	})
	if err != nil {
		return FateUnknown
	}
	return fate
}

// over is told of a commit that is over, before its callers are: whoever is next in line
// may queue up for the batch that leaves now.
func (w *Writer[T, R]) over(b *Batch[*write[T, R], R]) {
	w.lines.mu.Lock()
	defer w.lines.mu.Unlock()
	for i, p := range b.keys {
		result, err := b.out[i].value, b.out[i].err
		switch {
		case p.gone:
		case p.behind && err != nil: // it keeps its turn until it is tried again or given up
			p.applied = false
		case p.applied:
			if errors.Is(err, ErrAmbiguous) {
				w.counts.ambiguous.Add(1)
			}
			w.counts.merged.Add(uint64(len(p.riders)))
			w.lines.made(p, result, err)
		default: // refused by the circuit, and its caller may have left
			w.lines.abandon(p)
		}
	}
}

// passing says that nothing was written, for a reason that may pass.
func passing(err error) bool {
	if err == nil || errors.Is(err, ErrAmbiguous) {
		return false
	}
	var network net.Error
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrShed) || errors.Is(err, ErrCircuitOpen) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network)
}

// WriterStats is what a Writer has done. In Stats a batch is a commit, a key a write.
type WriterStats struct {
	Stats
	Accepted  int    // writes that are not made yet, those behind their answer included
	Bytes     int    // of these, by WriterConfig.Size
	Merged    uint64 // writes that were made as part of another
	Ambiguous uint64 // writes whose callers were told ErrAmbiguous
	Resolved  uint64 // commits whose lost answer was found out
	Lost      uint64 // writes acknowledged InMemory that were not made, or may not have been

	Journaled int64  // offsets in the journal that are not applied
	Applied   uint64 // writes that were applied from the journal
	Dead      uint64 // of those in the journal, writes that failed on their data
	Trouble   error  // why the journal is not applied at the moment; nil if it is
}

// Stats is a snapshot.
func (w *Writer[T, R]) Stats() WriterStats {
	s := WriterStats{Stats: w.reader.Stats()}
	s.Accepted, s.Bytes = w.lines.held()
	c := &w.counts
	s.Merged, s.Ambiguous, s.Resolved, s.Lost = c.merged.Load(), c.ambiguous.Load(), c.resolved.Load(), c.lost.Load()
	s.Applied, s.Dead = c.applied.Load(), c.dead.Load()
	if w.journal != nil {
		s.Journaled, s.Trouble = w.journal.backlog()
	}
	return s
}
