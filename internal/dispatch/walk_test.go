package dispatch

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// walker plays random inputs against the machine and keeps a book of its own.
type walker struct {
	t      *rapid.T
	d      *Dispatcher[int, int]
	limits Limits
	now    time.Duration
	queued map[*Waiter[int, int]]want
	flying []*Batch[int, int]
	owed   int // promises to Take
	next   int
}

// want is what a waiter asked for.
type want struct {
	key   int
	scope string
}

// TestRandomWalk: whatever comes, every admitted waiter is settled exactly once,
// with its own key and scope; limits hold; and no work is left lying while a slot
// is free and nobody is on the way.
func TestRandomWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWalker(t)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			w.step()
			w.look()
			w.verify()
		}
		w.drain()
	})
}

func newWalker(t *rapid.T) *walker {
	n := func(name string, most int) int { return rapid.IntRange(1, most).Draw(t, name) }
	l := Limits{
		InFlight: n("k", 4), Reserved: n("u", 3) - 1, MaxBatch: n("max", 5), MaxWaiters: n("waiters", 4),
		MaxQueued: [Lanes]int{n("urgent", 6), n("normal", 6), n("bulk", 6)},
		Hold:      rapid.Bool().Draw(t, "hold"), Linger: 2 * time.Millisecond,
		MaxWait: rapid.SampledFrom([]time.Duration{0, AutoWait, time.Millisecond}).Draw(t, "wait"), Shed: rapid.SampledFrom([]Class{Urgent, Normal, Bulk}).Draw(t, "shed"),
	}
	w := &walker{t: t, d: New[int, int](l), limits: l, queued: map[*Waiter[int, int]]want{}}
	w.d.SetCost(Cost{A: time.Millisecond, B: 100 * time.Microsecond, TrustedUntil: time.Duration(n("trusted", 100)) * time.Millisecond})
	return w
}

func (w *walker) step() {
	w.now += time.Duration(rapid.IntRange(0, 1500).Draw(w.t, "µs")) * time.Microsecond
	switch rapid.IntRange(0, 8).Draw(w.t, "step") {
	case 0, 1, 2:
		w.submit()
	case 3:
		w.queue()
	case 4:
		w.cancel()
	case 5, 6:
		w.take()
	case 7, 8:
		w.done()
	}
}

// look asks whether a taker is wanted, as the shell does whenever it was there.
func (w *walker) look() {
	if w.d.Wanted(w.now) {
		w.owed++
	}
}

func (w *walker) submit() { w.ask(w.d.Submit) }

func (w *walker) queue() { w.ask(w.d.Queue) }

func (w *walker) ask(how func(time.Duration, string, int, *Waiter[int, int]) Verdict[int, int]) {
	ask := want{key: rapid.IntRange(0, 5).Draw(w.t, "key"), scope: rapid.SampledFrom([]string{"", "a", "b"}).Draw(w.t, "scope")}
	x := &Waiter[int, int]{Payload: w.next, Class: Class(rapid.IntRange(0, 2).Draw(w.t, "class")), Together: rapid.Bool().Draw(w.t, "together")}
	w.next++
	if rapid.Bool().Draw(w.t, "deadline") {
		x.Deadline = w.now + time.Duration(rapid.IntRange(-1, 6).Draw(w.t, "ms"))*time.Millisecond
		x.Deadline = max(1, x.Deadline)
	}
	v := how(w.now, ask.scope, ask.key, x)
	switch v.Action {
	case Refuse:
		return
	case Lead:
		w.owed++
	}
	w.queued[x] = ask
	if v.Action == Run {
		w.leave(v.Batch)
	}
}

func (w *walker) cancel() {
	for x := range w.queued {
		if !x.Settled() {
			w.d.Cancel(x)
			delete(w.queued, x)
			return
		}
	}
}

func (w *walker) take() {
	if w.owed == 0 {
		return
	}
	w.owed--
	b := w.d.Take(w.now)
	if b == nil {
		return
	}
	for _, it := range b.Expired {
		if it.deadline == 0 || it.deadline > w.now {
			w.t.Fatalf("expired before its time")
		}
		w.settle(it, b.Scope)
	}
	if len(b.Items) > 0 {
		w.leave(b)
	}
}

func (w *walker) leave(b *Batch[int, int]) {
	if len(b.Items) > w.limits.MaxBatch {
		w.t.Fatalf("a batch of %d, the maximum is %d", len(b.Items), w.limits.MaxBatch)
	}
	seen := map[int]bool{}
	for _, it := range b.Items {
		if seen[it.Key] {
			w.t.Fatalf("key %d twice in a batch", it.Key)
		}
		seen[it.Key] = true
	}
	w.flying = append(w.flying, b)
}

func (w *walker) done() {
	if len(w.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flying)-1).Draw(w.t, "which")
	b := w.flying[i]
	w.flying = append(w.flying[:i], w.flying[i+1:]...)
	for _, it := range b.Items {
		it.Failed = rapid.Bool().Draw(w.t, "failed")
	}
	if w.d.Done(w.now, b) {
		w.owed++
	}
	for _, it := range b.Items {
		w.settle(it, b.Scope)
	}
	w.d.Recycle(b)
}

// settle checks that each waiter gets what it asked for, once.
func (w *walker) settle(it *Item[int, int], scope string) {
	for x := it.Waiters(); x != nil; x = x.Next() {
		ask, there := w.queued[x]
		if !there {
			w.t.Fatalf("waiter %d settled twice, or after it left", x.Payload)
		}
		if ask.key != it.Key || ask.scope != scope {
			w.t.Fatalf("waiter %d asked for %v and got key %d of scope %q", x.Payload, ask, it.Key, scope)
		}
		if !x.Settled() {
			w.t.Fatalf("waiter %d is delivered but not settled", x.Payload)
		}
		delete(w.queued, x)
	}
}

func (w *walker) verify() {
	c := w.d.Counts()
	if got := uint64(len(w.queued)); got != uint64(c.Queued+c.InFlight) {
		w.t.Fatalf("%d waiters are out, the machine says %+v", got, c)
	}
	shared, urgent := w.d.InFlight()
	if shared > w.limits.InFlight || shared+urgent > w.limits.InFlight+w.limits.Reserved {
		w.t.Fatalf("%d shared and %d urgent batches in flight under %+v", shared, urgent, w.limits)
	}
	if w.d.Busy(0) && w.owed == 0 && len(w.flying) == 0 {
		w.t.Fatalf("busy, but nobody is on the way: %s", w.books())
	}
}

func (w *walker) books() string {
	return fmt.Sprintf("%+v, queued %d %d %d", w.d.Counts(), w.d.Queued(Urgent), w.d.Queued(Normal), w.d.Queued(Bulk))
}

// drain closes the machine and answers everything.
func (w *walker) drain() {
	w.d.Close()
	w.look()
	for len(w.queued) > 0 || w.owed > 0 || len(w.flying) > 0 {
		if w.owed == 0 && len(w.flying) == 0 {
			w.t.Fatalf("stuck while draining: %s", w.books())
		}
		w.take()
		w.done()
		w.look()
		w.verify()
	}
	if !w.d.Drained() {
		w.t.Fatalf("not drained: %s", w.books())
	}
}
