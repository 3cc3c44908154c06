package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// backend is a database in memory whose queries take a ms and n·10 µs, in the
// time of the test.
type backend struct {
	mu      sync.Mutex
	queries [][]int
	scopes  []string
}

func (b *backend) fetch(ctx context.Context, batch *fulcrum.Batch[int, string]) error {
	b.note(batch.Keys(), fulcrum.ScopeFrom(ctx))
	if err := pause(ctx, time.Millisecond+time.Duration(batch.Len())*10*time.Microsecond); err != nil {
		return err
	}
	for i, k := range batch.Keys() {
		if k >= 0 {
			batch.SetAt(i, value(fulcrum.ScopeFrom(ctx), k))
		}
	}
	return nil
}

func (b *backend) note(keys []int, scope string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queries = append(b.queries, slices.Clone(keys))
	b.scopes = append(b.scopes, scope)
}

func (b *backend) asked() [][]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.queries)
}

func value(scope string, key int) string { return fmt.Sprintf("%s/%d", scope, key) }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newReader(t testing.TB, cfg fulcrum.ReaderConfig[int, string]) *fulcrum.Reader[int, string] {
	t.Helper()
	r, err := fulcrum.NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return r
}

// together runs f for 0…n−1 at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// background starts f; what it returns waits for f.
func background(f func()) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	return wg.Wait
}

func mustGet(t testing.TB, r *fulcrum.Reader[int, string], ctx context.Context, key int, opts ...fulcrum.Option) {
	t.Helper()
	v, err := r.Get(ctx, key, opts...)
	if want := value(fulcrum.ScopeFrom(ctx), key); err != nil || v != want {
		t.Errorf("Get(%d) = %q, %v; want %q", key, v, err, want)
	}
}

func TestALoneGetDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch})
		start := time.Now()
		mustGet(t, r, t.Context(), 7)
		if took, want := time.Since(start), 1010*time.Microsecond; took != want {
			t.Errorf("took %s, want exactly the query's %s", took, want)
		}
		if _, err := r.Get(t.Context(), -7); !errors.Is(err, fulcrum.ErrNotFound) {
			t.Errorf("a key without a row: %v, want ErrNotFound", err)
		}
	})
}

func TestThoseWhoComeMeanwhileShareAQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1}})
		defer background(func() { mustGet(t, r, t.Context(), 1) })()
		synctest.Wait()
		together(100, func(i int) { mustGet(t, r, t.Context(), 10+i%50) })
		asked := b.asked()
		if len(asked) != 2 || len(asked[1]) != 50 {
			t.Fatalf("100 callers of 50 keys caused these queries: %v", asked)
		}
		s := r.Stats()
		if s.Admitted != 101 || s.Answered != 101 || s.Joined != 50 || s.Saved != 99 || s.MeanBatch() != 25.5 {
			t.Errorf("statistics: %+v", s)
		}
	})
}

// A Get must not join a query that has left: it might read what was there before
// a write that its caller has seen.
func TestNobodyJoinsAQueryInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch})
		defer background(func() { mustGet(t, r, t.Context(), 1) })()
		synctest.Wait()
		mustGet(t, r, t.Context(), 1)
		if asked := b.asked(); len(asked) != 2 {
			t.Errorf("queries: %v, want one for each Get", asked)
		}
	})
}

