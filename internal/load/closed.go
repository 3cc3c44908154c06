package load

import (
	"context"
	"sync/atomic"
)

// closedLoop lets each caller send as soon as it has its answer, until the window
// ends. What a caller sends is due at that moment.
func (r *run) closedLoop(ctx context.Context) {
	r.pool.most = r.cfg.Callers
	var seq atomic.Uint64
	for range r.cfg.Callers {
		w, _ := r.pool.take()
		w.init(r)
		r.pending.Add(1)
		go func() {
			defer r.pending.Done()
			for now := r.now(); now < r.end && ctx.Err() == nil && w.book(now); now = r.now() {
				w.serve(r, job{now, seq.Add(1) - 1})
			}
		}()
	}
}
