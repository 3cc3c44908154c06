package load

import (
	"sync"
	"sync/atomic"
	"time"
)

// A worker sends one request at a time.
type worker struct {
	jobs   chan job
	flight atomic.Int64 // the request that it has: see book
	caller Caller
	draw   *drawer
}

// What flight holds besides a request.
const (
	idle    = 0
	retired = -1 // the run is over for this worker: what it still does no longer counts
)

func (w *worker) init(r *run) {
	w.jobs = make(chan job, 1)
	w.caller = r.cfg.Target.Caller()
	w.draw = newDrawer(&r.cfg)
}

// book gives an idle worker a request, false once it is retired. From here on the
// request is accounted for, even if the worker never gets to run.
func (w *worker) book(due time.Duration) bool {
	return w.flight.CompareAndSwap(idle, int64(1+due)<<1)
}

// begin marks the request as sent.
func (w *worker) begin(due time.Duration) bool {
	booked := int64(1+due) << 1
	return w.flight.CompareAndSwap(booked, booked|1)
}

// finish takes the request back, false if it was censored meanwhile.
func (w *worker) finish(due time.Duration) bool {
	return w.flight.CompareAndSwap(int64(1+due)<<1|1, idle)
}

// retire ends what the worker does for this run, and tells what it had.
func (w *worker) retire() (due time.Duration, sent, had bool) {
	f := w.flight.Swap(retired)
	return time.Duration(f>>1 - 1), f&1 == 1, f > idle
}

func (w *worker) loop(r *run) {
	for j := range w.jobs {
		w.serve(r, j)
		again := r.pool.give(w)
		r.pending.Done()
		if !again {
			return
		}
	}
}

// serve sends a request and records what came of it.
func (w *worker) serve(r *run, j job) {
	req := w.draw.request(j.seq)
	sent := r.now()
	if !w.begin(j.due) {
		return
	}
	r.recordSent(j.due, sent)
	err := w.caller.Call(r.calls, req)
	end := r.now()
	if w.finish(j.due) {
		r.recordEnd(j.due, sent, end, req.FirstByte, err)
	}
}

// recordSent counts a request that was sent.
func (r *run) recordSent(due, sent time.Duration) {
	if !r.inWindow(due) {
		return
	}
	r.rec.sent.Add(uint64(r.cfg.Chunk))
	r.rec.lag.RecordN(sent-due, uint64(r.cfg.Chunk))
	raise(&r.rec.lastSent, int64(sent))
}

// recordEnd counts an answer.
func (r *run) recordEnd(due, sent, end, firstByte time.Duration, err error) {
	n := uint64(r.cfg.Chunk)
	if err == nil && r.inWindow(end) {
		r.rec.completed.Add(n)
	}
	switch {
	case !r.inWindow(due):
		return
	case err != nil:
		r.rec.failed.Add(n)
		r.rec.errors.add(err)
		return
	}
	r.rec.good.Add(n)
	r.rec.response.RecordN(end-due, n)
	r.rec.service.RecordN(end-sent, n)
	if firstByte > 0 {
		r.rec.firstByte.RecordN(firstByte, n)
	}
}

// raise sets x to v if that is more.
func raise(x *atomic.Int64, v int64) {
	for old := x.Load(); v > old; old = x.Load() {
		if x.CompareAndSwap(old, v) {
			return
		}
	}
}

// pool holds the workers. The one that was idle for the shortest time is taken
// first: its memory is still in the processor's caches.
type pool struct {
	mu      sync.Mutex
	idle    []*worker
	all     []*worker
	most    int
	stopped bool
}

// take returns an idle worker or makes one; nil if there are too many.
func (p *pool) take() (w *worker, isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		w = p.idle[last]
		p.idle = p.idle[:last]
		return w, false
	}
	if len(p.all) == p.most {
		return nil, false
	}
	w = new(worker)
	p.all = append(p.all, w)
	return w, true
}

// give puts a worker back; false if it should end.
func (p *pool) give(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.idle = append(p.idle, w)
	}
	return !p.stopped
}

// stop ends the idle workers, lets the others end when they are done, and returns
// all of them.
func (p *pool) stop() []*worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, w := range p.idle {
		close(w.jobs)
	}
	p.idle = nil
	return p.all
}
