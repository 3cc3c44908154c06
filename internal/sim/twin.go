package sim

import (
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// twin queues requests as the dispatcher does where all are of one class and
// scope, none is held, and no two want the same key. It moves positions in a ring
// instead of items through a map and is several times as fast; a test holds its
// totals to the dispatcher's.
type twin struct {
	due        []time.Duration // a ring
	head, tail int             // positions in it, ever rising
	shared     int
	starting   int
	limits     dispatch.Limits
	cost       dispatch.Cost
}

const ring = 1 << 18 // more than are queued and in flight

func newTwin() *twin { return &twin{due: make([]time.Duration, ring)} }

func (d *twin) setLimits(l dispatch.Limits) { d.limits = l }
func (d *twin) setCost(c dispatch.Cost)     { d.cost = c }
func (d *twin) queued() int                 { return d.tail - d.head }
func (d *twin) inFlight() int               { return d.shared }

func (d *twin) oldest() time.Duration { return d.due[d.head%ring] }
func (d *twin) drop()                 { d.head++ }

func (d *twin) push(due time.Duration) {
	d.due[d.tail%ring] = due
	d.tail++
}

func (d *twin) arrive(now time.Duration, f *flight) dispatch.Action {
	waiting := d.queued()
	switch {
	case d.shared == 0 && d.starting == 0 && waiting == 0:
		d.push(now)
		d.leave(now, f, 1)
		return dispatch.Run
	case waiting >= d.limits.MaxQueued[dispatch.Normal]:
		return dispatch.Refuse
	}
	d.push(now)
	if waiting == 0 && d.wanted(now) {
		return dispatch.Lead
	}
	return dispatch.Wait
}

func (d *twin) leave(now time.Duration, f *flight, n int) {
	d.shared++
	f.n, f.left, f.inFlight, f.from = n, now, d.shared, d.head
	d.head += n
}

func (d *twin) ready() bool {
	return d.tail > d.head && d.shared+d.starting < d.limits.InFlight
}

func (d *twin) promise() bool {
	if !d.ready() {
		return false
	}
	d.starting++
	return true
}

func (d *twin) wanted(time.Duration) bool { return d.starting == 0 && d.promise() }

func (d *twin) take(now time.Duration, f *flight) bool {
	d.starting--
	q := d.queued()
	if q == 0 || d.shared >= d.limits.InFlight {
		return false
	}
	free := d.limits.InFlight - d.shared
	n := (q + free - 1) / free
	n = max(n, min(q, d.floor()))
	d.leave(now, f, max(1, min(n, d.cost.Most(d.limits.MaxBatch))))
	return true
}

// floor is the batch whose keys weigh as much as the batch itself.
func (d *twin) floor() int {
	if d.cost.B <= 0 {
		return d.limits.MaxBatch
	}
	return max(1, min(d.limits.MaxBatch, int(d.cost.A/d.cost.B)))
}

func (d *twin) done(_ time.Duration, f *flight, _ bool) (again bool) {
	d.shared--
	return d.promise()
}

func (d *twin) eachDue(f *flight, tell func(due time.Duration)) {
	for i := f.from; i < f.from+f.n; i++ {
		tell(d.due[i%ring])
	}
}
