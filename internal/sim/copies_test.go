package sim

import (
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// threefold has three copies, of which the last takes so many times as long.
func threefold(t testing.TB, slow time.Duration, load float64) Setup {
	s := setup(time.Millisecond, 2, 44, load)
	s.Tuner = tuner(t, tune.Config{MaxBatch: 200})
	s.KeepAll = true
	for i := range 2 {
		b := s.Backend
		if i == 1 {
			b.RoundTrip, b.PerBatch, b.PerKey = b.RoundTrip*slow, b.PerBatch*slow, b.PerKey*slow
		}
		s.Copies = append(s.Copies, Copy{b, tuner(t, tune.Config{MaxBatch: 200})})
	}
	return s
}

// One of three copies is twenty times slower: hardly anybody notices.
func TestSlowCopyIsLeftAlone(t *testing.T) {
	for _, load := range []float64{0.2, 0.5, 1} { // of what one copy bears at 1,000 keys a batch; two bear it easily
		all, one := Run(threefold(t, 1, load)), Run(threefold(t, 20, load))
		t.Logf("load %v: p99 %s, with a slow copy %s; shares %.3f and %.3f", load, all.P99(), one.P99(), all.Shares, one.Shares)
		if one.P99() > 2*all.P99() {
			t.Errorf("load %v: p99 is %s with a slow copy, and %s without", load, one.P99(), all.P99())
		}
		if one.Shares[2] > 0.02 {
			t.Errorf("load %v: the slow copy gets %.3f of the batches", load, one.Shares[2])
		}
		for _, share := range all.Shares {
			if share < 0.25 || share > 0.42 {
				t.Errorf("load %v: equal copies get %.3f", load, all.Shares)
			}
		}
		if one.Good < all.Good*99/100 {
			t.Errorf("load %v: %d answers with a slow copy, %d without", load, one.Good, all.Good)
		}
	}
}
