package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// write is one write on its way. To the Reader inside it is a key like no other.
type write[T, R any] struct {
	item   T
	merged T // of item and those of the riders, once it has its turn
	place  lineKey
	class  Class
	size   int

	// Guarded by lines.mu.
	before, after *write[T, R] // in the line of its key
	riders        []*write[T, R]
	gone          bool // out of the line, its outcome known
	left          bool // its caller has left
	tide          *tide

	turn   chan struct{} // gets one token when it has its turn, or was made as a rider; nil if it had to wait for neither
	leader *write[T, R]  // whose rider it is

	behind  bool // it was acknowledged before it is made
	alone   bool // it is not merged
	applied bool // a commit with it has begun
	result  R    // of a rider
	err     error
	token   Token
}

// receipt is what the caller gets after a commit.
func (p *write[T, R]) receipt(result R, err error) (Receipt[R], error) {
	if err != nil {
		return Receipt[R]{}, err
	}
	return Receipt[R]{Result: result, Token: p.token}, nil
}

type lineKey struct{ scope, key string }

// line is the writes of one key, in order. The first has its turn.
type line[T, R any] struct {
	last *write[T, R]
	n    int
}

// lines keep writes of one key in order: no two of them are at the dispatcher at once.
type lines[T, R any] struct {
	merge    func(older, newer T) (T, bool)
	ordered  bool
	maxBytes int
	ready    func(*write[T, R]) // told of a write behind its answer that has its turn

	mu      sync.Mutex
	of      map[lineKey]line[T, R]
	longest int // most writes in one line
	writes  int // not gone
	bytes   int // of these
	closed  bool
	tide    *tide
	sealed  []*tide // that are not out
}

// tide is the writes that were accepted between two calls of Flush.
type tide struct {
	n    int
	done chan struct{} // closed when it is sealed and all are gone
}

func (l *lines[T, R]) init(ordered bool, merge func(older, newer T) (T, bool), maxBytes, longest int) {
	l.ordered, l.merge, l.maxBytes, l.longest = ordered, merge, maxBytes, longest
	l.of = make(map[lineKey]line[T, R])
	l.tide = &tide{done: make(chan struct{})}
}

func (l *lines[T, R]) limit(longest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = longest
}

// enter puts a write at the end of its line and says whether it has its turn. If an
// urgent one has to wait, head is the one that has it and should be hurried.
func (l *lines[T, R]) enter(p *write[T, R]) (turn bool, head *write[T, R], why refusedBy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch in := l.of[p.place]; {
	case l.closed:
		return false, nil, refusedBy(dispatch.RefusedClosed)
	case l.bytes+p.size > l.maxBytes && p.size > 0:
		return false, nil, refusedBy(dispatch.RefusedBytes)
	case in.n >= l.longest:
		return false, nil, refusedBy(dispatch.RefusedWaiters)
	}
	if l.join(p) {
		return true, nil, letIn
	}
	if p.class == ClassUrgent {
		head = l.hurry(p)
	}
	return false, head, letIn
}

// insist puts a write at the end of its line whatever the bounds say.
func (l *lines[T, R]) insist(p *write[T, R]) (turn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.join(p)
}

// join says whether the write is the first of its line, which has its turn.
func (l *lines[T, R]) join(p *write[T, R]) (first bool) {
	l.writes++
	l.bytes += p.size
	p.tide = l.tide
	p.tide.n++
	if !l.keeps(p) {
		p.merged = p.item
		return true
	}
	in := l.of[p.place]
	if p.before = in.last; p.before == nil {
		p.merged = p.item
		l.of[p.place] = line[T, R]{last: p, n: 1}
		return true
	}
	l.of[p.place] = line[T, R]{last: p, n: in.n + 1}
	p.before.after = p
	p.turn = make(chan struct{}, 1)
	return false
}

// keeps says whether a write has a line: one without a key has no order.
func (l *lines[T, R]) keeps(p *write[T, R]) bool { return l.ordered && p.place.key != "" }

// refusedBy is why a line did not take a write; letIn if it did.
type refusedBy dispatch.Reason

const letIn = refusedBy(dispatch.Reasons)

// hurry makes those before an urgent write urgent too and returns the first of them.
func (l *lines[T, R]) hurry(p *write[T, R]) *write[T, R] {
	for p.before != nil {
		p = p.before
		if p.before != nil { // the first has been told its class
			p.class = ClassUrgent
		}
	}
	return p
}

// wait waits for a write's turn, or until it was made as a rider. If the caller leaves,
// its write does too, unless it is part of another already.
func (l *lines[T, R]) wait(ctx context.Context, p *write[T, R]) error {
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-p.turn: // meanwhile; whoever uses it finds out that the context is over
		return nil
	default:
	}
	p.left = true
	if p.leader != nil {
		return ambiguous(ctx.Err())
	}
	l.unlink(p)
	l.out(p)
	return ctx.Err()
}

