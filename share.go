package fulcrum

import (
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/mode"
)

// look takes over what the Reader may have in flight at its backend, and what the
// tuner and modes have decided. The lock is held.
func (r *Reader[K, V]) look() {
	if r.part == nil {
		return
	}
	if s := r.cfg.Backend.stance.Load(); s != r.stance {
		p := r.policy.Load()
		r.stance = s
		r.limits.MaxBatch = min(p.MaxBatch, s.MaxBatch)
		r.limits.Hold = p.Mode == ModeThroughput || p.Mode == ModeBalanced && s.hold
		r.limits.Shed = sheds[s.mode.Shed]
		r.dispatch.SetLimits(r.limits)
	}
	s := r.part.look()
	r.others = s.others
	r.dispatch.Allow(min(s.shared, r.limits.InFlight), s.reserved)
}

// sheds are the lanes from which on a step of shedding refuses.
var sheds = [...]dispatch.Class{mode.ShedNone: dispatch.Urgent, mode.ShedBulk: dispatch.Bulk, mode.ShedNormal: dispatch.Normal}

// tell reports what has become of the share. True asks to look again. The lock is
// held.
func (r *Reader[K, V]) tell() (more bool) {
	if r.part == nil {
		return false
	}
	queued := r.dispatch.Queued(lanes[ClassNormal]) + r.dispatch.Queued(lanes[ClassBulk])
	d := demand{coming: r.dispatch.Coming(), queued: queued > 0}
	d.urgentQueued = r.dispatch.Queued(lanes[ClassUrgent]) > 0
	d.shared, d.urgent = r.dispatch.InFlight()
	d.pressure.arrived, d.pressure.blocked, d.pressure.missed = r.dispatch.Pressure()
	d.pressure.queued = queued
	if d.shared >= r.limits.InFlight {
		d.queued = false // it has all that its policy allows
	}
	return r.part.report(d)
}

// slots is K, as far as this Reader may use it. The lock is held.
func (r *Reader[K, V]) slots() int {
	if r.part == nil {
		return r.limits.InFlight
	}
	return min(r.limits.InFlight, r.cfg.Backend.stance.Load().k)
}

// leaves asks the backend's circuit whether a batch may leave now. If not, all its
// requests have failed with the error.
func (r *Reader[K, V]) leaves(b *batchOf[K, V], q *query[K, V]) bool {
	if r.part == nil {
		return true
	}
	until := q.ctx.deadline.Sub(r.epoch)
	call, err := r.cfg.Backend.begin(b.Started, max(until-b.Started, lateAtAll))
	if err != nil {
		q.whole, q.refused = err, true
		q.batch.fail(err)
		return false
	}
	q.call = call
	return true
}

// observeShared tells the backend of a batch, outside all locks. expected is how long
// it should have taken, 0 if that is not known.
func (r *Reader[K, V]) observeShared(b *batchOf[K, V], q *query[K, V], end, expected time.Duration) {
	if r.part == nil || q.refused {
		return
	}
	backend := r.cfg.Backend
	backend.end(end, q.call, outcomeOf(q.whole, end-b.Started, expected))
	if b.Class == lanes[ClassUrgent] || backend.copies != nil { // whose copies have tuners of their own
		return
	}
	backend.observe(nil, end, b.Started, len(b.Items), b.InFlight, q.whole == nil && q.calls == 1)
}

// answer learns of a batch that was answered. Its oldest request stands for all of
// them: that errs to the careful side, and requests share no counter.
func (b *Backend) answer(end time.Duration, class dispatch.Class, callers int, queued, service time.Duration) {
	n := uint64(callers)
	if class == lanes[ClassUrgent] {
		if b.yield != nil {
			b.urgently.RecordN(end, queued+service, n)
		}
		return
	}
	b.answered.Add(n)
	b.response.RecordN(end, queued+service, n)
	b.queue.RecordN(end, queued, n)
	b.service.RecordN(end, service, n)
}
