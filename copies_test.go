package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
)

// site is one copy: every call takes as long as it says, and fails or hangs if it is told
// to.
type site struct {
	takes  atomic.Int64 // ns
	fails  atomic.Bool
	hangs  atomic.Bool // calls do not return before their context ends
	behind atomic.Bool // calls that come behind a write say so
	calls  atomic.Int64
}

func (s *site) ask(ctx context.Context) error {
	s.calls.Add(1)
	if s.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(time.Duration(s.takes.Load()))
	switch {
	case s.fails.Load():
		return fmt.Errorf("the copy is gone: %w", fulcrum.ErrUnavailable)
	case s.behind.Load() && len(fulcrum.AfterFrom(ctx)) > 0:
		return fmt.Errorf("here: %w", fulcrum.ErrBehind)
	}
	return nil
}

// sites are copies by name, "main" the primary, and a Reader that asks them. The value of
// a key names the copy that answered.
type sites struct {
	t       *testing.T
	byName  map[string]*site
	backend *fulcrum.Backend
	reader  *fulcrum.Reader[int, string]
	cancel  context.CancelFunc
}

func newSites(t *testing.T, cfg fulcrum.BackendConfig, names ...string) *sites {
	t.Helper()
	s := &sites{t: t, byName: map[string]*site{}}
	for _, name := range names {
		s.byName[name] = &site{}
		s.byName[name].takes.Store(int64(time.Millisecond))
		cfg.Copies = append(cfg.Copies, s.copy(name))
	}
	var err error
	if s.backend, err = fulcrum.NewBackend(cfg); err != nil {
		t.Fatal(err)
	}
	s.reader = newReader(t, fulcrum.ReaderConfig[int, string]{Backend: s.backend, Fetch: s.fetch, One: s.one})
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.backend.Watch(ctx, nil)
	return s
}

func (s *sites) copy(name string) fulcrum.Copy {
	return fulcrum.Copy{Name: name, Primary: name == "main"}
}

func (s *sites) one(ctx context.Context, _ int) (string, error) {
	name := fulcrum.CopyFrom(ctx)
	return name, s.byName[name].ask(ctx)
}

func (s *sites) fetch(ctx context.Context, b *fulcrum.Batch[int, string]) error {
	name := fulcrum.CopyFrom(ctx)
	for i := range b.Keys() {
		b.SetAt(i, name)
	}
	return s.byName[name].ask(ctx)
}

// reads has so many reads go one after the other and counts who answered.
func (s *sites) reads(n int, opts ...fulcrum.Option) map[string]int {
	s.t.Helper()
	by := map[string]int{}
	for key := range n {
		v, err := s.reader.Get(context.Background(), key, opts...)
		if err != nil {
			s.t.Fatalf("read %d: %v", key, err)
		}
		by[v]++
	}
	return by
}

// crowd has callers read side by side for a while and returns how long each took.
func (s *sites) crowd(callers int, lasting time.Duration) (took []time.Duration) {
	s.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	until := time.Now().Add(lasting)
	for c := range callers {
		wg.Go(func() {
			for key := c; time.Now().Before(until); key += callers {
				began := time.Now()
				if _, err := s.reader.Get(context.Background(), key); err != nil {
					s.t.Errorf("%v", err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took
}

// stats is what the backend knows of a copy.
func (s *sites) stats(name string) fulcrum.CopyStats {
	s.t.Helper()
	for _, c := range s.backend.Copies().Copies {
		if c.Name == name {
			return c
		}
	}
	s.t.Fatalf("no copy is called %q", name)
	return fulcrum.CopyStats{}
}

func (s *sites) end() {
	s.cancel()
	_ = s.reader.Shutdown(context.Background())
	synctest.Wait()
}

func TestReplicasAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a", "b")
		defer s.end()
		by := s.reads(200)
		if by["main"] != 0 || by["a"] < 50 || by["b"] < 50 {
			t.Errorf("%v: want the replicas alone, both of them", by)
		}
		if by := s.reads(10, fulcrum.Fresh); by["main"] != 10 {
			t.Errorf("fresh: %v", by)
		}
		if by := s.reads(10, fulcrum.Urgent); by["main"] != 0 {
			t.Errorf("urgent: %v", by)
		}
		if by := s.reads(10, fulcrum.MaxStaleness(time.Second)); by["main"] != 10 {
			t.Errorf("nothing is known of the replicas' lag: %v", by)
		}
	})
}

func TestSlowCopyIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{Choice: fulcrum.Choice{ReadPrimary: true}}, "main", "a", "b")
		defer s.end()
		s.crowd(8, 2*time.Second)
		before := s.byName["b"].calls.Load()
		s.byName["b"].takes.Store(int64(20 * time.Millisecond))
		took := s.crowd(8, 5*time.Second)
		slow := 0
		for _, d := range took {
			if d >= 15*time.Millisecond {
				slow++
			}
		}
		if got := s.byName["b"].calls.Load() - before; got == 0 || got > 100 {
			t.Errorf("the slow copy got %d calls of %d", got, len(took))
		}
		if slow*100 > len(took) {
			t.Errorf("%d of %d reads were slow: p99 is that of the slow copy", slow, len(took))
		}
	})
}

