package hist

import (
	"math"
	"math/bits"
	"time"
)

const (
	precision = 7                             // S: an octave has 2^S buckets
	perOctave = 1 << precision                // buckets in an octave
	topBits   = 42                            // the scale ends at 2^topBits ns
	octaves   = topBits - precision + 1       // pages of perOctave buckets; the first holds 0 to 2^S − 1
	buckets   = octaves * perOctave           // all buckets
	top       = time.Duration(1)<<topBits - 1 // the largest value (ns) with a bucket of its own width
)

// index is the bucket of a value of at least 0.
func index(d time.Duration) int {
	v := uint64(min(d, top))
	e := bits.Len64(v|perOctave) - 1 - precision
	return e<<precision + int(v>>e)
}

// exponent is e, the binary logarithm of a bucket's width in ns.
func exponent(i int) int { return max(0, i>>precision-1) }

// lower is a bucket's smallest value.
func lower(i int) time.Duration {
	e := exponent(i)
	return time.Duration(i-e<<precision) << e
}

// upper is a bucket's largest value. The last bucket has no end.
func upper(i int) time.Duration {
	if i == buckets-1 {
		return math.MaxInt64
	}
	return lower(i+1) - 1
}

// midpoint is the value that stands for a bucket.
func midpoint(i int) time.Duration { return lower(i) + time.Duration(1)<<exponent(i)/2 }
