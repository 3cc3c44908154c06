package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
)

// bookcase is a table whose rows change; reading it takes a ms. Its keys are those >= 0.
type bookcase struct {
	queries, keys atomic.Int64
	edition       atomic.Int64 // of all rows
	fails         atomic.Pointer[error]
	slow          atomic.Int64 // ns that a query takes longer
	hold          func() bool  // a query takes as long as this holds
}

func (s *bookcase) fetch(ctx context.Context, b *fulcrum.Batch[int, string]) error {
	s.queries.Add(1)
	s.keys.Add(int64(b.Len()))
	edition := s.edition.Load()
	if err := pause(ctx, time.Millisecond+time.Duration(s.slow.Load())); err != nil {
		return err
	}
	for s.hold != nil && s.hold() && ctx.Err() == nil {
		runtime.Gosched()
	}
	if e := s.fails.Load(); e != nil {
		return *e
	}
	for i, k := range b.Keys() {
		if k >= 0 {
			b.SetAt(i, text(fulcrum.ScopeFrom(ctx), k, edition))
		}
	}
	return nil
}

func text(scope string, key int, edition int64) string {
	return fmt.Sprintf("%s/%d, edition %d", scope, key, edition)
}

// library is a Reader of a bookcase with a cache before it.
type library struct {
	*fulcrum.Reader[int, string]
	t     *testing.T
	shelf *bookcase
	near  *cache.Near[int, string]
}

func newLibrary(t *testing.T, kept cache.Config[int, string], cfg fulcrum.ReaderConfig[int, string]) *library {
	t.Helper()
	if kept.Entries == 0 {
		kept.Entries = 1000
	}
	near, err := cache.New(kept)
	if err != nil {
		t.Fatal(err)
	}
	l := &library{t: t, shelf: &bookcase{}, near: near}
	cfg.Cache, cfg.Fetch = near, l.shelf.fetch
	if l.Reader, err = fulcrum.NewReader(cfg); err != nil {
		t.Fatal(err)
	}
	return l
}

// get checks one Get: the edition it tells (-1: ErrNotFound) and the queries it costs.
func (l *library) get(key int, edition, queries int64, opts ...fulcrum.Option) fulcrum.Trace {
	l.t.Helper()
	before := l.shelf.queries.Load()
	trace := l.tells(key, edition, opts...)
	if n := l.shelf.queries.Load() - before; n != queries {
		l.t.Errorf("Get(%d) cost %d queries, want %d", key, n, queries)
	}
	if trace.Cached != (queries == 0) {
		l.t.Errorf("Get(%d): want %d queries, and its trace says %+v", key, queries, trace)
	}
	return trace
}

// tells checks the edition alone.
func (l *library) tells(key int, edition int64, opts ...fulcrum.Option) (trace fulcrum.Trace) {
	l.t.Helper()
	got, err := l.Get(context.Background(), key, append(opts, fulcrum.Traced(&trace))...)
	switch {
	case edition < 0 && !errors.Is(err, fulcrum.ErrNotFound):
		l.t.Errorf("Get(%d) = %q, %v, want ErrNotFound", key, got, err)
	case edition >= 0 && (err != nil || got != text("", key, edition)):
		l.t.Errorf("Get(%d) = %q, %v, want edition %d", key, got, err, edition)
	}
	return trace
}

// What is kept is told until it is old, and not one moment longer.
func TestCacheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{TTL: 10 * time.Second, NegativeTTL: time.Second}, fulcrum.ReaderConfig[int, string]{})
		l.get(1, 0, 1)
		l.get(-1, -1, 1)
		l.shelf.edition.Store(1)
		l.get(1, 0, 0)
		l.get(-1, -1, 0)
		time.Sleep(time.Second)
		l.get(-1, -1, 1)
		if trace := l.get(1, 0, 0); trace.Age < time.Second || trace.Age > 1010*time.Millisecond || trace.Stale || trace.Reason != "cache" {
			t.Errorf("a second old: %+v", trace)
		}
		time.Sleep(8*time.Second - 10*time.Millisecond)
		l.get(1, 0, 0) // 9 s is the least that jitter leaves
		time.Sleep(time.Second)
		l.get(1, 1, 1)
	})
}

