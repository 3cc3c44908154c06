package sim

import (
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

type (
	waiter = dispatch.Waiter[uint64, struct{}]
	batch  = dispatch.Batch[uint64, struct{}]
)

// real is the library's dispatcher with what a shell needs around it.
type real struct {
	d       *dispatch.Dispatcher[uint64, struct{}]
	key     uint64
	spare   []*waiter
	waiting []*waiter // a ring, in the order of the queue
	head    int
	tail    int
}

func newReal() *real {
	return &real{d: dispatch.New[uint64, struct{}](dispatch.Limits{}), waiting: make([]*waiter, ring)}
}

func (d *real) setLimits(l dispatch.Limits) { d.d.SetLimits(l) }
func (d *real) setCost(c dispatch.Cost)     { d.d.SetCost(c) }
func (d *real) queued() int                 { return d.tail - d.head }

func (d *real) inFlight() int {
	shared, _ := d.d.InFlight()
	return shared
}

func (d *real) oldest() time.Duration { return d.waiting[d.head%ring].Admitted }

func (d *real) drop() {
	w := d.waiting[d.head%ring]
	d.head++
	d.d.Cancel(w)
	d.spare = append(d.spare, w)
}

func (d *real) newWaiter() *waiter {
	if n := len(d.spare); n > 0 {
		w := d.spare[n-1]
		d.spare = d.spare[:n-1]
		return w
	}
	return &waiter{Class: dispatch.Normal}
}

func (d *real) arrive(now time.Duration, f *flight) dispatch.Action {
	w := d.newWaiter()
	d.key++
	v := d.d.Submit(now, "", d.key, w)
	switch v.Action {
	case dispatch.Refuse:
		d.spare = append(d.spare, w)
	case dispatch.Run:
		d.leave(f, v.Batch)
	default:
		d.waiting[d.tail%ring] = w
		d.tail++
	}
	return v.Action
}

func (d *real) leave(f *flight, b *batch) {
	f.n, f.left, f.inFlight, f.batch = len(b.Items), b.Started, d.inFlight(), b
}

func (d *real) wanted(now time.Duration) bool { return d.d.Wanted(now) }

func (d *real) nextTick() (time.Duration, bool) { return d.d.NextTick() }

func (d *real) take(now time.Duration, f *flight) bool {
	b := d.d.Take(now)
	if b == nil {
		return false
	}
	d.leave(f, b)
	d.head += f.n
	return true
}

func (d *real) done(now time.Duration, f *flight, ok bool) (again bool) {
	for _, it := range f.batch.Items {
		it.Failed = !ok
	}
	return d.d.Done(now, f.batch)
}

// eachDue tells when each request of a batch that is done was due. It is the last
// look at the batch.
func (d *real) eachDue(f *flight, tell func(due time.Duration)) {
	for _, it := range f.batch.Items {
		for w := it.Waiters(); w != nil; {
			following := w.Leave()
			tell(w.Admitted)
			d.spare = append(d.spare, w)
			w = following
		}
	}
	d.d.Recycle(f.batch)
	f.batch = nil
}
