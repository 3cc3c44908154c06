//go:build unix

package shared

import (
	"fmt"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

// write changes a row through a side.
func (s *side) write(d *table, key int, text string) {
	w := s.tier.Begin(key)
	d.set(key, text)
	w.End(true)
}

func isAway(l *Link) func() bool { return func() bool { return l.life.Load() == nil } }

// impatient waits for no Redis that does not answer.
func impatient(url string) LinkConfig {
	cfg := quick(url)
	cfg.Timeout = 20 * time.Millisecond
	return cfg
}

func TestAwayAtStart(t *testing.T) {
	r := redistest.Start(t)
	r.Kill()
	d := &table{rows: map[int]string{1: "a"}}
	x := newSide(t, d, quick(r.URL()), texts())
	x.wants(t, 1, "a")
	x.write(d, 1, "b")
	x.wants(t, 1, "b")
	if h := x.link.Health(); h.Away.IsZero() || h.Trouble == nil || h.Pending != 1 || h.Tracking {
		t.Errorf("away: %+v", h)
	}
	eventually(t, "the trouble's name", func() bool {
		return x.link.Health().Errors == 0 && x.link.Health().Trouble.Error() != "it was not reached yet"
	})
	r.Start()
	there(t, x.link)
	x.wants(t, 1, "b")
	x.filled(t, 1)
	if h := x.link.Health(); !h.Away.IsZero() || h.Trouble != nil || h.Pending != 0 || h.Lives != 1 {
		t.Errorf("back: %+v", h)
	}
}

// What Redis held before it died must not be told when it is back, with an old snapshot
// or with nothing.
func TestReturns(t *testing.T) {
	for _, snapshot := range []bool{true, false} {
		t.Run(fmt.Sprint("snapshot=", snapshot), func(t *testing.T) {
			r := redistest.Start(t)
			d := &table{rows: map[int]string{1: "old"}}
			x, y := newSide(t, d, quick(r.URL()), texts()), newSide(t, d, quick(r.URL()), texts())
			there(t, x.link)
			there(t, y.link)
			x.wants(t, 1, "old")
			x.filled(t, 1)
			if snapshot {
				r.Save()
			}
			x.write(d, 1, "told")
			y.wants(t, 1, "told")
			y.filled(t, 1)
			r.Restart()
			x.wants(t, 1, "told")
			y.wants(t, 1, "told")
			r.Kill()
			x.write(d, 1, "while away")
			x.wants(t, 1, "while away")
			y.wants(t, 1, "while away")
			r.Start()
			for _, s := range []*side{x, y} {
				eventually(t, "a hit", func() bool {
					before := s.tier.Stats().Hits
					s.wants(t, 1, "while away")
					return s.tier.Stats().Hits > before
				})
			}
			if lives := x.link.Health().Lives; lives < 2 || lives > 3 {
				t.Errorf("%d lives were found", lives)
			}
		})
	}
}

// A Redis that hangs costs each of three requests the timeout, and those that follow
// nothing. Thawed, it still has all that it had, and must not tell what was written
// meanwhile.
func TestHangs(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "old", 2: "other"}}
	x, y := newSide(t, d, impatient(r.URL()), texts()), newSide(t, d, impatient(r.URL()), texts())
	there(t, x.link)
	there(t, y.link)
	eventually(t, "a fill", func() bool { x.wants(t, 1, "old"); return x.tier.Stats().Hits > 0 })
	r.Freeze()
	for range tooSlow {
		x.wants(t, 2, "other")
		y.wants(t, 2, "other")
	}
	eventually(t, "that it hangs", func() bool {
		x.wants(t, 2, "other")
		y.wants(t, 2, "other")
		return isAway(x.link)() && isAway(y.link)()
	})
	x.write(d, 1, "new")
	x.wants(t, 1, "new")
	if h := x.link.Health(); h.Pending != 1 {
		t.Errorf("%+v", h)
	}
	r.Thaw()
	for _, s := range []*side{x, y} {
		eventually(t, "a hit", func() bool {
			before := s.tier.Stats().Hits
			s.wants(t, 1, "new")
			return s.tier.Stats().Hits > before
		})
	}
	if lives := x.link.Health().Lives; lives != 1 {
		t.Errorf("it is the same, and %d lives were found", lives)
	}
}

