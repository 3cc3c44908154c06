package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// settled is how long after a change the mean of half a second is for good within
// twice what it is at the end of the phase.
func (s *series) settled(from, to time.Duration) time.Duration {
	steady := s.mean(to-time.Second, to)
	at := to
	for at-500*time.Millisecond >= from && s.mean(at-500*time.Millisecond, at) <= 2*steady {
		at -= slice
	}
	return max(0, at-500*time.Millisecond-from) + slice
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

One Reader lives through phases of %s. A change is followed when the mean response stays within twice what it is in the phase's last second.

| phase | followed after | mean ms in its last second | K at its end |
|---|---|---|---|
`

func (b *bench) follow(p *place, capacity float64, phases []phase) error {
	r, err := p.reader(fulcrum.BackendConfig{}, fulcrum.Policy{})
	if err != nil {
		return err
	}
	s := &series{begin: time.Now()}
	ks := make([]int, len(phases))
	var wg sync.WaitGroup
	var failed error
	for i, ph := range phases {
		p.turns.Store(ph.slow * p.fair)
		step, err := load.Run(context.Background(), load.Config{
			Target: s.watch(r), Rate: ph.share * capacity, Duration: phaseTime, Drain: time.Millisecond, Outstanding: 100_000, Seed: uint64(i),
		})
		if err != nil {
			failed = errors.Join(failed, err)
			break
		}
		_ = step
		ks[i] = r.backend.Stats().InFlight
	}
	wg.Wait()
	p.turns.Store(p.fair)
	if err := errors.Join(failed, r.close()); err != nil {
		return err
	}
	for i, ph := range phases {
		from, to := time.Duration(i)*phaseTime, time.Duration(i+1)*phaseTime
		fmt.Fprintf(b.out, "| %s | %.1f s | %s | %d |\n", ph.name, s.settled(from, to).Seconds(), millis(s.mean(to-time.Second, to)), ks[i])
	}
	return nil
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
