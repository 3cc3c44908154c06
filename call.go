package fulcrum

import (
	"sync/atomic"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// call is one caller's interest in one key: its place in the dispatcher, its way
// there, and its answer.
type call[K comparable, V any] struct {
	dispatch.Waiter[K, *call[K, V]]

	key   K
	scope string
	link  *call[K, V]  // the next older one in the inbox
	depth atomic.Int32 // how many there were with this one

	ready   chan struct{} // gets one token when what follows is there
	value   V
	err     error
	shared  bool // with other callers
	refused bool // by the dispatcher, for the reason
	left    bool // of GetMany: its caller left while the key was in flight
	reason  dispatch.Reason
	need    *need  // what it asks of the copy that answers it; nil: nothing
	group   *group // of GetMany: counted there instead of announced on ready
	trace   *Trace // filled with the answer, if the caller wants it
}

// Shorter names for what the dispatcher hands back.
type (
	batchOf[K comparable, V any] = dispatch.Batch[K, *call[K, V]]
	itemOf[K comparable, V any]  = dispatch.Item[K, *call[K, V]]
)

func newCall[K comparable, V any]() *call[K, V] {
	c := &call[K, V]{ready: make(chan struct{}, 1)}
	c.Payload = c
	return c
}

// reset forgets what must not outlive a use.
func (c *call[K, V]) reset() {
	var key K
	var value V
	c.key, c.scope, c.link = key, "", nil
	c.value, c.err, c.shared, c.refused, c.trace, c.need = value, nil, false, false, nil, nil
	c.Together = false
}

// announce tells the caller that its answer is there. The call is the caller's
// again from then on.
func (c *call[K, V]) announce() {
	if c.group == nil {
		c.ready <- struct{}{}
	} else {
		c.group.done()
	}
}

// group is a set of calls that are waited for together.
type group struct {
	left  atomic.Int64
	ready chan struct{} // gets one token when none is left
}

// done takes one call off and says whether it was the last.
func (g *group) done() (last bool) {
	if g.left.Add(-1) > 0 {
		return false
	}
	g.ready <- struct{}{}
	return true
}
