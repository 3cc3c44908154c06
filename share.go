package fulcrum

import "time"

// look takes over what the Reader may have in flight at its backend, and what the
// tuner has decided. The lock is held.
func (r *Reader[K, V]) look() {
	if r.part == nil {
		return
	}
	if d := r.cfg.Backend.holds.Load(); d != r.held {
		p := r.policy.Load()
		r.held = d
		r.limits.MaxBatch = min(p.MaxBatch, d.MaxBatch)
		r.limits.Hold = p.Mode == ModeThroughput || p.Mode == ModeBalanced && d.Hold
		r.dispatch.SetLimits(r.limits)
	}
	s := r.part.look()
	r.others = s.others
	r.dispatch.Allow(min(s.shared, r.limits.InFlight), s.reserved)
}

// tell reports what has become of the share. True asks to look again. The lock is
// held.
func (r *Reader[K, V]) tell() (more bool) {
	if r.part == nil {
		return false
	}
	d := demand{coming: r.dispatch.Coming(), queued: r.dispatch.Queued(lanes[ClassNormal])+r.dispatch.Queued(lanes[ClassBulk]) > 0}
	d.urgentQueued = r.dispatch.Queued(lanes[ClassUrgent]) > 0
	d.shared, d.urgent = r.dispatch.InFlight()
	d.pressure.arrived, d.pressure.blocked, d.pressure.missed = r.dispatch.Pressure()
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
	return min(r.limits.InFlight, r.cfg.Backend.holds.Load().InFlight)
}

// observeShared tells the backend's tuner of a batch, outside all locks.
func (r *Reader[K, V]) observeShared(b *batchOf[K, V], q *query[K, V], end time.Duration) {
	if r.part == nil || b.Class == lanes[ClassUrgent] {
		return
	}
	r.cfg.Backend.observe(end, b.Started, len(b.Items), b.InFlight, q.whole == nil && q.calls == 1)
}
