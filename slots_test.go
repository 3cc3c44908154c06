package fulcrum

import (
	"math/rand/v2"
	"testing"
)

// A random walk over several members: never more batches than slots, nobody who
// waits is forgotten while a slot is free, and what is counted adds up.
func TestSlotsWalk(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := &slots{inFlight: 1 + r.IntN(4), reserved: r.IntN(3)}
		var all []*walker
		for range 1 + r.IntN(4) {
			w := &walker{s: s, r: r}
			w.m = &member{slots: s, wake: func() {}}
			all = append(all, w)
		}
		for range 500 {
			if r.IntN(100) == 0 {
				s.resize(1 + r.IntN(6))
			}
			all[r.IntN(len(all))].step(t)
			check(t, s, all)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

// walker does by chance what a Reader does.
type walker struct {
	s              *slots
	m              *member
	r              *rand.Rand
	shared, queued int
	urgent         int
	coming         bool
	pressure       pressure
	looks          bool // it has looked, others may too, and it has not reported
	mine           share
	k              int // when it looked; it may have fallen since
}

func (w *walker) step(t *testing.T) {
	if !w.looks {
		w.mine, w.looks, w.k = w.m.look(), true, w.s.inFlight
		return
	}
	w.looks = false
	mine, before := w.mine, w.s.shared
	switch w.r.IntN(4) {
	case 0:
		w.queued++
		w.pressure.arrived++
	case 1:
		w.shared -= min(w.shared, 1)
	case 2:
		if w.urgent > 0 {
			w.urgent--
		} else if w.shared+w.urgent < mine.shared+mine.reserved {
			w.urgent++
			w.within(t)
		}
	case 3:
		w.coming = false
		if w.queued > 0 && w.shared < mine.shared {
			w.queued, w.shared = w.queued-1, w.shared+1
			if before+1 > max(w.k, w.s.inFlight) {
				t.Errorf("batch %d of %d", before+1, w.s.inFlight)
			}
			w.within(t)
		}
	}
	for range maxLooks {
		w.coming = w.coming || w.queued > 0 && w.shared < mine.shared
		if !w.m.report(demand{shared: w.shared, urgent: w.urgent, queued: w.queued > 0, coming: w.coming, pressure: w.pressure}) {
			break
		}
		mine = w.m.look()
	}
}

// within checks that one batch more, which is not in the books yet, has room.
func (w *walker) within(t *testing.T) {
	if all, most := w.s.shared+w.s.urgent+1, max(w.k, w.s.inFlight)+w.s.reserved; all > most {
		t.Errorf("batch %d of %d of any class", all, most)
	}
}

func check(t *testing.T, s *slots, all []*walker) {
	shared, urgent, granted, arrived := 0, 0, 0, uint64(0)
	for _, w := range all {
		shared, urgent, granted, arrived = shared+w.shared, urgent+w.urgent, granted+w.m.granted, arrived+w.pressure.arrived
		if w.m.granted > 1 || w.m.kept > 1 || w.m.granted > 0 && w.queued == 0 && !w.looks || w.m.kept > 0 && !w.looks {
			t.Errorf("%d and %d slots are kept for a member with %d queued", w.m.granted, w.m.kept, w.queued)
		}
		if w.queued > 0 && !w.looks && !w.coming && w.m.granted == 0 && !w.m.waits {
			t.Error("a member is forgotten")
		}
	}
	if s.shared != shared || s.urgent != urgent || s.granted != granted || s.arrived != arrived {
		t.Errorf("the books say %d shared, %d urgent, %d granted, %d arrived; there are %d, %d, %d, %d",
			s.shared, s.urgent, s.granted, s.arrived, shared, urgent, granted, arrived)
	}
	if s.free() > 0 && len(s.waiting) > 0 {
		t.Errorf("%d slots are free while %d wait", s.free(), len(s.waiting))
	}
}

// A slot goes to who has the fewest.
func TestSlotsAreFair(t *testing.T) {
	s := &slots{inFlight: 4}
	woken := make(chan string, 8)
	rich := &member{slots: s, wake: func() { woken <- "rich" }}
	poor := &member{slots: s, wake: func() { woken <- "poor" }}
	for n := 1; n <= 4; n++ {
		if got := rich.look(); got.shared != 4 {
			t.Fatalf("alone: %+v", got)
		}
		rich.report(demand{shared: n, queued: true, coming: n < 4})
	}
	if got := poor.look(); got.shared != 0 || got.others != 4 {
		t.Fatalf("late: %+v", got)
	}
	poor.report(demand{queued: true})
	for i := range 2 {
		rich.look()
		if rich.report(demand{shared: 3 - i, queued: true}) {
			t.Fatalf("slot %d was kept by who has %d", i, 3-i)
		}
		if who := <-woken; who != "poor" {
			t.Fatalf("slot %d went to %s", i, who)
		}
		poor.look()
		poor.report(demand{shared: i + 1, queued: true})
	}
	rich.look()
	if rich.report(demand{shared: 1, queued: true}); rich.granted != 1 {
		t.Error("with 1 against 2 the slot is not kept for the first")
	}
}