// Every way to the backend sees the scope and a deadline, and nothing else of its
// callers.
func TestFetchSeesTheScopeOnEveryPath(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		paths := map[string]int{}
		see := func(path string, ctx context.Context, keys []int) error {
			if ctx.Value(key{}) != nil {
				t.Errorf("%s: a caller's value is visible", path)
			}
			if d, ok := ctx.Deadline(); !ok || time.Until(d) > 10*time.Second {
				t.Errorf("%s: deadline %v, %t", path, time.Until(d), ok)
			}
			for _, k := range keys {
				if scope := fulcrum.ScopeFrom(ctx); scope != scopeOf(k) {
					t.Errorf("%s: key %d was asked for in scope %q", path, k, scope)
				}
			}
			mu.Lock()
			paths[path]++
			mu.Unlock()
			return pause(ctx, time.Millisecond)
		}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{
			Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
				for _, k := range b.Keys() {
					b.Set(k, value(fulcrum.ScopeFrom(ctx), k))
				}
				return see("batch of "+b.Class().String(), ctx, b.Keys())
			},
			One: func(ctx context.Context, k int) (string, error) {
				return value(fulcrum.ScopeFrom(ctx), k), see("one", ctx, []int{k})
			},
			Policy: fulcrum.Policy{InFlight: 1, Reserved: 1},
		})
		together(300, func(i int) {
			ctx := fulcrum.WithScope(context.WithValue(t.Context(), key{}, i), scopeOf(i))
			switch i % 3 {
			case 0:
				mustGet(t, r, ctx, i)
			case 1:
				mustGet(t, r, fulcrum.WithOptions(ctx, fulcrum.Urgent), i)
			case 2:
				if got, err := r.GetMany(ctx, []int{i, i + 3000}, fulcrum.Bulk); err != nil || got[i] != value(scopeOf(i), i) {
					t.Errorf("GetMany(%d): %v, %v", i, got, err)
				}
			}
		})
		for _, path := range []string{"one", "batch of normal", "batch of urgent", "batch of bulk"} {
			if paths[path] == 0 {
				t.Errorf("the test never went this way: %s (%v)", path, paths)
			}
		}
	})
}

func scopeOf(key int) string { return [...]string{"red", "blue"}[key/3%2] }

func TestACallerLeavesAtOnceAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1}})
		defer background(func() { mustGet(t, r, t.Context(), 1) })()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		short, stop := context.WithTimeout(t.Context(), 1500*time.Microsecond)
		defer stop()
		together(6, func(i int) {
			switch i {
			case 0, 1: // the neighbours, one of the same key
				mustGet(t, r, t.Context(), 2+i)
			case 2, 3:
				if _, err := r.Get(ctx, 2); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled while queued: %v", err)
				}
			case 4:
				start := time.Now()
				if _, err := r.Get(short, 9); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("deadline in flight: %v", err)
				}
				if took := time.Since(start); took != 1500*time.Microsecond {
					t.Errorf("left after %s, want 1.5ms", took)
				}
			case 5:
				time.Sleep(500 * time.Microsecond)
				cancel()
			}
		})
		if s := r.Stats(); s.Cancelled != 3 || s.Answered != 3 || s.Failed != 0 {
			t.Errorf("cancelled %d answered %d failed %d, want 3 3 0", s.Cancelled, s.Answered, s.Failed)
		}
	})
}

// A patient caller stays with a query of its own, until its deadline; among others
// it leaves when its context ends, like anybody.
func TestAPatientCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var own bool
		caller := make(chan string, 1)
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Policy: fulcrum.Policy{InFlight: 1},
			Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
				var stack [4096]byte
				own = strings.Contains(string(stack[:runtime.Stack(stack[:], false)]), "TestAPatientCaller")
				return pause(ctx, 2*time.Second)
			}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := background(func() {
			_, err := r.Get(ctx, 1, fulcrum.Patient)
			caller <- fmt.Sprint(err)
		})
		synctest.Wait()
		short, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		start := time.Now()
		if _, err := r.Get(short, 2, fulcrum.Patient); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Millisecond {
			t.Errorf("queued behind another: %v after %s", err, time.Since(start))
		}
		done()
		if err := <-caller; err != context.DeadlineExceeded.Error() || time.Since(start) != time.Second || !own {
			t.Errorf("alone: %s after %s, on its own goroutine: %t", err, time.Since(start), own)
		}
	})
}

// An abandoned query runs on: cancelling it would cost the driver its connection.
func TestAnAbandonedQueryRunsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
			err := pause(ctx, time.Second)
			finished = err == nil
			return err
		}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := r.Get(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := r.Shutdown(t.Context()); err != nil || !finished {
			t.Errorf("finished %t, shutdown %v", finished, err)
		}
	})
}

