// Package model learns what a batch costs on a backend that is not under stress:
//
//	T(n) = a + b·n
//
// T is the service time of a batch (ns), n its number of items, a the price of
// asking at all (round trip, parsing, planning; ns) and b the price of one item
// more (ns). The fit keeps a > 0 and b ≥ 0.
//
//	T │            ·        ·   ·
//	  │       ·         ·  ·  ─┴──   what queues lies above the line
//	  │   ·  ·    · ──┴──·
//	  │  ·──┴──·                     ┴ p20 of one size: 1, 2–3, 4–7, 8–15, …
//	a ┤──
//	  └──────────────────────── n
//
// # The fit
//
// A batch is never faster than the backend allows, and often slower: it waits
// there for others, for locks, for a collector. So not the mean is fitted but a
// low quantile. Batches are put in order by size, in buckets that double; each
// keeps its last 64 samples. Of those from the last 10 s it contributes one point,
// the 20th percentile of T, at the mean n of the samples around that rank (the
// lowest 40 %), so that a bucket with sizes 4 to 7 does not claim the time of a 4
// for a 5. Through the points goes a straight line by weighted least squares,
//
//	minimise Σ w·(T − a − b·n)²,   w = (samples in the bucket) / T²
//
// since noise grows in proportion to T. If b comes out negative it is set to 0,
// if a comes out at 0 or below it is set to 1 ns, and the other one is fitted
// again.
//
// The times are those of a good moment: with lognormal noise of σ = 0.25 the line
// lies at 0.81 of the median. Who wants to know how much slower than usual a batch
// was must compare like with like, a low quantile with this one.
//
// # One size only
//
// If nearly all batches have about the same size (the variance of n is under 1 % of
// its mean square), the slope cannot be known. Then the proportion of a to b stays
// as it was last known, and only the level follows: a backend that becomes three
// times slower is taken to be slower in both. As long as nothing was ever known, all
// of T is put down to a, and b is 0.
package model