func TestAnotherCopyAnswers(t *testing.T) {
	for _, trouble := range []string{"fails", "hangs"} {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSites(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 3, MaxBatch: 1}, "main", "a", "b")
				defer s.end()
				s.crowd(8, time.Second)
				b := s.byName["b"]
				set := map[string]*atomic.Bool{"fails": &b.fails, "hangs": &b.hangs}[trouble]
				before := b.calls.Load()
				set.Store(true)
				for _, d := range s.crowd(8, 10*time.Second) { // no read fails: crowd says so
					if d > 600*time.Millisecond {
						t.Fatalf("a read took %s", d)
					}
				}
				if got := b.calls.Load() - before; got == 0 || got > 20 {
					t.Errorf("it was asked %d times", got)
				}
				if by := s.reads(100); by["a"] != 100 {
					t.Errorf("%v: want a alone", by)
				}
				set.Store(false)
				time.Sleep(31 * time.Second)
				s.crowd(8, 10*time.Second)
				if st := s.stats("b"); st.Ejected != 0 || b.calls.Load() < before+1000 {
					t.Errorf("it is not used again: %+v", st)
				}
				if m := s.backend.Stats().Modes; m.Circuit != "closed" {
					t.Errorf("the circuit is %s: %s", m.Circuit, m.Reason)
				}
			})
		})
	}
}

// With no copy left the circuit opens, as with one database.
func TestAllCopiesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a")
		defer s.end()
		s.reads(50)
		for _, one := range s.byName {
			one.fails.Store(true)
		}
		opened := false
		for key := range 200 {
			_, err := s.reader.Get(context.Background(), key)
			switch {
			case errors.Is(err, fulcrum.ErrCircuitOpen):
				opened = true
			case !errors.Is(err, fulcrum.ErrUnavailable):
				t.Fatalf("got %v", err)
			}
		}
		if !opened {
			t.Error("the circuit did not open")
		}
		for _, one := range s.byName {
			one.fails.Store(false)
		}
		time.Sleep(time.Minute)
		s.crowd(4, time.Second)
	})
}

func TestReadsComeBehindTheirWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a")
		defer s.end()
		if by := s.reads(20, fulcrum.After("t")); by["a"] != 20 {
			t.Errorf("a replica that has seen it: %v", by)
		}
		s.byName["a"].behind.Store(true)
		if by := s.reads(20, fulcrum.After("t")); by["main"] != 20 {
			t.Errorf("a replica that has not: %v", by)
		}
		if st := s.stats("a"); st.Behind == 0 || st.Behind > 5 || st.Failures != 0 {
			t.Errorf("it was asked again and again, or blamed: %+v", st)
		}
		if by := s.reads(20, fulcrum.After("")); by["a"] != 20 {
			t.Errorf("an empty token asks for something: %v", by)
		}
	})
}

// A batch asks for what the most demanding of its callers asks for.
func TestBatchAsksForTheMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 1}, "main", "a")
		defer s.end()
		var mu sync.Mutex
		var seen [][]fulcrum.Token
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Backend: s.backend, Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
			mu.Lock()
			seen = append(seen, fulcrum.AfterFrom(ctx))
			mu.Unlock()
			return s.fetch(ctx, b)
		}})
		var wg sync.WaitGroup
		for key := range 6 {
			wg.Go(func() { _, _ = r.Get(context.Background(), key%3, fulcrum.After(fulcrum.Token(fmt.Sprint(key)))) })
		}
		wg.Wait()
		_, _ = r.GetMany(context.Background(), []int{1, 2}, fulcrum.After("many"))
		all := fmt.Sprint(seen)
		for _, want := range []string{"0", "1", "2", "3", "4", "5", "many"} {
			if !strings.Contains(all, want) {
				t.Errorf("token %s is in no batch: %s", want, all)
			}
		}
	})
}

func TestHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{Choice: fulcrum.Choice{Hedge: 0.02}}, "main", "a", "b")
		defer s.end()
		slowly := func() { // one call in fifty of a takes long
			for _, name := range []string{"a", "b"} {
				s.byName[name].takes.Store(int64(time.Millisecond))
			}
		}
		slowly()
		s.reads(1000)
		before := s.backend.Copies().Hedges
		for range 100 {
			s.reads(49)
			for _, name := range []string{"a", "b"} {
				s.byName[name].takes.Store(int64(15 * time.Millisecond))
			}
			s.reads(1)
			slowly()
		}
		h := s.backend.Copies().Hedges
		if sent := h.Sent - before.Sent; sent == 0 || sent > 100+10 {
			t.Errorf("%d hedges for 5,000 reads: want some, and 2 %% at most", sent)
		}
	})
}

// A tight deadline is no fault of the copy.
func TestTightDeadlinesBlameNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a", "b")
		defer s.end()
		s.reads(200)
		for _, name := range []string{"a", "b"} {
			s.byName[name].takes.Store(int64(4 * time.Millisecond))
		}
		before := s.byName["a"].calls.Load() + s.byName["b"].calls.Load()
		for key := range 100 {
			ctx, cancel := context.WithTimeout(context.Background(), 6*time.Millisecond)
			if _, err := s.reader.Get(ctx, key); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if calls := s.byName["a"].calls.Load() + s.byName["b"].calls.Load() - before; calls != 100 || s.byName["main"].calls.Load() != 0 {
			t.Errorf("%d calls for 100 reads, %d of the primary", calls, s.byName["main"].calls.Load())
		}
		for _, name := range []string{"a", "b"} {
			if st := s.stats(name); st.Failures != 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}

// Without hedges, none is sent.
func TestNoHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a", "b")
		defer s.end()
		s.reads(500)
		s.byName["a"].takes.Store(int64(100 * time.Millisecond))
		s.reads(100)
		if h := s.backend.Copies().Hedges; h != (fulcrum.HedgeStats{}) {
			t.Errorf("got %+v", h)
		}
	})
}

func TestCopiesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a", "b")
		defer s.end()
		s.reads(20)
		if err := s.backend.SetCopies([]fulcrum.Copy{s.copy("main"), s.copy("b")}); err != nil {
			t.Fatal(err)
		}
		if by := s.reads(20); by["b"] != 20 {
			t.Errorf("%v: want b alone", by)
		}
		for _, wrong := range [][]fulcrum.Copy{
			nil, {{}}, {s.copy("b"), s.copy("b")}, {{Name: "x", Primary: true}, {Name: "y", Primary: true}},
		} {
			if err := s.backend.SetCopies(wrong); err == nil {
				t.Errorf("%+v: no error", wrong)
			}
		}
		if by := s.reads(20); by["b"] != 20 {
			t.Errorf("a wrong list changed something: %v", by)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.crowd(8, time.Second) })
		for i := range 50 { // while reads are in flight
			names := []string{"main", "a", "b"}[:1+i%3]
			var all []fulcrum.Copy
			for _, n := range names {
				all = append(all, s.copy(n))
			}
			if err := s.backend.SetCopies(all); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		for _, c := range s.backend.Copies().Copies {
			if c.Out != 0 {
				t.Errorf("%s: %d calls are out, and nobody waits", c.Name, c.Out)
			}
		}
	})
}

// A replica that lags is left, and one that does not answer is ejected, without a request
// that suffers.
func TestCopiesAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lag, gone atomic.Int64
		cfg := fulcrum.BackendConfig{Copies: []fulcrum.Copy{{Name: "b", Check: func(context.Context) (fulcrum.Lag, error) {
			if gone.Load() != 0 {
				return fulcrum.Lag{}, errors.New("gone")
			}
			return fulcrum.Lag{Time: time.Duration(lag.Load()), Bytes: -1}, nil
		}}}}
		s := newSites(t, cfg, "main", "a")
		defer s.end()
		s.byName["b"] = &site{}
		time.Sleep(time.Second)
		if by := s.reads(50, fulcrum.MaxStaleness(500*time.Millisecond)); by["b"] != 50 {
			t.Errorf("it is known to be fresh: %v", by)
		}
		lag.Store(int64(3 * time.Second))
		time.Sleep(time.Second)
		if by := s.reads(50); by["a"] != 50 || !s.stats("b").Lags {
			t.Errorf("it lags: %v, %+v", by, s.stats("b"))
		}
		lag.Store(0)
		time.Sleep(time.Second)
		if by := s.reads(50); by["b"] == 0 {
			t.Errorf("it has caught up: %v", by)
		}
		gone.Store(1)
		time.Sleep(3 * time.Second)
		if by := s.reads(50); by["a"] != 50 {
			t.Errorf("it does not answer: %v", by)
		}
		gone.Store(0)
		time.Sleep(time.Second)
		if s.reads(100); s.stats("b").Ejected != 0 {
			t.Error("it answers again, and is ejected still")
		}
	})
}