// If there is too much to remember, everything is forgotten.
func TestTooMuchIsPending(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "old", 2: "same"}}
	link := impatient(r.URL())
	link.Pending = 5
	x := newSide(t, d, link, texts())
	there(t, x.link)
	eventually(t, "fills", func() bool {
		x.wants(t, 1, "old")
		x.wants(t, 2, "same")
		return x.tier.Stats().Fills >= 2
	})
	r.Freeze()
	eventually(t, "that it hangs", func() bool { x.wants(t, 2, "same"); return isAway(x.link)() })
	x.write(d, 1, "new")
	for k := 10; k < 20; k++ {
		x.write(d, k, "more")
	}
	if h := x.link.Health(); h.Pending != 1 || h.Dropped != 1 {
		t.Errorf("%+v", h)
	}
	r.Thaw()
	there(t, x.link)
	hits := x.tier.Stats().Hits
	x.wants(t, 1, "new")
	x.wants(t, 2, "same")
	if s := x.tier.Stats(); s.Hits != hits {
		t.Errorf("something was told from before: %+v", s)
	}
}

func TestPending(t *testing.T) {
	var p pending
	p.init()
	n := func(resource string, keys ...string) notice {
		return notice{resource: resource, keys: keys, writer: "w"}
	}
	if p.add(n("a", "1", "2"), 3) || p.add(n("b", "1"), 3) {
		t.Error("there was room")
	}
	first, _ := p.first()
	if !p.add(n("a", "3"), 3) {
		t.Error("there was none")
	}
	p.done(first) // it has gone already
	if p.n.Load() != 2 {
		t.Errorf("%d are pending, not everything of a and of b", p.n.Load())
	}
	if p.add(n("a", "4"), 3); p.n.Load() != 2 {
		t.Error("everything of a is to be forgotten, and one key more")
	}
	for i := range 2 {
		all, ok := p.first()
		if !ok || all.keys != nil {
			t.Fatalf("%d: %+v, %v", i, all, ok)
		}
		p.add(n(all.resource, "5"), 3) // while Redis is told
		p.done(all)
	}
	for range 2 {
		if one, ok := p.first(); !ok || len(one.keys) != 1 || one.keys[0] != "5" {
			t.Fatalf("a write that came while Redis was told is lost: %+v", one)
		}
		one, _ := p.first()
		p.done(one)
	}
	if _, ok := p.first(); ok || p.n.Load() != 0 || p.keys != 0 {
		t.Errorf("it is not empty: %+v", &p)
	}
}

// A replica may lag, and is not believed.
func TestReplica(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "a"}}
	x := newSide(t, d, quick(r.URL()), texts())
	there(t, x.link)
	x.wants(t, 1, "a")
	x.filled(t, 1)
	r.Do("REPLICAOF", "127.0.0.1", "1")
	x.wants(t, 1, "a")
	if s, h := x.tier.Stats(), x.link.Health(); s.Hits != 0 || h.Errors == 0 {
		t.Errorf("a replica was believed: %+v, %+v", s, h)
	}
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct{ info, id, problem string }{
		{"# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123\r\n", "0123456789abcdef0123", ""},
		{"redis_version:6.2.1\r\nrun_id:0123456789abcdef0123\r\n", "", "its version is \"6.2.1\": want 7 or newer"},
		{"redis_version:10.0\nrun_id:short", "", "INFO server tells no run_id, but \"short\""},
		{"", "", "its version is \"\": want 7 or newer"},
	} {
		id, err := identity(c.info)
		if id != c.id || (err == nil) != (c.problem == "") || err != nil && err.Error() != c.problem {
			t.Errorf("%q: %q, %v", c.info, id, err)
		}
	}
}
