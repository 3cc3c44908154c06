package sim

import (
	"math"
	"time"
)

// Backend is the database that is modelled. A batch of n keys takes half a round
// trip, then work on the CPU, then half a round trip:
//
//	work = (PerBatch + PerKey·n) · noise,   noise lognormal with mean 1
//
// Batches share the cores, so that each of k proceeds at
//
//	rate = Speed · min(1, Cores/k) / (1 + Crowding·max(0, k−Cores)/Cores)
//
// of a core. A zero field means none, or its default.
type Backend struct {
	RoundTrip time.Duration // of the network
	PerBatch  time.Duration // c0, CPU time of a batch
	PerKey    time.Duration // c1, CPU time of a key
	Cores     int           // default 1
	Sigma     float64       // of the noise; 0: none
	Crowding  float64       // what a core loses when as many batches wait as run
	FIFO      bool          // a core works on one batch until it is done; the others queue

	HeavyShare float64 // keys that cost HeavyTimes as much
	HeavyTimes float64

	FailShare        float64       // batches that fail fast, after a quarter of PerBatch
	FailFrom, FailTo time.Duration // when; both 0: always
	HangShare        float64       // batches that hang …
	HangTime         time.Duration // … for so long, on no core

	Slow []Slow // when it is slower, in rising order, without overlap
}

// Slow is a time of another speed: ½ takes twice as long, 0 is a pause.
type Slow struct {
	From, To time.Duration
	Speed    float64
}

// Capacity is the throughput at full batches, in keys per second.
func (b Backend) Capacity(maxBatch int) float64 {
	n := float64(maxBatch)
	return float64(b.cores()) * n / (b.PerBatch.Seconds() + n*b.PerKey.Seconds())
}

func (b Backend) cores() int { return max(1, b.Cores) }

// server is a backend at work. Its CPU has a clock of its own, v, which counts the
// work that each batch on it has been given: with equal shares all progress alike,
// and the next to finish is the one with the least goal.
type server struct {
	Backend
	random stream

	jobs    []job // on the CPU; with FIFO the first Cores of them run
	first   int   // the next to finish; valid unless stale
	stale   bool
	v       float64       // ns of work given to each since the start
	at      time.Duration // when v was brought up to date
	rate    float64       // dv/dt
	speed   float64
	changes int // of Slow passed: 2·i is the begin of the i-th, 2·i+1 its end
}

// job is a batch on the CPU.
type job struct {
	goal   float64 // done when v reaches it
	flight int32
}

const never = time.Duration(math.MaxInt64)

func newServer(b Backend, seed uint64) *server {
	s := &server{Backend: b, random: newStream(seed, 2), speed: 1}
	return s
}

// draw is a batch's work in ns, how long it hangs first, and whether it fails.
func (s *server) draw(now time.Duration, n int) (work float64, hang time.Duration, fails bool) {
	keys := float64(n)
	if s.HeavyShare > 0 {
		keys += float64(s.random.binomial(n, s.HeavyShare)) * (s.HeavyTimes - 1)
	}
	work = (float64(s.PerBatch) + keys*float64(s.PerKey)) * s.random.lognormal(s.Sigma)
	if s.HangShare > 0 && s.random.Float64() < s.HangShare {
		hang = s.HangTime
	}
	if s.FailShare > 0 && s.failsAt(now) && s.random.Float64() < s.FailShare {
		return float64(s.PerBatch) / 4, hang, true
	}
	return work, hang, false
}

func (s *server) failsAt(now time.Duration) bool {
	return s.FailTo == 0 || now >= s.FailFrom && now < s.FailTo
}

// advance brings the clock of the CPU up to now.
func (s *server) advance(now time.Duration) {
	s.v += float64(now-s.at) * s.rate
	s.at = now
}

// start puts a batch on the CPU.
func (s *server) start(now time.Duration, flight int32, work float64) {
	s.advance(now)
	if s.FIFO {
		s.startFIFO(flight, work)
		return
	}
	j := job{s.v + work, flight}
	s.jobs = append(s.jobs, j)
	if !s.stale && (len(s.jobs) == 1 || j.goal < s.jobs[s.first].goal) {
		s.first = len(s.jobs) - 1
	}
	s.retime()
}

// retime sets the rate for as many batches as there are.
func (s *server) retime() {
	k, cores := float64(len(s.jobs)), float64(s.cores())
	if k == 0 {
		s.rate = 0
		return
	}
	if s.FIFO {
		s.rate = s.speed
		return
	}
	s.rate = s.speed * min(1, cores/k) / (1 + s.Crowding*max(0, k-cores)/cores)
}

// next is when the CPU finishes a batch or changes its speed.
func (s *server) next() time.Duration {
	return min(s.finish(), s.change())
}

func (s *server) finish() time.Duration {
	if len(s.jobs) == 0 || s.rate == 0 {
		return never
	}
	s.find()
	left := max(0, s.jobs[s.first].goal-s.v) / s.rate
	return s.at + time.Duration(math.Ceil(left))
}

func (s *server) find() {
	if !s.stale {
		return
	}
	s.first, s.stale = 0, false
	for i := 1; i < s.running(); i++ {
		if s.jobs[i].goal < s.jobs[s.first].goal {
			s.first = i
		}
	}
}

// running is how many batches have a core, or a share of one.
func (s *server) running() int {
	if s.FIFO {
		return min(len(s.jobs), s.cores())
	}
	return len(s.jobs)
}

// take removes the batch that has finished.
func (s *server) take(now time.Duration) int32 {
	s.advance(now)
	s.find()
	done := s.jobs[s.first].flight
	last := len(s.jobs) - 1
	if s.FIFO {
		s.takeFIFO()
	} else {
		s.jobs[s.first] = s.jobs[last]
		s.jobs = s.jobs[:last]
	}
	s.stale = true
	s.retime()
	return done
}

// Under FIFO the goal of a batch that waits is its work; it begins to count when a
// core becomes free.
func (s *server) startFIFO(flight int32, work float64) {
	if len(s.jobs) < s.cores() {
		work += s.v
	}
	s.jobs = append(s.jobs, job{work, flight})
	s.stale = true
	s.retime()
}

func (s *server) takeFIFO() {
	copy(s.jobs[s.first:], s.jobs[s.first+1:])
	s.jobs = s.jobs[:len(s.jobs)-1]
	if n := s.cores(); len(s.jobs) >= n {
		s.jobs[n-1].goal += s.v
	}
}

// change is when the speed changes next.
func (s *server) change() time.Duration {
	i := s.changes / 2
	switch {
	case i >= len(s.Slow):
		return never
	case s.changes%2 == 0:
		return s.Slow[i].From
	}
	return s.Slow[i].To
}

// turn changes the speed.
func (s *server) turn(now time.Duration) {
	s.advance(now)
	s.speed = 1
	if s.changes%2 == 0 {
		s.speed = s.Slow[s.changes/2].Speed
	}
	s.changes++
	s.retime()
}
