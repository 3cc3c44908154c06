package hist

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// typical is a table of latencies around 2 ms, so that benchmarks do not measure
// the random numbers.
var typical = func() (values [1024]time.Duration) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = time.Duration(2e6 * math.Exp(0.5*r.NormFloat64()))
	}
	return values
}()

// Run with -cpu 1,2 to see what the goroutines cost each other.
func BenchmarkRecord(b *testing.B) {
	h := New()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(typical)); pb.Next(); i++ {
			h.Record(typical[i%len(typical)])
		}
	})
}

// The worst case: every goroutine adds to the same bucket.
func BenchmarkRecordSameValue(b *testing.B) {
	h := New()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Record(2 * time.Millisecond)
		}
	})
}

func BenchmarkWindowRecord(b *testing.B) {
	w := NewWindow(10*time.Second, 10)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(typical)); pb.Next(); i++ {
			w.Record(time.Duration(i)*time.Microsecond, typical[i%len(typical)])
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	h := filled(typical[:])
	b.ReportAllocs()
	for b.Loop() {
		h.Snapshot()
	}
}

func BenchmarkWindowSnapshot(b *testing.B) {
	w := NewWindow(10*time.Second, 10)
	for i := range 10_000 {
		w.Record(time.Duration(i)*time.Millisecond, typical[i%len(typical)])
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Snapshot(10*time.Second - 1)
	}
}

func BenchmarkQuantile(b *testing.B) {
	s := filled(typical[:]).Snapshot()
	for b.Loop() {
		s.Quantile(0.99)
	}
}

func filled(values []time.Duration) *Histogram {
	h := New()
	for _, d := range values {
		h.Record(d)
	}
	return h
}
