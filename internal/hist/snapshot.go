package hist

import (
	"iter"
	"math"
	"slices"
	"time"
)

// enough is the number of values that must lie beyond a quantile for it to be
// worth telling.
const enough = 10

// Snapshot is what a histogram held at one moment. It never changes, may be
// copied, and its zero value is empty. It takes 8 bytes for every bucket between
// the smallest and the largest value.
type Snapshot struct {
	first    int      // the bucket of counts[0]
	counts   []uint64 // neither begins nor ends with 0
	count    uint64
	sum      float64 // ns
	min, max time.Duration
}

// compact makes a snapshot of a copy of counts, which begin at bucket first.
// The extremes are cut to the buckets that are in use.
func compact(first int, counts []uint64, least, most time.Duration) Snapshot {
	from := slices.IndexFunc(counts, func(c uint64) bool { return c > 0 })
	if from < 0 {
		return Snapshot{}
	}
	to := len(counts)
	for counts[to-1] == 0 {
		to--
	}
	s := Snapshot{first: first + from, counts: slices.Clone(counts[from:to])}
	for i, c := range s.counts {
		s.count += c
		s.sum += float64(c) * float64(midpoint(s.first+i))
	}
	s.min = max(least, lower(s.first))
	s.max = min(most, upper(s.first+len(s.counts)-1))
	return s
}

// Count is the number of values.
func (s Snapshot) Count() uint64 { return s.count }

// SumSeconds is the sum of all values in seconds, with an error of at most 0.39 %
// (see the package comment). Of two snapshots of a histogram the later one has
// the larger sum. Values beyond the scale add 2^42 ns each.
func (s Snapshot) SumSeconds() float64 { return s.sum / float64(time.Second) }

// Mean is the arithmetic mean, with the error of SumSeconds; 0 when empty.
func (s Snapshot) Mean() time.Duration {
	if s.count == 0 {
		return 0
	}
	return s.clamp(time.Duration(s.sum / float64(s.count)))
}

// Min is the smallest value, exactly; 0 when empty. Of a difference (Sub) it is
// known to within its bucket and never too large.
func (s Snapshot) Min() time.Duration { return s.min }

// Max is the largest value, exactly, even beyond the scale; 0 when empty. Of a
// difference (Sub) it is known to within its bucket and never too small.
func (s Snapshot) Max() time.Duration { return s.max }

// Quantile is the smallest value that at least ⌈q·Count⌉ values do not exceed,
// with an error of at most 0.39 %: Quantile(0.99) is the p99. A q up to 0 counts
// as the smallest value, from 1 on as the largest; 0 when empty.
func (s Snapshot) Quantile(q float64) time.Duration {
	if s.count == 0 {
		return 0
	}
	rank, below := rank(q, s.count), uint64(0)
	for i, c := range s.counts {
		if below += c; below >= rank {
			return s.value(s.first + i)
		}
	}
	return s.max
}

// rank is ⌈qN⌉, between 1 and N. The product is a few units in the last place too
// large at times (0.07·100 = 7.000000000000001); that must not be rounded up.
func rank(q float64, n uint64) uint64 {
	if !(q > 0) {
		return 1
	}
	if q >= 1 {
		return n
	}
	return min(n, max(1, uint64(math.Ceil(q*float64(n)*(1-0x1p-50)))))
}

// value stands for what is in bucket i.
func (s Snapshot) value(i int) time.Duration {
	if i == buckets-1 {
		return s.max // beyond the scale there is nothing better
	}
	return s.clamp(midpoint(i))
}

func (s Snapshot) clamp(d time.Duration) time.Duration { return min(max(d, s.min), s.max) }

// Sufficient reports whether there are values enough to speak of quantile q: at
// least ten beyond it, N·(1−q) ≥ 10. A p99 needs 1,000 values, a p99.9 10,000.
func (s Snapshot) Sufficient(q float64) bool {
	n := float64(s.count)
	return n*(1-q) >= enough-n*0x1p-50 // 100·(1−0.9) is 9.999999999999998
}

// AtMost is the number of values up to d. Values in d's own bucket all count.
func (s Snapshot) AtMost(d time.Duration) uint64 {
	if d < 0 {
		return 0
	}
	n := uint64(0)
	for _, c := range s.counts[:min(max(index(d)-s.first+1, 0), len(s.counts))] {
		n += c
	}
	return n
}

// Buckets yields the buckets that hold values, in rising order: the largest value
// that belongs to the bucket, and the number of values up to there. The last
// pair is at least Max, and Count.
func (s Snapshot) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		n := uint64(0)
		for i, c := range s.counts {
			n += c
			if c > 0 && !yield(s.edge(s.first+i), n) {
				return
			}
		}
	}
}

// Values yields the value that stands for each bucket that holds any, as Quantile
// tells it, in rising order, and how many values are there.
func (s Snapshot) Values() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		for i, c := range s.counts {
			if c > 0 && !yield(s.value(s.first+i), c) {
				return
			}
		}
	}
}

// edge is the largest value of bucket i; for the last bucket, the largest seen.
func (s Snapshot) edge(i int) time.Duration {
	if i == buckets-1 {
		return max(s.max, top)
	}
	return upper(i)
}

// Sub is what was recorded after earlier, an older snapshot of the same
// histogram. Where earlier holds more, as after a restart, the difference is 0.
func (s Snapshot) Sub(earlier Snapshot) Snapshot {
	counts := slices.Clone(s.counts)
	for i, c := range earlier.counts {
		if j := earlier.first + i - s.first; j >= 0 && j < len(counts) {
			counts[j] -= min(counts[j], c)
		}
	}
	return compact(s.first, counts, s.min, s.max)
}

// Merge is both taken together, for example the histograms of two replicas.
func (s Snapshot) Merge(other Snapshot) Snapshot {
	if s.count == 0 {
		return other
	}
	if other.count == 0 {
		return s
	}
	first := min(s.first, other.first)
	end := max(s.first+len(s.counts), other.first+len(other.counts))
	counts := make([]uint64, end-first)
	for _, part := range []Snapshot{s, other} {
		for i, c := range part.counts {
			counts[part.first+i-first] += c
		}
	}
	return compact(first, counts, min(s.min, other.min), max(s.max, other.max))
}
