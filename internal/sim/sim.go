package sim

import (
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
	"github.com/fulcrum-data/fulcrum/internal/model"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// Setup is a simulation to run. Times are since its begin.
type Setup struct {
	Backend Backend
	Load    Load
	Tuner   tune.Tuner

	// Copies are further databases with the same data, among which internal/pick chooses,
	// each with a tuner of its own. Default none.
	Copies []Copy

	MaxQueued int           // requests; default 50,000
	KeepAll   bool          // sheds nothing but what exceeds MaxQueued
	Yield     time.Duration // from a wake-up to the batch that it takes
	Linger    time.Duration // longest hold, if the tuner advises to hold; default 2 ms
	Cost      dispatch.Cost // what the dispatcher believes; zero: what internal/model learns

	Begin    time.Duration // nothing comes before; what would have, is drawn and skipped
	From, To time.Duration // measured: what ends in between. To is the end of the run
	Every    time.Duration // the length of Result.Slices; 0: none
	Seed     uint64
	Twin     bool // queue in the fast twin of the dispatcher; holds are not simulated

	Decided func(now time.Duration, d tune.Decision) // told of each decision; may be nil
}

const defaultMaxQueued = 50_000

// desk is where requests queue: the dispatcher, or its twin.
type desk interface {
	setLimits(dispatch.Limits)
	setCost(dispatch.Cost)
	arrive(now time.Duration, f *flight) dispatch.Action
	wanted(now time.Duration) bool
	take(now time.Duration, f *flight) bool
	done(now time.Duration, f *flight, ok bool) (again bool)
	eachDue(f *flight, tell func(due time.Duration))
	queued() int
	inFlight() int
	oldest() time.Duration
	drop()
}

// flight is a batch on its way.
type flight struct {
	n        int
	left     time.Duration
	inFlight int // as it left, itself included
	work     float64
	fails    bool
	copy     int // where it goes

	from  int    // of a twin: its first request
	batch *batch // of a dispatcher
}

// run is a simulation in progress.
type run struct {
	Setup
	now      time.Duration
	desk     desk
	copies   copies
	arrivals *arrivals
	closed   *callers
	model    *model.Model
	refitAt  time.Duration
	tickAt   time.Duration

	events  events
	flights []flight
	spare   []int32
	obs     tune.Observation
	emptyAt time.Duration // when the queue was last empty
	rec     recorder
	tell    func(due time.Duration)
	ok      bool // the batch that is told of
}

// Run simulates. The same setup, with a tuner in the same state, gives the same
// result.
func Run(s Setup) Result {
	r := newRun(s)
	r.loop()
	return r.result()
}

func newRun(s Setup) *run {
	if s.MaxQueued == 0 {
		s.MaxQueued = defaultMaxQueued
	}
	if s.Linger == 0 {
		s.Linger = 2 * time.Millisecond
	}
	r := &run{Setup: s, copies: newCopies(&s), arrivals: newArrivals(s.Load, s.Seed), tickAt: never}
	r.desk = newReal()
	if s.Twin {
		r.desk = newTwin()
	}
	r.desk.setCost(s.Cost)
	if s.Cost == (dispatch.Cost{}) {
		r.model = model.New()
	}
	r.rec.init(s)
	r.tell = r.answered
	r.apply(r.copies.together(0))
	if s.Load.Callers > 0 {
		r.closed = newCallers(s.Load, s.Seed)
		for i := range s.Load.Callers {
			r.events.push(r.closed.first(i), arrive, 0)
		}
	}
	return r
}

// apply sets what the tuner decided.
func (r *run) apply(d tune.Decision) {
	r.desk.setLimits(dispatch.Limits{
		InFlight: d.InFlight, MaxBatch: d.MaxBatch, MaxWaiters: 1,
		MaxQueued: [dispatch.Lanes]int{r.MaxQueued, r.MaxQueued, r.MaxQueued},
		Hold:      d.Hold, Linger: r.Linger,
	})
	r.rec.setK(r.now, d.InFlight)
}

// loop goes from event to event until the end.
func (r *run) loop() {
	next := r.arrivals.next()
	for next < r.Begin {
		next = r.arrivals.next()
	}
	r.emptyAt = r.Begin
	for {
		cpu, event := r.copies.next(), r.events.next()
		r.now = min(next, cpu, event, r.tickAt)
		if r.now >= r.To {
			r.now = r.To
			return
		}
		switch r.now {
		case next:
			r.arrive()
			next = r.arrivals.next()
		case cpu:
			r.cpu()
		case event:
			r.event()
		default:
			r.tick()
		}
	}
}

// event does what was planned for now.
func (r *run) event() {
	switch e := r.events.pop(); e.kind {
	case arrive:
		r.arrive()
	case take:
		r.take()
	case enter:
		f := &r.flights[e.flight]
		r.copies.all[f.copy].server.start(r.now, e.flight, f.work)
	case answer:
		r.answer(e.flight)
	}
}

// cpu is the end of a batch's work, or another speed.
func (r *run) cpu() {
	s := r.copies.due
	if s.change() == r.now {
		s.turn(r.now)
		return
	}
	r.events.push(r.now+s.RoundTrip/2, answer, s.take(r.now))
}

// arrive is a request that comes.
func (r *run) arrive() {
	if r.desk.queued() == 0 {
		r.emptyAt = r.now
	}
	r.obs.Arrived++
	if r.desk.inFlight() >= r.rec.k {
		r.obs.Blocked++
	}
	i := r.newFlight()
	switch r.desk.arrive(r.now, &r.flights[i]) {
	case dispatch.Run:
		r.send(i)
		return
	case dispatch.Lead:
		r.takeSoon()
	case dispatch.Refuse:
		r.shed()
	}
	r.spare = append(r.spare, i)
	r.look()
}

func (r *run) newFlight() int32 {
	if n := len(r.spare); n > 0 {
		i := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return i
	}
	r.flights = append(r.flights, flight{})
	return int32(len(r.flights) - 1)
}

// look asks, as the shell does whenever it was there, whether a taker is wanted.
func (r *run) look() {
	if r.desk.wanted(r.now) {
		r.takeSoon()
	}
	if d, ok := r.desk.(*real); ok {
		r.tickAt = never
		if at, held := d.nextTick(); held {
			r.tickAt = max(at, r.now+1)
		}
	}
}

func (r *run) tick() {
	r.tickAt = never
	r.look()
}

func (r *run) takeSoon() {
	if r.Yield > 0 {
		r.events.push(r.now+r.Yield, take, 0)
		return
	}
	r.take()
}

// take has the next batch leave.
func (r *run) take() {
	r.shedOld()
	i := r.newFlight()
	if !r.desk.take(r.now, &r.flights[i]) {
		r.spare = append(r.spare, i)
		return
	}
	if r.desk.queued() == 0 {
		r.emptyAt = r.now
	}
	r.send(i)
	r.look()
}

const (
	standing    = 100 * time.Millisecond // a queue that was not empty for so long stands
	oldAtOnce   = 100 * time.Millisecond // waits that a burst may cause
	oldStanding = 5 * time.Millisecond   // waits allowed in a standing queue
)

// shedOld drops those who have waited too long: a queue that never empties only
// adds to everyone's response time.
func (r *run) shedOld() {
	if r.KeepAll {
		return
	}
	limit := oldAtOnce
	if r.now-r.emptyAt > standing {
		limit = oldStanding
	}
	for r.desk.queued() > 0 && r.now-r.desk.oldest() > limit {
		r.desk.drop()
		r.shed()
	}
}

func (r *run) shed() {
	r.obs.Shed++
	r.rec.shed(r.now)
}

// send puts a batch on its way to the backend.
func (r *run) send(i int32) {
	f := &r.flights[i]
	var hang time.Duration
	f.copy = r.copies.choose(r.now)
	s := r.copies.all[f.copy].server
	f.work, hang, f.fails = s.draw(r.now, f.n)
	r.events.push(r.now+s.RoundTrip/2+hang, enter, i)
}

// answer is a batch that is back.
func (r *run) answer(i int32) {
	f := &r.flights[i]
	service := r.now - f.left
	r.ok = !f.fails
	expected := r.expected(f.n)
	slow, inFlight := r.copies.done(r.now, f, r.ok, service, expected)
	if !slow {
		r.learn(f, service)
	}
	again := r.desk.done(r.now, f, r.ok)
	r.rec.batch(r.now, f.n)
	if r.closed != nil {
		r.closed.wave()
	}
	r.desk.eachDue(f, r.tell)
	o := &r.obs
	o.Keys, o.Service, o.Left, o.InFlight, o.OK = f.n, service, f.left, f.inFlight, r.ok
	if inFlight > 0 {
		o.InFlight = inFlight
	}
	r.spare = append(r.spare, i)
	r.rec.observe(r.now, o)
	if d, decided := r.copies.all[f.copy].tuner.Step(r.now, o); decided {
		r.apply(r.copies.together(r.now))
		if r.Decided != nil {
			r.Decided(r.now, d)
		}
	}
	if again {
		r.takeSoon()
	}
	r.look()
}

const refitEvery = 10 * time.Millisecond

// learn does what the library's shell does with its model.
func (r *run) learn(f *flight, service time.Duration) {
	if r.model == nil || !r.ok {
		return
	}
	r.model.Observe(r.now, f.n, service)
	if r.refitAt <= r.now {
		r.refitAt = r.now + refitEvery
		a, b, _ := r.model.Fit()
		r.desk.setCost(dispatch.Cost{A: time.Duration(a), B: time.Duration(b)})
	}
}

// answered is one request of the batch that is back.
func (r *run) answered(due time.Duration) {
	r.rec.answered(r.now, due, r.ok)
	if r.closed != nil {
		r.events.push(r.now+r.closed.pause(), arrive, 0)
	}
}
