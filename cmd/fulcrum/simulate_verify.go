package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/target"
)

// verified is a load, measured and predicted. Errors are predicted/measured − 1.
type verified struct {
	Offered   float64   `json:"offered_rps"`
	Measured  observed  `json:"measured"`
	Predicted simulated `json:"predicted"`
	P50Error  float64   `json:"p50_error_ratio"`
	P99Error  float64   `json:"p99_error_ratio"`
	RowsError float64   `json:"rows_per_query_error_ratio"`
}

// observed is what a database did at a load. Times are in seconds.
type observed struct {
	Throughput   float64 `json:"throughput_rps"`
	RowsPerQuery float64 `json:"rows_per_query"`
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	cpu          float64 // of a query, the database's and this process's
}

// The model is learnt at other loads than those at which it is tried.
var (
	learnAt  = []float64{500, 4000, 25_000}                // keys per second
	verifyAt = []float64{1000, 2500, 7500, 15_000, 30_000} // keys per second
)

// errTellsNothing is of a step whose figures would not be those of the database.
var errTellsNothing = errors.New("nothing can be told")

const (
	verifyWarmup = 500 * time.Millisecond
	verifyFor    = 3 * time.Second
)

// verify measures, learns and predicts.
func (c *simulateCommand) verify(t terminal) error {
	limited, cancel := context.WithTimeout(t.ctx, connectTime)
	defer cancel()
	s, err := target.OpenStore(limited, target.StoreConfig{DSN: c.Verify})
	if err != nil {
		return fmt.Errorf("simulate: --verify: %w", err)
	}
	defer s.Close()
	keys, err := s.Keys(limited)
	if err != nil {
		return fmt.Errorf("simulate: --verify: %w", err)
	}
	reader, _, err := s.Strategy("fulcrum")
	if err != nil {
		return err
	}
	collectLess()
	measure := func(rate float64) (o observed, err error) {
		for range mostLate { // a machine that is busy for a moment
			if o, err = c.observe(t.ctx, s, reader, keys, rate); !errors.Is(err, errTellsNothing) {
				break
			}
		}
		return o, err
	}
	if err := c.calibrate(measure); err != nil {
		return err
	}
	rates := c.Rate
	if rates == nil {
		rates = verifyAt
	}
	var all []verified
	for _, rate := range rates {
		m, err := measure(rate)
		if err != nil {
			return err
		}
		p, err := c.predict(t, rate)
		if err != nil {
			return err
		}
		all = append(all, verified{rate, m, p, p.Response.P50/m.P50 - 1, p.Response.P99/m.P99 - 1, p.RowsPerQuery/m.RowsPerQuery - 1})
	}
	if c.JSON {
		e := json.NewEncoder(t.stdout)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Model modelJSON  `json:"model"`
			Loads []verified `json:"loads"`
		}{c.modelJSON(), all})
	}
	return c.printVerified(t, all)
}

// calibrate learns the model from some loads.
func (c *simulateCommand) calibrate(measure func(float64) (observed, error)) error {
	var f costs
	quickest, rows := math.Inf(1), 0.0
	for _, rate := range learnAt {
		m, err := measure(rate)
		if err != nil {
			return err
		}
		f.add(m.RowsPerQuery, m.cpu)
		if m.P50 < quickest {
			quickest, rows = m.P50, m.RowsPerQuery
		}
	}
	a, b, ok := f.line()
	if !ok {
		return errors.New("simulate: --verify: queries had about the same number of rows at all loads, so that no model can be learnt")
	}
	c.setModel(a, b, quickest-a-b*rows)
	return nil
}

// observe measures one load.
func (c *simulateCommand) observe(ctx context.Context, s *target.Store, reader load.Target, keys load.Keys, rate float64) (observed, error) {
	var begin, end target.Usage
	step, err := load.Run(ctx, load.Config{
		Target: reader, Rate: rate, Keys: keys, Warmup: verifyWarmup, Duration: verifyFor, Seed: c.Seed,
		Window: func(begins bool) {
			if begins {
				begin = s.Usage()
			} else {
				end = s.Usage()
			}
		},
	})
	if err != nil {
		return observed{}, err
	}
	if v := step.Verdict(); v != "" {
		return observed{}, fmt.Errorf("simulate: --verify: at %.0f/s %w: %s", rate, errTellsNothing, v)
	}
	used := end.Sub(begin)
	queries := float64(max(1, used.Queries))
	return observed{
		Throughput: step.Throughput(), RowsPerQuery: float64(used.Rows) / queries,
		P50: step.Response.Quantile(.5).Seconds(), P99: step.Response.Quantile(.99).Seconds(),
		cpu: (used.CPU + step.CPU).Seconds() / queries,
	}, nil
}

// predict simulates one load under the policy that the measured Reader has.
func (c *simulateCommand) predict(t terminal, rate float64) (simulated, error) {
	fixed := *c
	fixed.Rate, fixed.Callers, fixed.Times, fixed.Duration = []float64{rate}, nil, 1, verifyFor
	return fixed.simulate(t, fixed.loads()[0], "fixed")
}

func (c *simulateCommand) printVerified(t terminal, all []verified) error {
	fmt.Fprintf(t.stdout, "Learnt at %.0f keys/s: T(n) = %s + n·%s + round trip %s, %d cores. Predicted with K = %d and compared:\n\n",
		learnAt, c.A, c.B, c.RTT, c.Cores, c.InFlight)
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "keys/s\tp50 ms\tpredicted\toff\tp99 ms\tpredicted\toff\trows/query\tpredicted\toff\t")
	var p50, p99 float64
	for _, v := range all {
		m, p := v.Measured, v.Predicted
		fmt.Fprintf(w, "%.0f\t%.2f\t%.2f\t%+.0f %%\t%.2f\t%.2f\t%+.0f %%\t%.1f\t%.1f\t%+.0f %%\t\n", v.Offered,
			1e3*m.P50, 1e3*p.Response.P50, 100*v.P50Error, 1e3*m.P99, 1e3*p.Response.P99, 100*v.P99Error, m.RowsPerQuery, p.RowsPerQuery, 100*v.RowsError)
		p50 += math.Abs(v.P50Error) / float64(len(all))
		p99 += math.Abs(v.P99Error) / float64(len(all))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "\nOff by %.0f %% in p50 and %.0f %% in p99 on average.\n", 100*p50, 100*p99)
	return err
}