// Entries that came together go one after the other, in the last tenth of their time.
func TestCacheJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{TTL: 10 * time.Second}, fulcrum.ReaderConfig[int, string]{})
		keys := make([]int, 500)
		for i := range keys {
			keys[i] = i
		}
		if _, err := l.GetMany(context.Background(), keys); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9*time.Second - 100*time.Millisecond)
		misses := func() uint64 {
			before := l.near.Stats().Misses
			for _, k := range keys {
				l.near.Get("", k, fulcrum.Demand{})
			}
			return l.near.Stats().Misses - before
		}
		if n := misses(); n != 0 {
			t.Errorf("%d of 500 are old before 9 s", n)
		}
		time.Sleep(600 * time.Millisecond)
		if n := misses(); n < 150 || n > 350 {
			t.Errorf("%d of 500 are old at 9.5 s, want about half", n)
		}
		time.Sleep(600 * time.Millisecond)
		if n := misses(); n != 500 {
			t.Errorf("%d of 500 are old after 10 s", n)
		}
	})
}

// While an entry is stale, everybody gets it at once and one query reads it anew.
func TestCacheStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{TTL: time.Second, StaleWhileRevalidate: 5 * time.Second}, fulcrum.ReaderConfig[int, string]{})
		l.get(1, 0, 1)
		l.shelf.edition.Store(1)
		time.Sleep(2 * time.Second)
		failure := errors.New("no")
		l.shelf.fails.Store(&failure)
		if trace := l.tells(1, 0); !trace.Stale || !trace.Cached {
			t.Errorf("2 s old, with a TTL of 1 s: %+v", trace)
		}
		l.tells(1, 0)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if n := l.shelf.queries.Load(); n != 2 {
			t.Errorf("%d queries, want the first and one that failed", n)
		}
		l.shelf.fails.Store(nil)
		l.get(1, 0, 0) // whoever was told to refresh has a second for it
		time.Sleep(time.Second)
		l.tells(1, 0)
		time.Sleep(10 * time.Millisecond)
		l.get(1, 1, 0) // and nobody had to wait
		l.shelf.edition.Store(2)
		time.Sleep(7 * time.Second)
		l.get(1, 2, 1)
	})
}

// Where the request says how fresh it must be, or how urgent it is, that counts.
func TestCacheOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{})
		l.get(1, 0, 1)
		l.shelf.edition.Store(1)
		l.get(1, 0, 0, fulcrum.Bulk)
		l.get(1, 1, 1, fulcrum.Urgent)
		l.get(1, 0, 0) // urgent ones leave nothing
		l.get(1, 1, 1, fulcrum.Fresh)
		l.get(1, 1, 0) // fresh ones do
		time.Sleep(5 * time.Second)
		l.shelf.edition.Store(2)
		l.get(1, 1, 0, fulcrum.MaxStaleness(6*time.Second))
		l.get(1, 2, 1, fulcrum.MaxStaleness(5*time.Second))
		l.get(1, 2, 0)
		l.shelf.edition.Store(3)
		l.get(1, 3, 1, fulcrum.MaxStaleness(0))
		l.shelf.edition.Store(4)
		if err := l.SetPolicy(fulcrum.Policy{UrgentCached: true}); err != nil {
			t.Fatal(err)
		}
		l.get(1, 3, 0, fulcrum.Urgent)
		if err := l.Forget(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		l.get(1, 4, 1)
		_ = l.Shutdown(context.Background())
		if _, err := l.Get(context.Background(), 1); !errors.Is(err, fulcrum.ErrClosed) {
			t.Errorf("after Shutdown: %v", err)
		}
		if _, err := l.GetMany(context.Background(), []int{1}); !errors.Is(err, fulcrum.ErrClosed) {
			t.Errorf("GetMany after Shutdown: %v", err)
		}
	})
}

