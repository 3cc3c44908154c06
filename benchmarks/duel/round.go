package duel

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// Contender is one of several that do the same work.
type Contender struct {
	Name string
	Run  func(d time.Duration) (perSecond float64, err error)
}

// Standing is how a contender did: its median rate, and the first one's rate over
// its own in the same round.
type Standing struct {
	Name             string
	Rate             float64 // median, 1/s
	Ratio, Low, High float64 // median and quartiles; 1 for the first contender itself
}

// Tournament has all contenders run in each round, in random order, after a round
// of warming up. The first contender is the one that the others are compared with.
func Tournament(all []Contender, rounds int, each time.Duration) ([]Standing, error) {
	rates := make([][]float64, len(all))
	for round := -1; round < rounds; round++ {
		for _, i := range rand.Perm(len(all)) {
			runtime.GC()
			rate, err := all[i].Run(each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].Name, err)
			}
			if round >= 0 {
				rates[i] = append(rates[i], rate)
			}
		}
	}
	standings := make([]Standing, len(all))
	for i, c := range all {
		ratios := make([]float64, rounds)
		for r := range ratios {
			ratios[r] = rates[0][r] / rates[i][r]
		}
		slices.Sort(ratios)
		standings[i] = Standing{
			Name: c.Name, Rate: median(rates[i]), Ratio: median(ratios),
			Low: ratios[rounds/4], High: ratios[rounds-1-rounds/4],
		}
	}
	return standings, nil
}
