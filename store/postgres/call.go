package postgres

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A call is the context of one call to the database. It ends when its deadline
// passes or its parent ends, give or take watchEvery: a timer for each call, or a
// goroutine that waits for the parent, would cost a tenth of a point query.
type call struct {
	parent   context.Context
	deadline time.Time
	done     chan struct{}

	mu     sync.Mutex // guards what follows
	err    error
	afters []*func() // what to run at the end

	prev, next *call // guarded by the watch
}

func (c *call) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *call) Done() <-chan struct{} { return c.done }

func (c *call) Value(key any) any { return c.parent.Value(key) }

func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc is what [context.AfterFunc] uses where it finds it, instead of a
// goroutine that waits for Done.
func (c *call) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	c.afters = append(c.afters, &f)
	return func() bool { return c.forget(&f) }
}

func (c *call) forget(f *func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.afters, f)
	if i >= 0 {
		c.afters = slices.Delete(c.afters, i, i+1)
	}
	return i >= 0
}

// end ends the context, once.
func (c *call) end(err error) {
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

const (
	watchEvery = 5 * time.Millisecond // how late a call may notice its end
	watchOn    = 200                  // looks at no calls before the watch rests
)

// A watch ends calls that are due. One goroutine looks after all of them, as long
// as there are any.
type watch struct {
	mu      sync.Mutex // guards what follows
	first   *call
	running bool
	closed  chan struct{} // ends the goroutine
}

// begin makes the context of a call.
func (w *watch) begin(parent context.Context, timeout time.Duration) *call {
	c := &call{parent: parent, deadline: time.Now().Add(timeout), done: make(chan struct{})}
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

// finish forgets a call that is over.
func (w *watch) finish(c *call) {
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
}

func (w *watch) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	closed := w.closed
	for idle := 0; ; {
		select {
		case <-tick.C:
		case <-closed:
			idle, closed = watchOn, nil
		}
		if w.look() {
			idle = 0
		} else if idle++; idle > watchOn && w.rest() {
			return
		}
	}
}

// look ends the calls that are due, and says whether there were any calls at all.
func (w *watch) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := w.first; c != nil; c = c.next {
		if err := c.parent.Err(); err != nil {
			c.end(err)
		} else if !time.Now().Before(c.deadline) {
			c.end(context.DeadlineExceeded)
		}
	}
	return w.first != nil
}

// rest stops the watch unless a call has just begun.
func (w *watch) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = w.first != nil
	return !w.running
}
