package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// slice is the time over which responses are summed up.
const slice = 100 * time.Millisecond

// series is the mean response in each slice.
type series struct {
	begin time.Time
	sum   [1000]atomic.Int64
	n     [1000]atomic.Int64
	k     []int // at the end of each phase
}

func (s *series) add(at time.Time, d time.Duration) {
	i := int(at.Sub(s.begin) / slice)
	if i >= 0 && i < len(s.n) {
		s.sum[i].Add(int64(d))
		s.n[i].Add(1)
	}
}

func (s *series) mean(from, to time.Duration) time.Duration {
	var sum, n int64
	for i := from / slice; i < to/slice; i++ {
		sum += s.sum[i].Load()
		n += s.n[i].Load()
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum / n)
}

// settled is how long after a change the mean of each half second is for good at most
// as long as wanted; not ok if it is not by the end.
func (s *series) settled(from, to, wanted time.Duration) (after time.Duration, ok bool) {
	const half = 500 * time.Millisecond
	at := to
	for at-half >= from && s.mean(at-half, at) <= wanted {
		at -= slice
	}
	return max(0, at+slice-half-from), at < to
}

// phase is a load, and how slow the database is, for some seconds.
type phase struct {
	name  string
	share float64
	slow  int64 // times
}

const phaseTime = 5 * time.Second

// changes has load and database change, and says how soon responses are steady again.
func (b *bench) changes() error {
	p, err := b.away(0)
	if err != nil {
		return err
	}
	capacity, err := p.capacity()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, changesHeading, phaseTime)
	for _, phases := range [][]phase{
		{{"10 % load", .1, 1}, {"90 % load", .9, 1}, {"10 % load", .1, 1}},
		{{"25 % load", .25, 1}, {"database 3 times slower", .25, 3}, {"as before", .25, 1}},
	} {
		if err := b.follow(p, capacity, phases); err != nil {
			return err
		}
	}
	return nil
}

const changesHeading = `
## Changes

A Reader lives through phases of %s; one with K fixed at 4 and one at 8 live through the same, for comparison. A change is followed when the mean response
stays within twice what the better of these two has in the phase's last second.

| phase | followed after | mean ms in its last second | K at its end | K fixed at 4: mean ms | at 8 |
|---|---|---|---|---|---|
`

func (b *bench) follow(p *place, capacity float64, phases []phase) error {
	var all []*series
	for _, cfg := range []fulcrum.BackendConfig{
		{}, {Tuner: fulcrum.TunerFixed, InFlight: 4}, {Tuner: fulcrum.TunerFixed, InFlight: 8},
	} {
		s, err := p.live(cfg, capacity, phases)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	for i, ph := range phases {
		from, to := time.Duration(i)*phaseTime, time.Duration(i+1)*phaseTime
		last := func(s *series) time.Duration { return s.mean(to-time.Second, to) }
		after := "not within the phase"
		if d, ok := all[0].settled(from, to, 2*min(last(all[1]), last(all[2]))); ok {
			after = fmt.Sprintf("%.1f s", d.Seconds())
		}
		fmt.Fprintf(b.out, "| %s | %s | %s | %d | %s | %s |\n", ph.name, after, millis(last(all[0])), all[0].k[i], millis(last(all[1])), millis(last(all[2])))
	}
	return nil
}

// live is a Reader's life through the phases.
func (p *place) live(cfg fulcrum.BackendConfig, capacity float64, phases []phase) (*series, error) {
	r, err := p.reader(cfg, fulcrum.Policy{})
	if err != nil {
		return nil, err
	}
	defer p.turns.Store(p.fair)
	s := &series{begin: time.Now()}
	for i, ph := range phases {
		p.turns.Store(ph.slow * p.fair)
		if _, err := load.Run(context.Background(), load.Config{
			Target: s.watch(r), Rate: ph.share * capacity, Duration: phaseTime, Drain: time.Millisecond, Outstanding: 100_000, Seed: uint64(i),
		}); err != nil {
			return nil, errors.Join(err, r.close())
		}
		s.k = append(s.k, r.backend.Stats().InFlight)
	}
	return s, r.close()
}

// watch notes how long each request took, when it came.
func (s *series) watch(r *reader) load.Target {
	return load.CallerFunc(func(ctx context.Context, _ *load.Request) error {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err := r.ask(ctx)
		if err == nil {
			s.add(begin, time.Since(begin))
		}
		return err
	})
}
