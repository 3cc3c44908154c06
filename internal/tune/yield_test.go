package tune

import (
	"testing"
	"time"
)

// step goes on by a quarter of a second.
func yieldAfter(t *testing.T, y *Yield, now *time.Duration, p99 time.Duration, samples, inFlight, k, want int) {
	t.Helper()
	*now += yieldEvery
	before := y.Most()
	reason, changed := y.Step(*now, p99, samples, inFlight, k)
	if y.Most() != want || changed != (before != want) || changed != (reason != "") {
		t.Errorf("at %s: %d (%q, changed %t), want %d", *now, y.Most(), reason, changed, want)
	}
}

func TestYield(t *testing.T) {
	const ms = time.Millisecond
	var now time.Duration
	y := NewYield(10 * ms)
	yieldAfter(t, y, &now, 5*ms, 100, 8, 8, 0)  // kept
	yieldAfter(t, y, &now, 50*ms, 19, 8, 8, 0)  // too few to tell
	yieldAfter(t, y, &now, 50*ms, 100, 0, 8, 0) // nobody is in their way
	yieldAfter(t, y, &now, 50*ms, 100, 8, 8, 5)
	yieldAfter(t, y, &now, 50*ms, 100, 5, 8, 3)
	yieldAfter(t, y, &now, 9*ms, 100, 3, 8, 3) // just kept: not more than that is given
	for range 3 {
		yieldAfter(t, y, &now, 4*ms, 100, 3, 8, 3)
	}
	for _, want := range []int{4, 5, 6, 7, 0} { // a second of calm
		yieldAfter(t, y, &now, 4*ms, 100, 3, 8, want)
	}
	yieldAfter(t, y, &now, 4*ms, 100, 8, 8, 0)
}

// It never takes the last slot, and lets go where nothing urgent comes any more.
func TestYieldEnds(t *testing.T) {
	var now time.Duration
	y := NewYield(time.Millisecond)
	for range 20 {
		now += yieldEvery
		y.Step(now, time.Second, 100, 4, 4)
	}
	if y.Most() != 1 {
		t.Errorf("it left %d slots", y.Most())
	}
	for range 20 {
		now += yieldEvery
		y.Step(now, 0, 0, 1, 4)
	}
	if y.Most() != 0 {
		t.Errorf("without urgent requests the bound stays at %d", y.Most())
	}
}
