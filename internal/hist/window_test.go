package hist

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindowForgets(t *testing.T) {
	const s = time.Second
	w := NewWindow(10*s, 10)
	for at := range 30 { // one value a second, whose size tells when
		w.Record(time.Duration(at)*s, time.Duration(at))
	}
	for _, c := range []struct {
		now         time.Duration
		count       uint64
		from, until time.Duration
	}{
		{29 * s, 10, 20, 29},
		{30*s - 1, 10, 20, 29},
		{30 * s, 9, 21, 29},
		{38 * s, 1, 29, 29},
		{39 * s, 0, 0, 0},
		{1000 * s, 0, 0, 0},
	} {
		got := w.Snapshot(c.now)
		if got.Count() != c.count || got.Min() != c.from || got.Max() != c.until {
			t.Errorf("at %v: %d values from %d to %d, want %d from %d to %d",
				c.now, got.Count(), got.Min(), got.Max(), c.count, c.from, c.until)
		}
	}
}

// Idle for exactly a multiple of the span, the next value falls into the same
// slot of the ring; what was there must be gone.
func TestWindowAfterIdling(t *testing.T) {
	for _, idle := range []time.Duration{10, 11, 20, 100, 12345} {
		w := NewWindow(10*time.Second, 5)
		for at := range 10 {
			w.Record(time.Duration(at)*time.Second, time.Hour)
		}
		now := 9*time.Second + idle*time.Second
		w.Record(now, time.Millisecond)
		if s := w.Snapshot(now); s.Count() != 1 || s.Max() != time.Millisecond {
			t.Errorf("after %d s: %d values, max %v", idle, s.Count(), s.Max())
		}
	}
}

func TestWindowOutOfOrder(t *testing.T) {
	w := NewWindow(10*time.Second, 10)
	w.Record(20*time.Second, 1)
	w.Record(15*time.Second, 2) // late, but within the window
	w.Record(10*time.Second, 3) // its slot is taken by 20 s
	w.Record(-time.Second, 4)   // counts as time 0
	if s := w.Snapshot(20 * time.Second); s.Count() != 2 || s.Max() != 2 {
		t.Errorf("%d values up to %d", s.Count(), s.Max())
	}
	if s := w.Snapshot(19 * time.Second); s.Count() != 1 || s.Max() != 2 {
		t.Errorf("a second earlier: %d values up to %d", s.Count(), s.Max())
	}
}

func TestWindowOfTheSmallestSize(t *testing.T) {
	w := NewWindow(0, 0)
	if w.Span() != 1 {
		t.Errorf("span %v", w.Span())
	}
	w.Record(5, 7)
	if w.Snapshot(5).Count() != 1 || w.Snapshot(6).Count() != 0 {
		t.Error("1 ns is not kept for 1 ns")
	}
}

// A window holds what a list of everything would, cut to the same ticks.
func TestWindowAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.IntRange(1, 8).Draw(t, "parts")
		w := NewWindow(time.Duration(parts)*100, parts)
		type event struct{ at, d time.Duration }
		var all []event
		now := time.Duration(0)
		for _, step := range rapid.SliceOf(rapid.Int64Range(0, 400)).Draw(t, "steps") {
			now += time.Duration(step)
			w.Record(now, now)
			all = append(all, event{now, now})
		}
		want := New()
		for _, e := range all {
			if e.at/100 > now/100-time.Duration(parts) {
				want.Record(e.d)
			}
		}
		if got := w.Snapshot(now); !same(got, want.Snapshot()) {
			t.Fatalf("%+v, want %+v", got, want.Snapshot())
		}
	})
}

// Every goroutine has its own idea of the time, a little apart, as around a
// rotation; nothing that is still in the window may be lost.
func TestWindowConcurrently(t *testing.T) {
	const goroutines, each = 4, 5_000
	w := NewWindow(time.Second, 10) // all of it happens within the last nine parts
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range each {
				now := 10*time.Second + time.Duration(i)*850*time.Millisecond/each + time.Duration(r.Int64N(5e6))
				w.Record(now, time.Duration(i))
				if i%100 == 0 {
					w.Snapshot(now)
				}
			}
		})
	}
	wg.Wait()
	if n := w.Snapshot(11*time.Second - 1).Count(); n != goroutines*each {
		t.Errorf("%d values, want %d", n, goroutines*each)
	}
}

// What leaves the window stays in the total, which never falls.
func TestTotalKeepsWhatTheWindowForgets(t *testing.T) {
	w := NewWindow(10*time.Second, 10)
	for i := range 100 {
		now := time.Duration(i) * 700 * time.Millisecond
		w.Record(now, time.Duration(i+1)*time.Millisecond)
		if total := w.Total(); total.Count() != uint64(i+1) || total.Max() != time.Duration(i+1)*time.Millisecond {
			t.Fatalf("after %d values: %d in total, the largest %s", i+1, total.Count(), total.Max())
		}
	}
	if recent := w.Snapshot(69_300 * time.Millisecond).Count(); recent >= 20 {
		t.Errorf("%d values in the window, want the last 10 s only", recent)
	}
}