// Each copy has a K of its own, and K is their sum.
func TestCopiesHaveSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 3, MaxBatch: 1}, "main", "a", "b")
		defer s.end()
		if k := s.backend.Stats().InFlight; k != 6 {
			t.Errorf("K is %d, want 3 of each replica", k)
		}
		s.byName["b"].fails.Store(true)
		s.crowd(8, 2*time.Second)
		if k := s.backend.Stats().InFlight; k != 3 {
			t.Errorf("K is %d, want that of the replica that is left", k)
		}
		s.byName["a"].fails.Store(true)
		s.crowd(8, 2*time.Second)
		if k := s.backend.Stats().InFlight; k != 3 {
			t.Errorf("K is %d, want that of the primary", k)
		}
	})
}

// What is kept for others is not read from a replica that may lag behind a write.
func TestCacheIsNotFilledFromTheBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lag := func(context.Context) (fulcrum.Lag, error) { return fulcrum.Lag{Time: 2 * time.Second}, nil }
		s := newSites(t, fulcrum.BackendConfig{Choice: fulcrum.Choice{MaxLag: time.Minute}, Copies: []fulcrum.Copy{{Name: "a", Check: lag}}}, "main")
		s.byName["a"] = &site{}
		s.byName["a"].takes.Store(int64(time.Millisecond))
		defer s.end()
		near, err := cache.New(cache.Config[int, string]{Entries: 100})
		if err != nil {
			t.Fatal(err)
		}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Backend: s.backend, Fetch: s.fetch, One: s.one, Cache: near})
		time.Sleep(time.Second)
		get := func(key int, want string) {
			t.Helper()
			if got, err := r.Get(context.Background(), key); err != nil || got != want {
				t.Errorf("key %d: got %q, %v, want %q", key, got, err, want)
			}
		}
		get(1, "a") // it lags by less than is allowed for what is kept
		if err := r.Forget(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		get(1, "main") // it was written
		near.Forget(2)
		got, err := r.GetMany(context.Background(), []int{2})
		if err != nil || got[2] != "main" {
			t.Errorf("GetMany: %v, %v", got, err)
		}
		time.Sleep(12 * time.Second)
		near.Forget(3) // of another key
		get(4, "a")
		if err := near.Begin(5); err == nil {
			t.Error("no writing")
		}
		get(5, "main") // while it is written
	})
}

// Writes know no copies.
func TestWritesGoToNoCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSites(t, fulcrum.BackendConfig{}, "main", "a")
		defer s.end()
		if name := fulcrum.CopyFrom(context.Background()); name != "" {
			t.Errorf("got %q", name)
		}
	})
}

func TestWrongCopies(t *testing.T) {
	for want, cfg := range map[string]fulcrum.BackendConfig{
		"number 1 has no name":              {Copies: []fulcrum.Copy{{}}},
		"2 are called primary":              {Copies: []fulcrum.Copy{{Name: "a", Primary: true}, {Name: "b", Primary: true}}},
		`two copies are called "a"`:         {Copies: []fulcrum.Copy{{Name: "a"}, {Name: "a"}}},
		"Choice.Hedge: 0.5 is not":          {Copies: []fulcrum.Copy{{Name: "a"}}, Choice: fulcrum.Choice{Hedge: 0.5}},
		"MaxLag: 1ns is less than 1ms":      {Copies: []fulcrum.Copy{{Name: "a"}}, Choice: fulcrum.Choice{MaxLag: 1}},
		"Share: 2 is not above 0":           {Copies: []fulcrum.Copy{{Name: "a"}}, Choice: fulcrum.Choice{PrimaryShare: 2}},
		"MaxBytes: -2 is neither -1 (none)": {Copies: []fulcrum.Copy{{Name: "a"}}, Choice: fulcrum.Choice{MaxLagBytes: -2}},
	} {
		if _, err := fulcrum.NewBackend(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	b, err := fulcrum.NewBackend(fulcrum.BackendConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetCopies([]fulcrum.Copy{{Name: "a"}}); err == nil {
		t.Error("a Backend without copies takes some")
	}
}
