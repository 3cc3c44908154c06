package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/sim"
)

// simulateJSON is what was simulated.
type simulateJSON struct {
	Model modelJSON   `json:"model"`
	Runs  []simulated `json:"runs"`
}

// modelJSON has times in seconds.
type modelJSON struct {
	A        float64 `json:"a_seconds"`
	B        float64 `json:"b_seconds"`
	RTT      float64 `json:"rtt_seconds"`
	Cores    int     `json:"cores"`
	Capacity float64 `json:"capacity_rps"`
	Copies   int     `json:"copies"`
	SlowCopy float64 `json:"slow_copy"`
}

func (c *simulateCommand) modelJSON() modelJSON {
	return modelJSON{c.A.Seconds(), c.B.Seconds(), c.RTT.Seconds(), c.Cores, c.capacity(), c.Copies, c.SlowCopy}
}

// simulated is one run. Rates are in keys per second.
type simulated struct {
	Load         string         `json:"load"`
	Tuner        string         `json:"tuner"`
	Offered      float64        `json:"offered_rps"` // 0 of a closed loop
	Throughput   float64        `json:"throughput_rps"`
	Shed         float64        `json:"shed_ratio"`
	Queries      float64        `json:"queries_per_second"`
	RowsPerQuery float64        `json:"rows_per_query"`
	K            float64        `json:"in_flight_mean"`
	KSpread      float64        `json:"in_flight_spread_ratio"`
	Response     simulatedTimes `json:"response_seconds"`
	Shares       []float64      `json:"copy_shares"`                   // of the queries, by copy
	Speed        float64        `json:"simulated_requests_per_second"` // of wall time
}

type simulatedTimes struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
}

func newSimulated(l simulatedLoad, tuner string, r sim.Result, took time.Duration) simulated {
	due := max(1, float64(r.Good+r.Failed+r.Shed))
	q := func(q float64) float64 { return r.Response.Quantile(q).Seconds() }
	return simulated{
		Load: l.name, Tuner: tuner, Offered: l.offered, Throughput: r.Goodput(), Shed: float64(r.Shed) / due,
		Queries: float64(r.Batches) / r.Measured.Seconds(), RowsPerQuery: r.KeysPerBatch(), K: r.K, KSpread: r.KSpread,
		Shares:   r.Shares,
		Response: simulatedTimes{r.Mean().Seconds(), q(.5), q(.95), q(.99)},
		Speed:    due / took.Seconds(),
	}
}

// costs are what queries of some sizes cost, to fit a + b·n to:
//
//	minimise Σ (c − a − b·n)²/c²
type costs struct{ w, n, nn, c, nc float64 }

// add takes in queries of n rows that cost c seconds of CPU each.
func (f *costs) add(n, c float64) {
	k := 1 / (c * c)
	f.w, f.n, f.nn, f.c, f.nc = f.w+k, f.n+k*n, f.nn+k*n*n, f.c+k*c, f.nc+k*n*c
}

// line is a and b, in seconds; false if the sizes are too much alike.
func (f *costs) line() (a, b float64, ok bool) {
	det := f.w*f.nn - f.n*f.n
	if !(det > 1e-6*f.w*f.nn) {
		return 0, 0, false
	}
	b = max(0, (f.w*f.nc-f.n*f.c)/det)
	return max(1e-6, (f.c-b*f.n)/f.w), b, true
}

// learn takes a and b from the steps of a benchmark: the CPU time of a query, by
// how many rows it had. What the quickest step took beyond that is the round trip.
func (c *simulateCommand) learn(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var bench benchJSON
	if err := json.Unmarshal(text, &bench); err != nil {
		return err
	}
	var f costs
	quickest, rows := math.Inf(1), 0.0
	for _, s := range bench.Steps {
		if s.Strategy != "fulcrum" || !s.Valid || s.RowsPer == nil || s.DatabaseCPU == nil || s.Service == nil || s.Service.P50 == nil {
			continue
		}
		f.add(*s.RowsPer, *s.RowsPer**s.DatabaseCPU)
		if *s.Service.P50 < quickest {
			quickest, rows = *s.Service.P50, *s.RowsPer
		}
	}
	a, b, ok := f.line()
	if !ok {
		return errors.New("there must be two valid steps of the strategy fulcrum with known CPU time of the database and different rows per query")
	}
	c.setModel(a, b, quickest-a-b*rows)
	return nil
}

// setModel sets what was learnt, in seconds. A round trip that was given stays.
func (c *simulateCommand) setModel(a, b, rtt float64) {
	c.A, c.B = time.Duration(a*float64(time.Second)), time.Duration(b*float64(time.Second))
	if c.RTT == 0 {
		c.RTT = time.Duration(max(0, rtt) * float64(time.Second))
	}
}
