//go:build unix

package shared

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

// quick has a Link notice things sooner than one that has to last. What a machine under
// load takes for an answer is not a Redis that is away.
func quick(url string) LinkConfig {
	return LinkConfig{URL: url, Timeout: 500 * time.Millisecond, Settle: 50 * time.Millisecond, Heartbeat: 500 * time.Millisecond}
}

func openLink(t *testing.T, cfg LinkConfig) *Link {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("it never came: ", what)
		}
	}
}

func isThere(l *Link) func() bool { return func() bool { _, ok := l.believed(); return ok } }

func there(t *testing.T, l *Link) {
	t.Helper()
	eventually(t, "Redis", isThere(l))
}

func texts() Config[int, string] {
	return Config[int, string]{
		Resource: "texts", Key: strconv.Itoa,
		Parse: func(s string) (int, bool) { n, err := strconv.Atoi(s); return n, err == nil },
		Encode: func(s string) ([]byte, error) {
			if s == "unspeakable" {
				return nil, errors.New("no")
			}
			return []byte(s), nil
		},
		Decode: func(b []byte) (string, error) {
			if strings.HasPrefix(string(b), "garbage") {
				return "", errors.New("no")
			}
			return string(b), nil
		},
	}
}

// table is a database of texts.
type table struct {
	mu      sync.Mutex
	rows    map[int]string
	queries atomic.Int64
	keys    atomic.Int64
}

func (d *table) set(key int, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows[key] = text
}

func (d *table) fetch(_ context.Context, b *fulcrum.Batch[int, string]) error {
	d.queries.Add(1)
	d.keys.Add(int64(b.Len()))
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, k := range b.Keys() {
		if text, ok := d.rows[k]; ok {
			b.SetAt(i, text)
		}
	}
	return nil
}

// side is a process: a Link, a Tier, and a Reader without a near tier.
type side struct {
	*fulcrum.Reader[int, string]
	link *Link
	tier *Tier[int, string]
}

func newSide(t *testing.T, d *table, link LinkConfig, cfg Config[int, string]) *side {
	t.Helper()
	s := &side{link: openLink(t, link)}
	var err error
	if s.tier, err = New(s.link, cfg); err != nil {
		t.Fatal(err)
	}
	s.Reader, err = fulcrum.NewReader(fulcrum.ReaderConfig[int, string]{Fetch: s.tier.Fetch(d.fetch)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *side) wants(t *testing.T, key int, want string, opts ...fulcrum.Option) {
	t.Helper()
	got, err := s.Get(t.Context(), key, opts...)
	if want == "" && !errors.Is(err, fulcrum.ErrNotFound) || want != "" && (err != nil || got != want) {
		t.Errorf("key %d: %q, %v; want %q", key, got, err, want)
	}
}

// filled waits until so many values were kept through a side.
func (s *side) filled(t *testing.T, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " fills"), func() bool { return s.tier.Stats().Fills == n })
}

func TestSharing(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "a", 2: "b"}}
	x, y := newSide(t, d, quick(r.URL()), texts()), newSide(t, d, quick(r.URL()), texts())
	there(t, x.link)
	there(t, y.link)

	x.wants(t, 1, "a")
	x.wants(t, 3, "")
	x.filled(t, 2)
	before := d.keys.Load()
	y.wants(t, 1, "a")
	y.wants(t, 3, "")
	if n := d.keys.Load() - before; n != 0 {
		t.Errorf("%d keys were asked for that were kept", n)
	}
	if got, err := y.GetMany(t.Context(), []int{1, 2, 3}); err != nil || len(got) != 2 || got[2] != "b" {
		t.Errorf("some kept, some not: %v, %v", got, err)
	}
	if n := d.keys.Load() - before; n != 1 {
		t.Errorf("%d keys were asked for of which one was not kept", n)
	}
	y.wants(t, 1, "a", fulcrum.Fresh)
	y.wants(t, 1, "a", fulcrum.Urgent)
	y.wants(t, 1, "a", fulcrum.MaxStaleness(time.Minute))
	if n := d.keys.Load() - before; n != 4 {
		t.Errorf("3 requests that no cache may answer asked for %d keys", n-1)
	}

	w := x.tier.Begin(1)
	x.wants(t, 1, "a")
	if s := x.tier.Stats(); s.Closed != 1 {
		t.Errorf("while somebody writes: %+v", s)
	}
	d.set(1, "c")
	w.End(true)
	x.wants(t, 1, "c")
	y.wants(t, 1, "c")

	if n, err := x.Get(fulcrum.WithScope(t.Context(), "other"), 2); n != "b" || err != nil {
		t.Errorf("in a scope: %q, %v", n, err)
	}
	if s := y.tier.Stats(); s.HitRatio() <= 0 || s.HitRatio() > 1 {
		t.Errorf("%+v: hit ratio %v", s, s.HitRatio())
	}
}

