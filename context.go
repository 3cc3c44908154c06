package fulcrum

import (
	"context"
	"sync"
	"time"
)

// detached is the context that Fetch and One see: a deadline and the scope, and
// values of no caller, so that a call behaves alike alone and in a batch. Its
// timer is made only when somebody asks for Done: a timer costs more than a point
// query in an embedded database.
type detached struct {
	request  request
	deadline time.Time

	mu    sync.Mutex
	done  chan struct{}
	timer *time.Timer
	err   error
}

// Deadline is when the batch must be done.
func (c *detached) Deadline() (time.Time, bool) { return c.deadline, true }

// Done is closed when the deadline passes or the call is over.
func (c *detached) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
		}
	}
	return c.done
}

// Err is nil until the deadline passes or the call is over.
func (c *detached) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.done == nil && !time.Now().Before(c.deadline) {
		c.err = context.DeadlineExceeded
	}
	return c.err
}

// Value knows the scope and nothing else.
func (c *detached) Value(key any) any {
	if key == (requestKey{}) {
		return c.request
	}
	return nil
}

// end closes the context, once.
func (c *detached) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.err == nil {
		c.err = err
		if c.done != nil {
			close(c.done)
		}
	}
}
