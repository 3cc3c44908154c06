package dispatch

import (
	"container/heap"
	"testing"
	"time"
)

// counter is a little world: K slots, batches that take a + b·n, and requests that
// come at fixed times, or again when they were answered.
type counter struct {
	d       *Dispatcher[int, *asking]
	now     time.Duration
	events  timeline
	cost    Cost
	think   bool // callers ask again when they were answered
	waits   [Lanes][]time.Duration
	refused [Lanes]int
	came    [Lanes]int
	scopes  map[string]int // refused, by scope
	key     int
}

// asking is one request.
type asking struct {
	Waiter[int, *asking]
	at    time.Duration
	scope string
}

type event struct {
	at time.Duration
	do func()
}

type timeline []event

func (t timeline) Len() int           { return len(t) }
func (t timeline) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timeline) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timeline) Push(x any)        { *t = append(*t, x.(event)) }
func (t *timeline) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// newCounter can answer 10,000 keys a second: two slots, 20 ms for a batch of 100.
func newCounter(wait time.Duration) *counter {
	const most = 1 << 20
	c := &counter{cost: Cost{A: 10 * time.Millisecond, B: 100 * time.Microsecond}, scopes: map[string]int{}}
	c.d = New[int, *asking](Limits{InFlight: 2, MaxBatch: 100, MaxWaiters: 10, MaxQueued: [Lanes]int{most, most, most}, MaxWait: wait})
	c.d.SetCost(c.cost)
	return c
}

func (c *counter) at(t time.Duration, do func()) { heap.Push(&c.events, event{t, do}) }

func (c *counter) run(until time.Duration) {
	for len(c.events) > 0 && c.events[0].at <= until {
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		e.do()
		for c.d.Wanted(c.now) {
			c.leave(c.d.Take(c.now))
		}
	}
}

func (c *counter) ask(class Class, scope string) {
	a := &asking{at: c.now, scope: scope}
	a.Payload, a.Class = a, class
	c.key++
	c.came[class]++
	switch v := c.d.Submit(c.now, scope, c.key, &a.Waiter); v.Action {
	case Refuse:
		c.refused[class]++
		c.scopes[scope]++
	case Run:
		c.leave(v.Batch)
	case Lead:
		c.leave(c.d.Take(c.now))
	}
}

func (c *counter) leave(b *Batch[int, *asking]) {
	if b == nil {
		return
	}
	c.at(c.now+c.cost.Of(len(b.Items)), func() {
		again := c.d.Done(c.now, b)
		for _, it := range b.Items {
			for w := it.Waiters(); w != nil; w = w.Leave() {
				c.waits[w.Class] = append(c.waits[w.Class], b.Started-w.Payload.at)
				if c.think {
					class, scope := w.Class, w.Payload.scope
					c.at(c.now, func() { c.ask(class, scope) })
				}
			}
		}
		c.d.Recycle(b)
		if again {
			c.leave(c.d.Take(c.now))
		}
	})
}

// stream has requests come at a rate, evenly, between two times.
func (c *counter) stream(class Class, scope string, rate float64, from, to time.Duration) {
	gap := time.Duration(float64(time.Second) / rate)
	for at := from; at < to; at += gap {
		c.at(at, func() { c.ask(class, scope) })
	}
}

// longest wait of those answered, but for the first so many.
func (c *counter) longest(class Class, but int) (longest time.Duration) {
	for _, w := range c.waits[class][min(but, len(c.waits[class])):] {
		longest = max(longest, w)
	}
	return longest
}

const soon = 100 * time.Millisecond

func TestOverloadIsBounded(t *testing.T) {
	c := newCounter(soon)
	c.stream(Normal, "", 20_000, 0, 10*time.Second)
	c.run(10 * time.Second)
	if served := len(c.waits[Normal]); served < 95_000 {
		t.Errorf("%d of 100,000 that can be answered were", served)
	}
	if w := c.longest(Normal, 10_000); w > soon+50*time.Millisecond {
		t.Errorf("somebody waited %s, want about %s at most", w, soon)
	}
	if !c.d.Overloaded(Normal) {
		t.Error("it does not say so")
	}
	c.stream(Normal, "", 5_000, 12*time.Second, 15*time.Second)
	before := c.refused[Normal]
	c.run(16 * time.Second)
	if c.refused[Normal] > before || c.d.Overloaded(Normal) {
		t.Errorf("half of what can be answered: %d refused, overloaded %t", c.refused[Normal]-before, c.d.Overloaded(Normal))
	}
}