// Scopes see their own rows.
func TestCacheScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{})
		for range 2 {
			for _, scope := range []string{"a", "b", ""} {
				got, err := l.Get(fulcrum.WithScope(context.Background(), scope), 1)
				if err != nil || got != text(scope, 1, 0) {
					t.Errorf("scope %q: %q, %v", scope, got, err)
				}
			}
		}
		if n := l.shelf.queries.Load(); n != 3 {
			t.Errorf("%d queries, want one for each scope", n)
		}
		l.shelf.edition.Store(1)
		l.near.Begin(1).End(true) // whoever wrote: all scopes may see it
		for _, scope := range []string{"a", "b", ""} {
			got, _ := l.Get(fulcrum.WithScope(context.Background(), scope), 1)
			if got != text(scope, 1, 1) {
				t.Errorf("scope %q after a write: %q", scope, got)
			}
		}
	})
}

// GetMany asks for what is not kept, and keeps what it gets.
func TestCacheGetMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{})
		l.get(1, 0, 1)
		l.shelf.edition.Store(1)
		for _, c := range []struct {
			keys []int
			want string
			cost int64
			opts []fulcrum.Option
		}{
			{[]int{1, 2, 2, -1}, "map[1:/1, edition 0 2:/2, edition 1]", 2, nil},
			{[]int{2, 1, -1, 1}, "map[1:/1, edition 0 2:/2, edition 1]", 0, nil},
			{[]int{1, 2}, "map[1:/1, edition 1 2:/2, edition 1]", 2, []fulcrum.Option{fulcrum.Fresh}},
			{[]int{1, -1}, "map[1:/1, edition 1]", 0, nil},
			{nil, "map[]", 0, nil},
		} {
			before := l.shelf.keys.Load()
			got, err := l.GetMany(context.Background(), c.keys, c.opts...)
			if err != nil || fmt.Sprint(got) != c.want || l.shelf.keys.Load()-before != c.cost {
				t.Errorf("GetMany(%v) = %v, %v, asking for %d keys; want %s, asking for %d", c.keys, got, err, l.shelf.keys.Load()-before, c.want, c.cost)
			}
		}
		failure := errors.New("no")
		l.shelf.fails.Store(&failure)
		got, err := l.GetMany(context.Background(), []int{1, 7})
		var failed fulcrum.KeyErrors[int]
		if !errors.As(err, &failed) || len(failed) != 1 || !errors.Is(failed[7], failure) || len(got) != 1 {
			t.Errorf("GetMany with a failure = %v, %v", got, err)
		}
	})
}

// Each caller owns its value where there is a Clone, however it came by it.
func TestCacheClones(t *testing.T) {
	near, err := cache.New(cache.Config[int, []byte]{Entries: 10})
	if err != nil {
		t.Fatal(err)
	}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, []byte]{
		Cache: near,
		Clone: func(v []byte) []byte { return append([]byte(nil), v...) },
		Fetch: func(_ context.Context, b *fulcrum.Batch[int, []byte]) error {
			for i := range b.Keys() {
				b.SetAt(i, []byte("right"))
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(v []byte) {
		if string(v) != "right" {
			t.Errorf("somebody else has written into it: %q", v)
		}
		copy(v, "wrong")
	}
	for range 3 {
		for _, opt := range []fulcrum.Option{fulcrum.Normal, fulcrum.Fresh, fulcrum.Urgent} {
			v, err := r.Get(context.Background(), 1, opt)
			if err != nil {
				t.Fatal(err)
			}
			spoil(v)
			many, err := r.GetMany(context.Background(), []int{1, 2}, opt)
			if err != nil {
				t.Fatal(err)
			}
			spoil(many[1])
			spoil(many[2])
		}
	}
}

// While the circuit is open, what is stale is better than nothing, if that is allowed.
func TestCacheDegraded(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprintf("allowed=%v", allowed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				backend, err := fulcrum.NewBackend(fulcrum.BackendConfig{})
				if err != nil {
					t.Fatal(err)
				}
				kept := cache.Config[int, string]{TTL: 10 * time.Second}
				if allowed {
					kept.StaleIfDegraded = time.Hour
				}
				l := newLibrary(t, kept, fulcrum.ReaderConfig[int, string]{Backend: backend})
				l.get(1, 0, 1)
				l.get(2, 0, 1)
				time.Sleep(time.Minute)
				openCircuit(t, l)
				degraded(t, l, allowed)
			})
		})
	}
}