// A fill that a write overtook is refused; so is one that comes when its token has gone.
func TestOvertaken(t *testing.T) {
	r := redistest.Start(t)
	x := newSide(t, &table{}, quick(r.URL()), texts())
	there(t, x.link)
	answer := func(int) (string, error) { return "old", nil }
	for name, between := range map[string]func(){
		"a write":               func() { x.tier.Begin(1).End(true) },
		"a write of everything": func() { x.tier.BeginAll().End(true) },
		"what is forgotten":     func() { x.tier.Forget(1) },
		"a write under way":     func() { x.tier.Begin(1) },
		"an unknown fate":       func() { x.tier.Begin(1).End(false) },
		"an expired token":      func() { r.Do("FLUSHALL") },
		"everything, under way": func() { x.tier.BeginAll() },
	} {
		r.Do("FLUSHALL")
		before := x.tier.Stats()
		reading := x.tier.read(t.Context(), []int{1})
		if reading == nil || reading.rows[0].token == "" {
			t.Fatalf("before %s: %+v", name, reading)
		}
		between()
		x.tier.fill(reading, []int{0}, answer)
		eventually(t, "the fill's refusal", func() bool { return x.tier.Stats().Refused > before.Refused })
		if after := x.tier.Stats(); after.Fills != before.Fills {
			t.Errorf("%s came between, and the value was kept", name)
		}
	}
}

// A dead writer's keys are kept again after WriteTime; those of an unknown fate, too.
func TestDeadWriter(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "a", 2: "b", 3: "c"}}
	cfg := texts()
	cfg.WriteTime = 200 * time.Millisecond
	x := newSide(t, d, quick(r.URL()), cfg)
	there(t, x.link)
	x.tier.Begin(1)
	x.tier.Begin(2).End(false)
	x.tier.BeginAll()
	x.wants(t, 3, "c")
	if s := x.tier.Stats(); s.Misses != 0 {
		t.Errorf("kept while somebody writes: %+v", s)
	}
	eventually(t, "all keys are kept again", func() bool {
		for k, want := range d.rows {
			x.wants(t, k, want)
		}
		return x.tier.Stats().Hits > 6
	})
}

func TestSizesAndStrangers(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "small", 2: strings.Repeat("x", 100), 3: "unspeakable", 4: "garbage", 5: "e", 6: "f"}}
	cfg := texts()
	cfg.MaxValue = 50
	x := newSide(t, d, quick(r.URL()), cfg)
	there(t, x.link)
	in, _ := x.link.believed()
	at := x.link.place(in, "texts")
	r.Do("SET", at.values+"5", "somebody's")
	r.Do("HSET", at.values+"6", "\x00", "F1nonsense-that-is-longer-than-a-header-is")
	for range 2 {
		for k, want := range d.rows {
			x.wants(t, k, want)
		}
	}
	x.filled(t, 3)
	eventually(t, "strangers", func() bool {
		x.wants(t, 4, "garbage")
		s := x.tier.Stats()
		return s.Large == 2 && s.Foreign >= 1 && s.Closed >= 2
	})
	if _, ok := x.link.believed(); !ok {
		t.Error("Redis is held for away: ", x.link.Health().Trouble)
	}
	if got := r.Do("GET", at.values+"5"); got != "somebody's" {
		t.Errorf("what is not ours was changed to %q", got)
	}
}