func TestOverloadWithoutBound(t *testing.T) {
	c := newCounter(0)
	c.stream(Normal, "", 20_000, 0, 3*time.Second)
	c.run(3 * time.Second)
	if c.refused[Normal] > 0 || c.longest(Normal, 0) < time.Second {
		t.Errorf("%d refused, longest wait %s; want a queue without bound", c.refused[Normal], c.longest(Normal, 0))
	}
}

func TestBulkIsShedFirst(t *testing.T) {
	c := newCounter(soon)
	c.stream(Normal, "", 8_000, 0, 10*time.Second)
	c.stream(Bulk, "", 8_000, 0, 10*time.Second)
	c.run(10 * time.Second)
	if c.refused[Normal] > 0 {
		t.Errorf("%d normal requests were refused, though they alone are no overload", c.refused[Normal])
	}
	if c.refused[Bulk] < 50_000 || len(c.waits[Bulk]) < 8_000 {
		t.Errorf("of 80,000 bulk requests %d were refused and %d answered", c.refused[Bulk], len(c.waits[Bulk]))
	}
	if w := c.longest(Bulk, 5_000); w > 2*soon { // those that came before it was noticed have to wait
		t.Errorf("a bulk request waited %s", w)
	}
}

// Callers who wait for their answers are a long queue, and no overload.
func TestCallersWhoWaitAreNoOverload(t *testing.T) {
	c := newCounter(soon)
	c.think = true
	for range 4_000 {
		c.at(0, func() { c.ask(Normal, "") })
	}
	c.run(10 * time.Second)
	if c.refused[Normal] > 0 {
		t.Errorf("%d were refused", c.refused[Normal])
	}
	if w := c.longest(Normal, 4_000); w < 3*soon {
		t.Errorf("the longest wait was %s: this shows nothing", w)
	}
}

// A burst is worked off; only a load that stays is refused.
func TestBurstIsNoOverload(t *testing.T) {
	c := newCounter(soon)
	c.stream(Normal, "", 5_000, 0, 5*time.Second)
	for range 5_000 {
		c.at(time.Second, func() { c.ask(Normal, "") })
	}
	c.run(5 * time.Second)
	if c.refused[Normal] > 0 {
		t.Errorf("%d were refused", c.refused[Normal])
	}
}

// One tenant's flood is refused, its neighbour is not.
func TestOverloadSparesOtherScopes(t *testing.T) {
	c := newCounter(soon)
	c.stream(Normal, "flood", 20_000, 0, 10*time.Second)
	c.stream(Normal, "small", 500, 0, 10*time.Second)
	c.run(10 * time.Second)
	if c.scopes["small"] > 0 {
		t.Errorf("%d of the small tenant's requests were refused", c.scopes["small"])
	}
	if c.scopes["flood"] < 50_000 {
		t.Errorf("%d of the flood were refused", c.scopes["flood"])
	}
}

// What somebody above asks to be shed is, without signs of overload; others are not.
func TestShedAsAsked(t *testing.T) {
	c := newCounter(soon)
	l := c.d.limits
	l.Shed = Bulk
	c.d.SetLimits(l)
	for range 3_000 {
		c.at(0, func() { c.ask(Normal, "") })
		c.at(0, func() { c.ask(Bulk, "") })
		c.at(0, func() { c.ask(Urgent, "") })
	}
	c.run(0)
	if c.refused[Normal] > 0 || c.refused[Urgent] > 0 || c.refused[Bulk] != 2_900 {
		t.Errorf("refused: %v", c.refused)
	}
}

// Who wants no bound of waiting is not shed either, whatever somebody above asks.
func TestNothingIsShedWithoutABound(t *testing.T) {
	c := newCounter(0)
	l := c.d.limits
	l.Shed = Normal
	c.d.SetLimits(l)
	for range 3_000 {
		c.at(0, func() { c.ask(Normal, "") })
		c.at(0, func() { c.ask(Bulk, "") })
	}
	c.run(0)
	if c.refused[Normal]+c.refused[Bulk] > 0 {
		t.Errorf("refused: %v", c.refused)
	}
}

// By itself the bound follows what batches take: three that are efficient.
func TestAutoWait(t *testing.T) {
	c := newCounter(AutoWait) // 100 keys take as long as a batch by itself: the largest it may be
	if got := c.d.maxWait(); got != 50*time.Millisecond {
		t.Errorf("a batch of 100 takes 20 ms: %s", got)
	}
	c.d.SetCost(Cost{A: time.Millisecond / 4, B: time.Millisecond / 4})
	if got := c.d.maxWait(); got != 15*time.Millisecond {
		t.Errorf("one of 19 takes 5 ms: %s", got)
	}
	c.d.SetCost(Cost{})
	if got := c.d.maxWait(); got != 10*time.Millisecond {
		t.Errorf("nothing is known: %s", got)
	}
}
