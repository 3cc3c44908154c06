// Package hist is the latency histogram: durations in nanoseconds go in from many
// goroutines at once, and quantiles with a known error come out.
//
// # Scale
//
// The buckets are log-linear. With S = 7, every octave (a power of two) is cut
// into 2^S = 128 buckets of equal width, and the first two are exact:
//
//	e(v)     = max(0, bitlen(v) − 1 − S)
//	index(v) = e·2^S + (v >> e)
//
//	ns     0        128        256             512                        1024
//	       |‧‧‧‧‧‧‧‧‧|‧‧‧‧‧‧‧‧‧‧|· · · · · · · · |·   ·   ·   ·   ·   ·   ·   |
//	width       1          1             2                    4
//	index  0        128        256             384                        512
//
// (For v ≥ 2^S this is (e+1)·2^S + (v>>e) − 2^S, the usual way to write it.) A
// bucket that begins at L is at most L/2^S wide and is reported by its midpoint,
// so the error is at most 1/2^(S+1) = 0.39 %, of any value, at any magnitude.
//
// The scale ends at 2^42 ns, about 73 minutes. What is longer is counted in the
// last bucket, and only Max knows how long it was. Negative durations count as 0.
//
// # Cost
//
// Recording is one atomic add and three atomic loads. There is no shared count or
// sum: every goroutine would write to that one cache line. Both are worked out
// from the buckets when a snapshot is taken, which also means that a snapshot
// always agrees with itself, taken while others record or not. The price is that
// the sum carries the buckets' error; since errors fall on both sides, the mean
// of real latencies is usually right to within 0.01 %, and always to 0.39 %.
//
// Buckets are allocated one octave (1 KiB) at a time, when the first value falls
// there. Latencies between 100 µs and 100 ms take 11 KiB, the full scale 36 KiB.
package hist
