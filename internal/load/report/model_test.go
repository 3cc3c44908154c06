package report

import (
	"math"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

// server is a queue with one server, M/M/1, after a fixed round trip.
type server struct {
	mu   float64 // requests/s
	trip time.Duration
}

func newServer(mu float64, trip time.Duration) *server { return &server{mu, trip} }

// step is what 10 s of a load make; at or beyond μ most of it stays unanswered.
func (q *server) step(rate float64) *load.Step {
	const seconds = 10
	n := uint64(rate * seconds)
	s := &load.Step{Duration: seconds * time.Second, Sending: seconds * time.Second, Due: n, Sent: n}
	response, service, lag, least := hist.New(), hist.New(), hist.New(), hist.New()
	s.Good = min(n, uint64(q.mu*seconds))
	s.Completed, s.Censored = s.Good, n-s.Good
	least.RecordN(3*time.Second, s.Censored)
	values := min(s.Good, 1000) // at equal quantiles
	for i := range values {
		n := s.Good / values
		if i < s.Good%values {
			n++
		}
		exponential := -math.Log(1 - (float64(i)+.5)/float64(values))
		d := q.trip + time.Duration(exponential/max(q.mu-rate, 1)*1e9)
		response.RecordN(d, n)
		service.RecordN(d*3/4, n)
		lag.RecordN(time.Duration(exponential*2e4), n)
	}
	s.Response, s.Service, s.Lag, s.Least = response.Snapshot(), service.Snapshot(), lag.Snapshot(), least.Snapshot()
	return s
}

// curve searches to the end.
func (q *server) curve(name string, slo curve.SLO) Curve {
	search := curve.NewSearch(curve.SearchConfig{SLO: slo, From: q.mu / 10})
	for rate, ok := search.Next(); ok; rate, ok = search.Next() {
		search.Add(q.step(rate))
	}
	c := FromPoints(name, search.Points(), curve.Analyse(search.Points(), slo))
	for i, s := range c.Steps {
		share := max(1, s.Throughput()/3000)
		c.Steps[i].RowsPerQuery, c.Steps[i].QueriesPerSecond = share, s.Throughput()/share
	}
	return c
}

// late is a step whose generator was.
func late(rate float64) *load.Step {
	s := newServer(rate*2, 0).step(rate)
	lag := hist.New()
	lag.RecordN(time.Second, s.Good)
	s.Lag = lag.Snapshot()
	return s
}

var slo20 = curve.SLO{Quantile: .99, Limit: 20 * time.Millisecond}

// sweeps are kept, as each takes a while.
var sweeps sync.Map

// sweep is the usual comparison. Tests only read it.
func sweep(slo curve.SLO) Report {
	r, ok := sweeps.Load(slo)
	if !ok {
		r, _ = sweeps.LoadOrStore(slo, makeSweep(slo))
	}
	return r.(Report)
}

func makeSweep(slo curve.SLO) Report {
	return Report{
		Title:    "Reading profiles one by one",
		Machine:  "4 processors, Linux 6.1, PostgreSQL 15, Go 1.26",
		Settings: []string{"Poisson arrivals", "10 s each", "64 connections", "keys zipf:1.1:100000", "seed 1"},
		Begun:    time.Date(2026, 11, 1, 9, 30, 0, 0, time.UTC),
		SLO:      slo,
		Curves: []Curve{
			newServer(2500, 900*time.Microsecond).curve("dial", slo),
			newServer(6200, 220*time.Microsecond).curve("direct", slo),
			newServer(9800, 9*time.Millisecond).curve("window", slo),
			newServer(8700, 650*time.Microsecond).curve("bulk", slo),
			newServer(14_000, 300*time.Microsecond).curve("fulcrum", slo),
		},
	}
}

// equalLoads are that many curves at the same loads, as --compare does.
func equalLoads(n int) Report {
	r := Report{Title: "Equal loads", SLO: slo20}
	for i := range n {
		q := newServer(3000*math.Pow(1.2, float64(i)), 500*time.Microsecond)
		c := Curve{Name: string(rune('a' + i))}
		for _, rate := range []float64{1000, 2000, 4000, 8000} {
			c.Steps = append(c.Steps, Step{Step: q.step(rate), Rate: rate})
		}
		r.Curves = append(r.Curves, c)
	}
	return r
}