// ambiguous says of an error that it is not known whether the write was made.
func ambiguous(err error) error {
	if errors.Is(err, ErrAmbiguous) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAmbiguous, err)
}

// giveUp takes a write that has its turn out of its line, if no commit with it has begun.
func (l *lines[T, R]) giveUp(p *write[T, R]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.gone {
		l.abandon(p)
	}
}

// abandon is giveUp for those who hold the lock.
func (l *lines[T, R]) abandon(p *write[T, R]) {
	riders := p.riders
	p.riders = nil
	l.dismount(p, riders)
	l.pass(p)
}

// made takes a write whose commit is over out of its line, with its riders. The lock is
// held.
func (l *lines[T, R]) made(p *write[T, R], result R, err error) {
	for _, r := range p.riders {
		r.result, r.err, r.token = result, err, p.token
		l.out(r)
		l.announce(r)
	}
	p.riders = nil
	l.pass(p)
}

// pass gives the turn to the next in line.
func (l *lines[T, R]) pass(p *write[T, R]) {
	next := p.after
	l.unlink(p)
	l.out(p)
	if next != nil {
		l.give(next)
	}
}

// dismount puts riders back into the line, right behind the write that was not made,
// but for those whose callers have left.
func (l *lines[T, R]) dismount(p *write[T, R], riders []*write[T, R]) {
	in := l.of[p.place]
	for i := len(riders) - 1; i >= 0; i-- {
		r := riders[i]
		r.leader = nil
		if r.left {
			l.out(r)
			continue
		}
		r.before, r.after = p, p.after
		if p.after == nil {
			in.last = r
		} else {
			p.after.before = r
		}
		p.after = r
		in.n++
	}
	l.of[p.place] = in
}

// give gives a write its turn, together with those behind it that can be merged.
func (l *lines[T, R]) give(p *write[T, R]) {
	p.merged = p.item
	for n := p.after; n != nil && l.merge != nil && n.behind == p.behind && !n.alone && !p.alone; n = p.after {
		m, ok := l.tryMerge(p.merged, n.item)
		if !ok {
			break
		}
		p.merged = m
		l.unlink(n)
		n.leader = p
		p.riders = append(p.riders, n)
		p.class = moreUrgent(p.class, n.class)
	}
	l.announce(p)
}

// tryMerge keeps two writes apart if merging them panics.
func (l *lines[T, R]) tryMerge(older, newer T) (merged T, ok bool) {
	if err := guard(func() error {
		merged, ok = l.merge(older, newer)
		return nil
	}); err != nil {
		return merged, false
	}
	return merged, ok
}

func moreUrgent(a, b Class) Class {
	if lanes[b] < lanes[a] {
		return b
	}
	return a
}

// announce tells a write's caller that it has its turn or was made.
func (l *lines[T, R]) announce(p *write[T, R]) {
	switch {
	case !p.behind:
		p.turn <- struct{}{}
	case !p.gone:
		l.ready(p)
	}
}

// unlink takes a write out of its line.
func (l *lines[T, R]) unlink(p *write[T, R]) {
	if !l.keeps(p) {
		return
	}
	in := l.of[p.place]
	if p.before != nil {
		p.before.after = p.after
	}
	if p.after != nil {
		p.after.before = p.before
	} else {
		in.last = p.before
	}
	p.before, p.after = nil, nil
	if in.n--; in.n == 0 {
		delete(l.of, p.place)
		return
	}
	l.of[p.place] = in
}

// out counts a write as over.
func (l *lines[T, R]) out(p *write[T, R]) {
	p.gone = true
	l.writes--
	l.bytes -= p.size
	t := p.tide
	if t.n--; t.n == 0 && t != l.tide {
		l.ebb(t)
	}
}

// ebb ends a sealed tide.
func (l *lines[T, R]) ebb(t *tide) {
	close(t.done)
	for i, s := range l.sealed {
		if s == t {
			l.sealed = append(l.sealed[:i], l.sealed[i+1:]...)
			return
		}
	}
}

// seal returns the tides that hold all writes accepted so far.
func (l *lines[T, R]) seal() []*tide {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tide.n > 0 {
		l.sealed = append(l.sealed, l.tide)
		l.tide = &tide{done: make(chan struct{})}
	}
	return append([]*tide(nil), l.sealed...)
}

// close refuses all writes from now on.
func (l *lines[T, R]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

func (l *lines[T, R]) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// held is how many writes are accepted and not over, and their bytes.
func (l *lines[T, R]) held() (writes, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes, l.bytes
}
