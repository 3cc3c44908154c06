package regret

import (
	"slices"
)

// Row is what a contender made of one cell with one seed.
type Row struct {
	Cell  Cell
	Seed  uint64
	BestK int
	Best  Score
	Own   Score
	Regret
}

// Rows compares a contender with the best fixed K wherever both are known.
func (b *Book) Rows(cells []Cell, who string, seeds []uint64) []Row {
	var all []Row
	for _, c := range cells {
		for _, seed := range seeds {
			own, ok := b.get(entry{c.Name, seed, who})
			k, best := b.Best(c.Name, seed)
			if ok && k > 0 {
				all = append(all, Row{c, seed, k, best, own, regret(own, best)})
			}
		}
	}
	return all
}

// Figures sum up rows, in per cent.
type Figures struct {
	Cells                        int
	MeanMedian, MeanP90, MeanMax float64
	P99Median, P99P90, P99Max    float64
	GoodputWorst                 float64
	Target                       float64 // rows with mean and p99 within 10 % and goodput within 3 %
	Steady                       float64 // 90th percentile of K's spread
}

// Sum sums up rows.
func Sum(rows []Row) Figures {
	f := Figures{Cells: len(rows)}
	if len(rows) == 0 {
		return f
	}
	var mean, p99, spread []float64
	for _, r := range rows {
		mean = append(mean, r.Mean)
		p99 = append(p99, r.P99)
		spread = append(spread, r.Own.KSpread)
		f.GoodputWorst = min(f.GoodputWorst, r.Goodput)
		if r.Mean <= 10 && r.P99 <= 10 && r.Goodput >= -3 {
			f.Target += 100 / float64(len(rows))
		}
	}
	f.MeanMedian, f.MeanP90, f.MeanMax = quantiles(mean)
	f.P99Median, f.P99P90, f.P99Max = quantiles(p99)
	_, f.Steady, _ = quantiles(spread)
	return f
}

func quantiles(v []float64) (median, p90, most float64) {
	slices.Sort(v)
	n := len(v)
	return v[n/2], v[min(n-1, n*9/10)], v[n-1]
}