func TestTheBatchesDeadline(t *testing.T) {
	for _, c := range []struct {
		name            string
		timeout, caller time.Duration
		want            time.Duration
	}{
		{"the default", 0, 0, 10 * time.Second},
		{"more than the most", time.Minute, 0, 10 * time.Second},
		{"its own", time.Second, 0, time.Second},
		{"its caller's", time.Second, 300 * time.Millisecond, 300 * time.Millisecond},
		{"its own before its caller's", time.Second, 3 * time.Second, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got time.Duration
				r := newReader(t, fulcrum.ReaderConfig[int, string]{Timeout: c.timeout,
					Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
						d, _ := ctx.Deadline()
						got = time.Until(d)
						<-ctx.Done()
						return ctx.Err()
					}})
				ctx := context.Background()
				if c.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.caller)
					defer cancel()
				}
				start := time.Now()
				if _, err := r.Get(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if err := r.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); got != c.want || took != c.want {
					t.Errorf("the query had %s and ended after %s, want %s", got, took, c.want)
				}
			})
		})
	}
}

func TestAPanicIsItsOwnKeysError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Policy: fulcrum.Policy{InFlight: 1},
			Fetch: func(ctx context.Context, batch *fulcrum.Batch[int, string]) error {
				if slices.Contains(batch.Keys(), 13) {
					panic(errUnlucky)
				}
				return b.fetch(ctx, batch)
			}})
		together(100, func(i int) {
			if i != 13 {
				mustGet(t, r, t.Context(), i)
				return
			}
			_, err := r.Get(t.Context(), i)
			var p *fulcrum.PanicError
			if !errors.As(err, &p) || !errors.Is(err, errUnlucky) || !strings.Contains(string(p.Stack), "reader_test.go") {
				t.Errorf("the guilty key: %v", err)
			}
		})
		if n := len(b.asked()); n > 20 {
			t.Errorf("%d queries to find one guilty key among 100", n)
		}
	})
}

var errUnlucky = errors.New("unlucky")

func TestErrorsOfAQuery(t *testing.T) {
	for _, c := range []struct {
		name      string
		err       error
		neighbour error
	}{
		{"of the backend fail the batch", errUnlucky, errUnlucky},
		{"of one key are found by halving", fulcrum.Divisible(errUnlucky), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &backend{}
			r := newReader(t, fulcrum.ReaderConfig[int, string]{Policy: fulcrum.Policy{InFlight: 1},
				Fetch: func(ctx context.Context, batch *fulcrum.Batch[int, string]) error {
					if slices.Contains(batch.Keys(), 13) {
						return c.err
					}
					return b.fetch(ctx, batch)
				}})
			got, err := r.GetMany(t.Context(), []int{11, 12, 13, 14, 14})
			var failed fulcrum.KeyErrors[int]
			if !errors.As(err, &failed) || !errors.Is(failed[13], errUnlucky) {
				t.Fatalf("got %v, %v", got, err)
			}
			if !errors.Is(failed[12], c.neighbour) || len(got)+len(failed) != 4 {
				t.Errorf("neighbours: %v, %v", got, failed)
			}
		})
	}
}

func TestAnEndedGoroutineEndsItsBatchOnly(t *testing.T) {
	b := &backend{}
	r := newReader(t, fulcrum.ReaderConfig[int, string]{
		Fetch: func(ctx context.Context, batch *fulcrum.Batch[int, string]) error {
			if batch.Keys()[0] == 13 {
				runtime.Goexit()
			}
			return b.fetch(ctx, batch)
		}})
	var p *fulcrum.PanicError
	if _, err := r.Get(t.Context(), 13); !errors.As(err, &p) {
		t.Errorf("got %v", err)
	}
	mustGet(t, r, t.Context(), 1)
}

