package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/hist"
)

const (
	urgentPairs = 15
	urgentRate  = 200 // per second
	urgentFor   = 2 * time.Second
)

// urgent measures urgent requests beside a normal load that never ends, with reserved
// slots and without.
func (b *bench) urgent() error {
	p, err := b.away(0)
	if err != nil {
		return err
	}
	with, without := hist.New(), hist.New()
	var ratios []float64
	for range urgentPairs {
		var p99 [2]time.Duration
		for _, i := range rand.Perm(2) {
			h, err := p.beside([]int{2, -1}[i])
			if err != nil {
				return err
			}
			s := h.Snapshot()
			p99[i] = s.Quantile(.99)
			for v, n := range s.Values() {
				[]*hist.Histogram{with, without}[i].RecordN(v, n)
			}
		}
		ratios = append(ratios, float64(p99[0])/float64(p99[1]))
	}
	slices.Sort(ratios)
	fmt.Fprintf(b.out, `
## Urgent requests beside a saturating load

%d urgent requests/s beside 256 callers who never stop, %d pairs of %s in random order.

| slots | p50 ms | p99 ms | requests |
|---|---|---|---|
`, urgentRate, urgentPairs, urgentFor)
	for name, h := range map[string]*hist.Histogram{"2 reserved": with, "none reserved": without} {
		s := h.Snapshot()
		fmt.Fprintf(b.out, "| %s | %s | %s | %d |\n", name, millis(s.Quantile(.5)), millis(s.Quantile(.99)), s.Count())
	}
	fmt.Fprintf(b.out, "\nWith reserved slots the p99 is %.2f (%.2f–%.2f) of that without (median of pairs, with quartiles; gate: a third).\n",
		ratios[len(ratios)/2], ratios[len(ratios)/4], ratios[len(ratios)-1-len(ratios)/4])
	return nil
}

// beside is one run: how long urgent requests took.
func (p *place) beside(reserved int) (*hist.Histogram, error) {
	r, err := p.reader(fulcrum.BackendConfig{Reserved: reserved}, fulcrum.Policy{})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	try := func(err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	for range 256 {
		wg.Go(func() {
			for ctx.Err() == nil {
				try(r.ask(context.Background()))
			}
		})
	}
	time.Sleep(urgentFor / 2) // the tuner finds its K
	h := hist.New()
	tick := time.NewTicker(time.Second / urgentRate)
	for end := time.Now().Add(urgentFor); time.Now().Before(end); {
		due := <-tick.C
		wg.Go(func() {
			try(r.ask(context.Background(), fulcrum.Urgent))
			h.Record(time.Since(due))
		})
	}
	tick.Stop()
	stop()
	wg.Wait()
	select {
	case err = <-failed:
	default:
	}
	return h, errors.Join(err, r.close())
}
