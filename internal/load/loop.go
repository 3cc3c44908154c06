package load

import (
	"context"
	"time"
)

// A Looper is a Target which can send the requests of an open loop on the thread
// that paces them. Nothing is handed to another goroutine then, whose turn may come
// late on a machine that the target shares.
type Looper interface {
	Target
	// Loop begins a loop, which tells answered what came of each request, on the
	// goroutine that uses the loop and at the moment at which it knows. It is nil
	// where there cannot be one: the run then uses callers.
	Loop(ctx context.Context, answered func(Answer)) Loop
}

// A Loop sends requests and finds their answers. One goroutine uses it.
type Loop interface {
	// Send begins a request and does not wait. The request is the run's own again
	// when it returns. The answer will be told with the same id.
	Send(id int, r *Request)
	// Wait looks for answers. It returns once it has told some, and after about d if
	// there are none; if d is 0, at once.
	Wait(d time.Duration)
	// Close gives up what is still on its way, and tells nobody.
	Close()
}

// Answer is what came of a request.
type Answer struct {
	ID        int
	FirstByte time.Duration // since Send; 0: unknown
	Err       error         // there was no answer, or a wrong one
}

// looped is a run on one thread.
type looped struct {
	*run
	loop    Loop
	draw    *drawer
	flights []flight // by id
	free    []int    // ids of no request
}

// flight is a request on its way.
type flight struct {
	due, sent time.Duration
	busy      bool
}

// newLooped is nil where the run needs callers.
func newLooped(ctx context.Context, r *run) *looped {
	t, ok := r.cfg.Target.(Looper)
	if !ok || r.cfg.Callers > 0 {
		return nil
	}
	l := &looped{run: r, draw: newDrawer(&r.cfg)}
	if l.loop = t.Loop(ctx, l.answered); l.loop == nil {
		return nil
	}
	r.start() // to begin a loop may have taken a while
	return l
}

// offer sends all that is due, waits for its answers, and accounts for what has
// none.
func (l *looped) offer(ctx context.Context) {
	thread := l.cfg.waiter() // for the thread that it makes this one
	defer thread.close()
	l.pace(ctx, l, l.send)
	for l.busy() && ctx.Err() == nil {
		left := l.cut - l.now()
		if left <= 0 {
			break
		}
		l.wait(min(left, mostWait))
	}
	now := l.now()
	for _, f := range l.flights {
		if f.busy {
			l.unfinish(f.due, now)
		}
	}
}

func (l *looped) wait(d time.Duration) { l.loop.Wait(d) }

func (l *looped) busy() bool { return len(l.free) < len(l.flights) }

func (l *looped) send(j job) {
	if len(l.free) == 0 {
		if len(l.flights) == l.cfg.Outstanding {
			l.unsend(j.due, l.cut)
			return
		}
		l.free = append(l.free, len(l.flights))
		l.flights = append(l.flights, flight{})
	}
	last := len(l.free) - 1
	id := l.free[last]
	l.free = l.free[:last]
	req := l.draw.request(j.seq)
	sent := l.now()
	l.flights[id] = flight{j.due, sent, true}
	l.recordSent(j.due, sent)
	l.loop.Send(id, req)
}

func (l *looped) answered(a Answer) {
	f := &l.flights[a.ID]
	f.busy = false
	l.free = append(l.free, a.ID)
	l.recordEnd(f.due, f.sent, l.now(), a.FirstByte, a.Err)
}
