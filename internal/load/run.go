package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
)

// Run offers the load and returns the step it makes. It takes warm-up, duration and
// at most drain, and then a second at most until callers have noticed. The end of
// ctx interrupts it: the step is then invalid. Its error is one of the Config.
func Run(ctx context.Context, cfg Config) (*Step, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := newRun(cfg)
	if l := newLooped(ctx, r); l != nil {
		defer l.loop.Close()
		told := r.tellWindow()
		l.offer(ctx)
		told(ctx)
	} else {
		r.offer(ctx)
	}
	return r.step(ctx.Err() != nil), nil
}

// offer lets callers send.
func (r *run) offer(ctx context.Context) {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r.calls = calls
	told := r.tellWindow()
	if r.cfg.Callers > 0 {
		r.closedLoop(ctx)
	} else {
		w := r.cfg.waiter()
		r.pace(ctx, w, r.send)
		w.close()
	}
	r.drain(ctx)
	r.censor()
	cancel()
	told(ctx)
	r.leave()
}

// run is a run in progress. Times are since its epoch.
type run struct {
	cfg   Config
	epoch time.Time
	begin time.Duration // of the window, after the warm-up
	end   time.Duration // of the window
	cut   time.Duration // when the drain is over
	calls context.Context

	pool    pool
	pending sync.WaitGroup // requests on their way
	all     chan struct{}  // closed when none is, after the last was sent
	rec     recorder
}

// recorder counts keys of requests that were due in the window.
type recorder struct {
	sent, good, failed, unsent, unfinished atomic.Uint64

	completed atomic.Uint64 // answered well within the window, whenever they were due
	lastSent  atomic.Int64  // ns
	response  hist.Histogram
	service   hist.Histogram
	lag       hist.Histogram
	firstByte hist.Histogram
	censored  hist.Histogram // how long those without an answer had taken
	errors    errorLog

	cpuBegin, cpuEnd atomic.Int64 // ns of this process, at the window's ends
}

func newRun(cfg Config) *run {
	r := &run{cfg: cfg, begin: cfg.Warmup}
	r.start()
	r.end = r.begin + cfg.Duration
	r.cut = r.end + cfg.Drain
	r.pool.most = cfg.Outstanding
	return r
}

// start makes this moment the one from which times are counted.
func (r *run) start() { r.epoch = time.Now() }

func (r *run) now() time.Duration { return time.Since(r.epoch) }

// tellWindow looks at the clock of the processor as the window begins and ends, and
// has Config.Window called. What it returns sees to it that that is done, unless the
// step was interrupted.
func (r *run) tellWindow() (told func(context.Context)) {
	begun, ended := make(chan struct{}), make(chan struct{})
	begin := func(tell bool) {
		defer close(begun)
		if tell {
			r.edge(true)
		}
	}
	end := func(tell bool) {
		defer close(ended)
		<-begun
		if tell {
			r.edge(false)
		}
	}
	begins := time.AfterFunc(r.begin-r.now(), func() { begin(true) })
	ends := time.AfterFunc(r.end-r.now(), func() { end(true) })
	return func(ctx context.Context) {
		over := ctx.Err() == nil // then a timer that has not fired is a little late
		if begins.Stop() {
			begin(over)
		}
		if ends.Stop() {
			end(over)
		}
		<-ended
	}
}

// edge is one end of the window.
func (r *run) edge(begins bool) {
	if begins {
		r.rec.cpuBegin.Store(int64(processTime()))
	} else {
		r.rec.cpuEnd.Store(int64(processTime()))
	}
	if r.cfg.Window != nil {
		r.cfg.Window(begins)
	}
}

// inWindow says whether what is due then is recorded.
func (r *run) inWindow(due time.Duration) bool { return due >= r.begin && due < r.end }

// A job is a request before it is sent.
type job struct {
	due time.Duration
	seq uint64
}

// send hands a request to an idle worker, or to a new one.
func (r *run) send(j job) {
	w, isNew := r.pool.take()
	if w == nil {
		r.unsend(j.due, r.cut)
		return
	}
	r.pending.Add(1)
	if isNew {
		w.init(r)
		go w.loop(r)
	}
	w.book(j.due)
	w.jobs <- j
}

// unsend accounts for a request that could not be sent, and will not be before the
// moment until.
func (r *run) unsend(due, until time.Duration) {
	if !r.inWindow(due) {
		return
	}
	n := uint64(r.cfg.Chunk)
	r.rec.unsent.Add(n)
	r.rec.lag.RecordN(until-due, n)
	r.rec.censored.RecordN(until-due, n)
}

// drain waits until all have their answers or the time is over.
func (r *run) drain(ctx context.Context) {
	r.all = make(chan struct{})
	go func() {
		r.pending.Wait()
		close(r.all)
	}()
	timer := time.NewTimer(r.cut - r.now())
	defer timer.Stop()
	select {
	case <-r.all:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// censor accounts for all that are still on their way, or have not even begun.
func (r *run) censor() {
	now := r.now()
	for _, w := range r.pool.stop() {
		due, sent, had := w.retire()
		switch {
		case !had:
		case !sent:
			r.unsend(due, now)
		default:
			r.unfinish(due, now)
		}
	}
}

// unfinish accounts for a request that was sent and has no answer now.
func (r *run) unfinish(due, now time.Duration) {
	if !r.inWindow(due) {
		return
	}
	n := uint64(r.cfg.Chunk)
	r.rec.unfinished.Add(n)
	r.rec.censored.RecordN(now-due, n)
}

// goodbye is how long callers may take to notice that their context has ended.
const goodbye = time.Second

// leave waits for the callers that have been cut off, so that the next run does
// not meet them.
func (r *run) leave() {
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-r.all:
	case <-timer.C:
	}
}
