package load

import (
	"context"
	"time"
)

// A waiter waits for moments that are due, on one goroutine.
type waiter interface {
	// wait sleeps for about d, or less.
	wait(d time.Duration)
	close()
}

const (
	// leastWait is the shortest sleep. At 20,000/s, waking for each request would
	// cost a fifth of a core; so those that are due within a tenth of a millisecond
	// leave together.
	leastWait = 100 * time.Microsecond
	// mostWait bounds a sleep, after which the end of the context is noticed.
	mostWait = 20 * time.Millisecond
)

// pace sends what is due until the window ends, all of it at the same moment that
// is due by then.
func (r *run) pace(ctx context.Context, w interface{ wait(time.Duration) }, send func(job)) {
	next := r.cfg.Arrivals.Schedule(r.cfg.Rate, r.cfg.Chunk, r.cfg.Seed)
	now := time.Duration(0)
	for seq := uint64(0); ; seq++ {
		due, ok := next()
		if !ok || due >= r.end {
			break
		}
		for due > now && now < r.cut && ctx.Err() == nil {
			if now = r.now(); due > now {
				w.wait(min(max(due-now, leastWait), mostWait))
			}
		}
		if seq%checkEvery == 0 {
			w.wait(0)     // a late generator must find the answers that have come,
			now = r.now() // and notice that its time is over
		}
		if now >= r.cut || ctx.Err() != nil {
			r.unsend(due, r.cut)
			continue
		}
		send(job{due, seq})
	}
	for left := r.end - r.now(); left > 0 && ctx.Err() == nil; left = r.end - r.now() {
		w.wait(min(left, mostWait))
	}
}

// checkEvery is how many requests may be sent between two looks at the clock and at
// what has come.
const checkEvery = 8
