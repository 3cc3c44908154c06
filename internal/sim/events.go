package sim

import "time"

// kind of an event that is planned.
type kind uint8

const (
	arrive kind = iota // a caller of the closed loop asks
	take               // a taker has yielded
	enter              // a batch reaches the backend's CPU
	answer             // a batch is back
)

type event struct {
	at     time.Duration
	seq    uint32 // what was planned first comes first
	flight int32
	kind   kind
}

// events is a heap, the earliest on top.
type events struct {
	heap []event
	seq  uint32
}

func (e *events) next() time.Duration {
	if len(e.heap) == 0 {
		return never
	}
	return e.heap[0].at
}

func (a event) before(b event) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

func (e *events) push(at time.Duration, k kind, flight int32) {
	e.seq++
	x := event{at, e.seq, flight, k}
	e.heap = append(e.heap, x)
	h, i := e.heap, len(e.heap)-1
	for i > 0 {
		up := (i - 1) / 2
		if !x.before(h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = x
}

func (e *events) pop() event {
	h := e.heap
	top, last := h[0], len(h)-1
	x := h[last]
	e.heap = h[:last]
	h = e.heap
	for i := 0; last > 0; {
		down := 2*i + 1
		if down+1 < last && h[down+1].before(h[down]) {
			down++
		}
		if down >= last || !h[down].before(x) {
			h[i] = x
			break
		}
		h[i] = h[down]
		i = down
	}
	return top
}

// callers are those of a closed loop. A wave of answers wakes them one after the
// other.
type callers struct {
	random stream
	think  time.Duration
	woken  time.Duration // how long it takes to wake the next one
}

const (
	wakeFirst = 2 * time.Microsecond
	wakeNext  = 300 * time.Nanosecond
)

func newCallers(l Load, seed uint64) *callers {
	return &callers{random: newStream(seed, 3), think: l.Think}
}

func (c *callers) first(i int) time.Duration { return time.Duration(i) * wakeNext }

func (c *callers) wave() { c.woken = wakeFirst }

// pause is from a wave's begin to the next caller's request.
func (c *callers) pause() time.Duration {
	p := c.woken
	c.woken += wakeNext
	if c.think > 0 {
		p += time.Duration(c.random.ExpFloat64() * float64(c.think))
	}
	return p
}