// A near tier hears of what others write, and has nothing while it cannot.
func TestTelling(t *testing.T) {
	r := redistest.Start(t)
	x, y := newSide(t, &table{}, quick(r.URL()), texts()), newSide(t, &table{}, quick(r.URL()), texts())
	near, err := cache.New(cache.Config[int, string]{Entries: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	y.tier.Tell(Listener[int]{Forget: near.Forget, Hold: func() func() { w := near.BeginAll(); return func() { w.End(true) } }})
	keep := func() {
		t.Helper()
		eventually(t, "tracking", func() bool { return !near.Lease(1).None() })
		for k := range 3 {
			near.Put("", k, near.Lease(k), "kept", true)
		}
	}
	kept := func(k int) bool { _, ok := near.Get("", k, fulcrum.Demand{}); return ok }
	there(t, x.link)
	keep()
	w := x.tier.Begin(1)
	eventually(t, "a write that begins", func() bool { return !kept(1) })
	if !kept(2) {
		t.Error("another key went, too")
	}
	keep()
	w.End(true)
	eventually(t, "a write that ends", func() bool { return !kept(1) })
	keep()
	x.tier.BeginAll().End(true)
	eventually(t, "a write of everything", func() bool { return !kept(2) })
	keep()
	loses := func(what string, trouble func()) {
		t.Helper()
		before := y.link.Health().Losses
		trouble()
		eventually(t, what, func() bool { return y.link.Health().Losses > before && !kept(2) })
	}
	loses("a lost connection", func() { r.Do("CLIENT", "KILL", "TYPE", "normal") })
	keep()
	loses("a frozen Redis", r.Freeze)
	if !near.Lease(1).None() {
		t.Error("something is kept while nobody can hear")
	}
	r.Thaw()
	keep()
	loses("a dead Redis", r.Kill)
	r.Start()
	keep()
	if h := y.link.Health(); h.Told < 4 || !h.Tracking {
		t.Errorf("%+v", h)
	}
}

// One is Fetch for a single key. Negative answers are kept, other errors are not.
func TestOne(t *testing.T) {
	r := redistest.Start(t)
	x := newSide(t, &table{}, quick(r.URL()), texts())
	there(t, x.link)
	asked, trouble := 0, errors.New("trouble")
	one := x.tier.One(func(_ context.Context, key int) (string, error) {
		asked++
		switch key {
		case 1:
			return "a", nil
		case 2:
			return "", fmt.Errorf("row 2: %w", fulcrum.ErrNotFound)
		}
		return "", trouble
	})
	for round := range 2 {
		if got, err := one(t.Context(), 1); got != "a" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := one(t.Context(), 2); !errors.Is(err, fulcrum.ErrNotFound) {
			t.Error(err)
		}
		if _, err := one(t.Context(), 3); !errors.Is(err, trouble) {
			t.Error(err)
		}
		if round == 0 {
			x.filled(t, 2)
		}
	}
	if asked != 4 {
		t.Errorf("the database was asked %d times, not for 3 keys and again for one", asked)
	}
}

// What one Form keeps is nothing to another, and goes with a write of either.
func TestForms(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "a"}}
	other := texts()
	other.Form = "other"
	x, y := newSide(t, d, quick(r.URL()), texts()), newSide(t, d, quick(r.URL()), other)
	there(t, x.link)
	there(t, y.link)
	x.wants(t, 1, "a")
	x.filled(t, 1)
	y.wants(t, 1, "a")
	y.filled(t, 1)
	x.wants(t, 1, "a")
	if s := y.tier.Stats(); s.Hits != 0 || s.Misses != 1 || x.tier.Stats().Hits != 1 {
		t.Errorf("%+v, %+v", s, x.tier.Stats())
	}
	x.write(d, 1, "b")
	y.wants(t, 1, "b")
}

// After a write nothing is kept for as long as a replica may lag.
func TestLag(t *testing.T) {
	r := redistest.Start(t)
	d := &table{rows: map[int]string{1: "a"}}
	cfg := texts()
	cfg.Lag = 100 * time.Millisecond
	x := newSide(t, d, quick(r.URL()), cfg)
	there(t, x.link)
	x.write(d, 1, "b")
	x.wants(t, 1, "b")
	if s := x.tier.Stats(); s.Closed != 1 || s.Misses != 0 {
		t.Errorf("just written: %+v", s)
	}
	in, _ := x.link.believed()
	if left, err := strconv.Atoi(r.Do("PTTL", x.link.place(in, "texts").writersOf+"1")); err != nil || left > 100 {
		t.Errorf("it is closed for %d ms more, %v", left, err)
	}
	eventually(t, "it is kept again", func() bool { x.wants(t, 1, "b"); return x.tier.Stats().Hits > 0 })
}
