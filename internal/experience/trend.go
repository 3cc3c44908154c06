package experience

import "math"

// Trend is what the Cochran-Armitage test says of shares in ordered groups.
type Trend struct {
	Z float64 // below 0: the share falls as the score rises
	P float64 // how often chance alone gives such a Z or one further from 0
}

// Group is one of the ordered groups of a trend.
type Group struct {
	Score float64 // its place, such as the mean wait in it, in any unit
	Share Share
}

// TrendOf tests whether shares rise or fall with the score. Where they cannot (all are
// hits, none is, or all have one score) Z is 0 and P is 1.
func TrendOf(groups []Group) Trend {
	var n, hits, sum float64
	for _, g := range groups {
		m := float64(g.Share.N)
		n += m
		hits += float64(g.Share.Hits)
		sum += m * g.Score
	}
	p, mean := hits/n, sum/n
	var observed, spread float64
	for _, g := range groups {
		m, from := float64(g.Share.N), g.Score-mean
		observed += from * (float64(g.Share.Hits) - m*p)
		spread += m * from * from
	}
	variance := p * (1 - p) * spread
	if !(variance > 0) {
		return Trend{P: 1}
	}
	z := observed / math.Sqrt(variance)
	return Trend{Z: z, P: math.Erfc(math.Abs(z) / math.Sqrt2)}
}