// openCircuit has calls fail until the backend is asked no more.
func openCircuit(t *testing.T, l *library) {
	t.Helper()
	failure := fmt.Errorf("down: %w", fulcrum.ErrUnavailable)
	l.shelf.fails.Store(&failure)
	for key := 1000; ; key++ {
		_, err := l.Get(context.Background(), key)
		if errors.Is(err, fulcrum.ErrCircuitOpen) {
			return
		}
		if key == 2000 {
			t.Fatalf("the circuit is closed after 1,000 failures: %v", err)
		}
	}
}

func degraded(t *testing.T, l *library, allowed bool) {
	ctx := context.Background()
	for _, c := range []struct {
		what string
		key  int
		opt  fulcrum.Option
		want bool
	}{
		{"normal", 1, fulcrum.Normal, allowed},
		{"urgent", 1, fulcrum.Urgent, allowed},
		{"fresh", 1, fulcrum.Fresh, false},
		{"within its demand", 1, fulcrum.MaxStaleness(time.Hour), allowed},
		{"beyond its demand", 1, fulcrum.MaxStaleness(20 * time.Second), false},
		{"never read", 3, fulcrum.Normal, false},
	} {
		var trace fulcrum.Trace
		got, err := l.Get(ctx, c.key, c.opt, fulcrum.Traced(&trace))
		if told := err == nil && got == text("", c.key, 0) && trace.Stale && trace.Age > time.Minute; told != c.want || !told && !errors.Is(err, fulcrum.ErrCircuitOpen) {
			t.Errorf("%s: %q, %v, %+v", c.what, got, err, trace)
		}
	}
	got, err := l.GetMany(ctx, []int{1, 2, 3})
	var failed fulcrum.KeyErrors[int]
	want := map[bool]int{true: 1, false: 3}[allowed]
	if !errors.As(err, &failed) || len(failed) != want || len(got) != 3-want || !errors.Is(failed[3], fulcrum.ErrCircuitOpen) {
		t.Errorf("GetMany: %v, %v", got, err)
	}
	l.near.Begin(1).End(true)
	if got, err := l.Get(ctx, 1); !errors.Is(err, fulcrum.ErrCircuitOpen) {
		t.Errorf("after a write: %q, %v", got, err)
	}
}

// crowd has n callers ask for a key at the same time.
func (l *library) crowd(n int, key int, edition int64) {
	l.t.Helper()
	var all sync.WaitGroup
	var wrong atomic.Int64
	for range n {
		all.Go(func() {
			if got, err := l.Get(context.Background(), key); err != nil || got != text("", key, edition) {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() > 0 {
		l.t.Errorf("%d of %d callers did not get edition %d", wrong.Load(), n, edition)
	}
}

// Ten thousand readers of one expired hot key cause one query, whether they wait for it or
// are told the stale entry meanwhile.
func TestCacheStampede(t *testing.T) {
	for _, stale := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprintf("stale=%s", stale), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary(t, cache.Config[int, string]{TTL: time.Second, StaleWhileRevalidate: stale}, fulcrum.ReaderConfig[int, string]{})
				l.crowd(10_000, 1, 0) // never read
				if n := l.shelf.queries.Load(); n != 1 {
					t.Errorf("%d queries for a key that nobody had read, want 1", n)
				}
				time.Sleep(2 * time.Second)
				l.shelf.edition.Store(1)
				l.crowd(10_000, 1, map[bool]int64{true: 0, false: 1}[stale > 0])
				time.Sleep(5 * time.Millisecond)
				if n := l.shelf.queries.Load(); n != 2 {
					t.Errorf("%d queries for an expired key, want 1 more", n-1)
				}
				l.get(1, 1, 0)
			})
		})
	}
}

// In real time, too: the query comes back while the last of them have found nothing and do
// not wait for it yet.
func TestCacheStampedeInRealTime(t *testing.T) {
	l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{Policy: fulcrum.Policy{MaxWaiters: 20_000}})
	const callers = 10_000
	for key := range 5 {
		misses := l.near.Stats().Misses + callers
		l.shelf.hold = func() bool { return l.near.Stats().Misses < misses }
		l.crowd(callers, key, 0)
		if n := l.shelf.queries.Load(); n != int64(key)+1 {
			t.Errorf("%d queries, want %d", n, key+1)
		}
	}
}