func TestSharedValuesAreCloned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, []int]{
			Fetch: func(ctx context.Context, b *fulcrum.Batch[int, []int]) error {
				b.SetAt(0, []int{0})
				return pause(ctx, time.Millisecond)
			},
			Clone:  slices.Clone[[]int],
			Policy: fulcrum.Policy{InFlight: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		together(50, func(int) {
			v, err := r.Get(t.Context(), 1)
			if err != nil || v[0] != 0 {
				t.Errorf("another caller's change is visible: %v, %v", v, err)
			}
			v[0]++
		})
	})
}

func TestShedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		var hooked []fulcrum.ShedInfo
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Name: "users",
			Hooks:  &fulcrum.Hooks{OnShed: func(s fulcrum.ShedInfo) { hooked = append(hooked, s) }},
			Policy: fulcrum.Policy{InFlight: 1, MaxQueued: 2, MaxWaiters: 2}})
		var wg sync.WaitGroup
		defer wg.Wait()
		for _, key := range []int{0, 1, 1, 2} { // 0 is in flight, 1 twice and 2 are queued
			wg.Go(func() { mustGet(t, r, t.Context(), key) })
			synctest.Wait()
		}
		var shed *fulcrum.ShedError
		if _, err := r.Get(t.Context(), 1); !errors.As(err, &shed) || shed.Reason != fulcrum.ShedWaiters {
			t.Errorf("a third waiter: %v", err)
		}
		if _, err := r.Get(t.Context(), 3); !errors.Is(err, fulcrum.ErrShed) || !errors.As(err, &shed) ||
			shed.Reason != fulcrum.ShedQueueFull || shed.RetryAfter < time.Millisecond {
			t.Errorf("a third key: %v", err)
		}
		_, err := r.GetMany(t.Context(), []int{1, 3})
		if n := len(err.(fulcrum.KeyErrors[int])); n != 2 {
			t.Errorf("GetMany: %v", err)
		}
		if len(hooked) != 4 || hooked[0] != (fulcrum.ShedInfo{Reader: "users", Reason: fulcrum.ShedWaiters}) {
			t.Errorf("hooks: %v", hooked)
		}
		if refused := r.Stats().Classes["normal"].Refused; refused[fulcrum.ShedQueueFull] != 2 || refused[fulcrum.ShedWaiters] != 2 {
			t.Errorf("counted: %v", refused)
		}
	})
}

func TestADeadlineThatCannotBeKeptIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch})
		for i := range 40 {
			mustGet(t, r, t.Context(), i)
			time.Sleep(2 * time.Millisecond) // a probe is due every 100 ms
		}
		hurried := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
			defer cancel()
			_, err := r.Get(ctx, 1)
			return err
		}
		if err := hurried(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody is there, so it costs nobody anything: %v", err)
		}
		defer background(func() { mustGet(t, r, t.Context(), 50) })()
		synctest.Wait()
		if err := hurried(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the probe: %v", err)
		}
		var shed *fulcrum.ShedError
		start := time.Now()
		if err := hurried(); !errors.As(err, &shed) || shed.Reason != fulcrum.ShedUnreachable {
			t.Errorf("a query takes 1 ms, 0.1 ms are left: %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("refused after %s", took)
		}
	})
}

func TestThroughputModeHoldsSmallBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reasons []string
		r := newReader(t, fulcrum.ReaderConfig[int, string]{
			Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error { return pause(ctx, 10*time.Millisecond) },
			Hooks: &fulcrum.Hooks{OnBatch: func(b fulcrum.BatchInfo) {
				mu.Lock()
				defer mu.Unlock()
				reasons = append(reasons, fmt.Sprintf("%s %d %s", b.Reason, b.Keys, b.Queued))
			}},
			Policy: fulcrum.Policy{Mode: fulcrum.ModeThroughput, InFlight: 2, Linger: 3 * time.Millisecond},
		})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { _, _ = r.Get(t.Context(), i) })
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		synctest.Wait() // for the hooks
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"idle 1 0s", "held 3 3ms"}; !slices.Equal(reasons, want) {
			t.Errorf("batches: %v, want %v", reasons, want)
		}
	})
}

func TestUrgentPassesASaturatedBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1, Reserved: 1, MaxBatch: 1}})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { mustGet(t, r, t.Context(), i) })
		}
		synctest.Wait()
		start := time.Now()
		mustGet(t, r, t.Context(), 99, fulcrum.Urgent)
		if took, want := time.Since(start), 1010*time.Microsecond; took != want {
			t.Errorf("urgent took %s, want exactly the query's %s", took, want)
		}
		wg.Wait()
	})
}

func TestTraceTellsHowAGetWasServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1}})
		traces := make([]fulcrum.Trace, 3)
		together(3, func(i int) {
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			mustGet(t, r, t.Context(), i, fulcrum.Traced(&traces[i]))
		})
		want := []fulcrum.Trace{
			{Reason: "idle", Keys: 1, Service: 1010 * time.Microsecond},
			{Reason: "slot", Keys: 2, Queued: 910 * time.Microsecond, Service: 1020 * time.Microsecond},
			{Reason: "slot", Keys: 2, Queued: 810 * time.Microsecond, Service: 1020 * time.Microsecond},
		}
		if !slices.Equal(traces, want) {
			t.Errorf("got  %+v\nwant %+v", traces, want)
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1}})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { mustGet(t, r, t.Context(), i) })
		}
		synctest.Wait()
		if err := r.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if s := r.Stats(); s.Answered != 10 || s.Queued+s.InFlight != 0 {
			t.Errorf("after draining: %+v", s)
		}
		wg.Wait()
		if _, err := r.Get(t.Context(), 1); !errors.Is(err, fulcrum.ErrClosed) {
			t.Errorf("Get afterwards: %v", err)
		}
		if err := r.Forget(t.Context(), 1); !errors.Is(err, fulcrum.ErrClosed) {
			t.Errorf("Forget afterwards: %v", err)
		}
	})
}

func TestShutdownThatMayNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1}})
		closed, answered := 0, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := r.Get(t.Context(), i)
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, fulcrum.ErrClosed) {
					closed++
				} else if err == nil {
					answered++
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		defer cancel()
		err := r.Shutdown(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "9 queued keys got ErrClosed") {
			t.Errorf("Shutdown: %v", err)
		}
		wg.Wait()
		if closed != 9 || answered != 1 {
			t.Errorf("closed %d answered %d, want 9 and the one in flight", closed, answered)
		}
	})
}

func TestPolicyIsSwappedWhileRequestsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1, MaxBatch: 2}})
		var wg sync.WaitGroup
		for i := range 9 {
			wg.Go(func() { mustGet(t, r, t.Context(), i) })
		}
		synctest.Wait()
		if err := r.SetPolicy(fulcrum.Policy{InFlight: -3}); err == nil || r.Policy().InFlight != 1 {
			t.Errorf("a wrong policy: %v, in force: %+v", err, r.Policy())
		}
		if err := r.SetPolicy(fulcrum.Policy{InFlight: 2, MaxBatch: 100}); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if asked := b.asked(); len(asked) != 2 || len(asked[1]) != 8 {
			t.Errorf("queries: %v, want the second slot to take all that waited", asked)
		}
	})
}

func TestKeysThatCannotBeLookedUp(t *testing.T) {
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[any, int]{
		Fetch: fulcrum.FetchMap(func(context.Context, []any) (map[any]int, error) { return map[any]int{"a": 1}, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), nan()); err == nil || !strings.Contains(err.Error(), "not equal to itself") {
		t.Errorf("NaN: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a slice as a key did not panic")
			}
		}()
		_, _ = r.Get(t.Context(), []int{1})
	}()
	if v, err := r.Get(t.Context(), "a"); v != 1 || err != nil {
		t.Errorf("the reader is no longer usable: %v, %v", v, err)
	}
}

func nan() float64 { zero := 0.0; return zero / zero }
