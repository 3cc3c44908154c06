// Package watch ends calls whose time is up, some milliseconds late and for little:
// one goroutine looks after all of them, where [context.WithDeadline] makes a timer
// for each. Beside a point query that is a tenth of the cost.
package watch

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Call is the context of one call. It ends when its deadline passes or its parent
// ends, up to Grain late.
type Call struct {
	parent   context.Context
	deadline time.Time
	done     chan struct{}

	mu     sync.Mutex // guards what follows
	err    error
	afters []*func() // what to run at the end

	prev, next *Call // guarded by the watch
}

// Deadline is when the call should end.
func (c *Call) Deadline() (time.Time, bool) { return c.deadline, true }

// Done is closed when the call has ended.
func (c *Call) Done() <-chan struct{} { return c.done }

// Value asks the parent.
func (c *Call) Value(key any) any { return c.parent.Value(key) }

// Err is nil until the call has ended, and then says why.
func (c *Call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc is what [context.AfterFunc] uses where it finds it, instead of a
// goroutine that waits for Done.
func (c *Call) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	c.afters = append(c.afters, &f)
	return func() bool { return c.forget(&f) }
}

func (c *Call) forget(f *func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.afters, f)
	if i >= 0 {
		c.afters = slices.Delete(c.afters, i, i+1)
	}
	return i >= 0
}

// end ends the context, once.
func (c *Call) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	afters := c.afters
	c.afters = nil
	close(c.done)
	c.mu.Unlock()
	for _, f := range afters {
		(*f)()
	}
}

// Grain is how late a call may notice its end.
const Grain = 5 * time.Millisecond

const restAfter = 200 // looks at no calls before the watch rests

// Watch ends calls that are due. Its goroutine runs as long as there are any, and a
// little longer. It must not be copied.
type Watch struct {
	mu      sync.Mutex // guards what follows
	first   *Call
	running bool
	closed  chan struct{} // ends the goroutine
}

// New makes a Watch. Close ends it.
func New() *Watch { return &Watch{closed: make(chan struct{})} }

// Close lets the goroutine end once there are no calls. It may be called once; calls
// may begin afterwards.
func (w *Watch) Close() { close(w.closed) }

// Begin makes the context of a call that ends by the deadline, or its parent's if
// that is sooner. Finish must follow.
func (w *Watch) Begin(parent context.Context, deadline time.Time) *Call {
	return w.Reuse(&Call{done: make(chan struct{})}, parent, deadline)
}

// Reuse is Begin with a finished call that nobody looks at any more; one that has
// ended is replaced.
func (w *Watch) Reuse(c *Call, parent context.Context, deadline time.Time) *Call {
	if c == nil || c.Err() != nil {
		return w.Begin(parent, deadline)
	}
	c.parent, c.deadline = parent, deadline
	if d, ok := parent.Deadline(); ok && d.Before(c.deadline) {
		c.deadline = d
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.next = w.first; c.next != nil {
		c.next.prev = c
	}
	w.first = c
	if !w.running {
		w.running = true
		go w.run()
	}
	return c
}

// Finish forgets a call that is over. Nothing ends it any more.
func (w *Watch) Finish(c *Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}

func (w *Watch) run() {
	tick := time.NewTicker(Grain)
	defer tick.Stop()
	closed := w.closed
	for idle := 0; ; {
		select {
		case <-tick.C:
		case <-closed:
			closed = nil
		}
		if w.look() {
			idle = 0
		} else if idle++; (idle > restAfter || closed == nil) && w.rest() {
			return
		}
	}
}

// look ends the calls that are due, and says whether there were any calls at all.
func (w *Watch) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for c := w.first; c != nil; c = c.next {
		if err := c.parent.Err(); err != nil {
			c.end(err)
		} else if !now.Before(c.deadline) {
			c.end(context.DeadlineExceeded)
		}
	}
	return w.first != nil
}

// rest stops the watch unless a call has just begun.
func (w *Watch) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = w.first != nil
	return !w.running
}
