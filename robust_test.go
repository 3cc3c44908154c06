package fulcrum_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// What user code does wrong must not stop the reader: each test here breaks a hook,
// a value or an error and then asks for a key.

func TestAHookThatPanicsBreaksNoPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		var once sync.Once
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1},
			Hooks: &fulcrum.Hooks{OnBatch: func(fulcrum.BatchInfo) { once.Do(func() { panic("hook") }) }}})
		defer background(func() {
			defer func() {
				if recover() == nil {
					t.Error("the hook's panic did not reach the caller it ran on")
				}
			}()
			_, _ = r.Get(context.Background(), 1) // runs on this goroutine, as in a handler of net/http
		})()
		synctest.Wait()
		mustGet(t, r, t.Context(), 2) // queued behind it
	})
}

func TestAHookMayUseTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		var r *fulcrum.Reader[int, string]
		var once sync.Once
		done := make(chan struct{})
		r = newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{InFlight: 1},
			Hooks: &fulcrum.Hooks{OnBatch: func(fulcrum.BatchInfo) {
				once.Do(func() {
					mustGet(t, r, t.Context(), 3)
					close(done)
				})
			}}})
		defer background(func() { mustGet(t, r, t.Context(), 1) })()
		synctest.Wait()
		mustGet(t, r, t.Context(), 2)
		<-done
	})
}

func TestAPanicInOnShedLosesNothing(t *testing.T) {
	b := &backend{}
	r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch, Policy: fulcrum.Policy{MaxQueued: 2},
		Hooks: &fulcrum.Hooks{OnShed: func(fulcrum.ShedInfo) { panic("hook") }}})
	func() {
		defer func() { _ = recover() }()
		_, _ = r.GetMany(t.Context(), []int{1, 2, 3, 4})
	}()
	mustGet(t, r, t.Context(), 5)
}

func TestShutdownWaitsForHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		var returned atomic.Bool
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: b.fetch,
			Hooks: &fulcrum.Hooks{OnBatch: func(fulcrum.BatchInfo) { time.Sleep(time.Second); returned.Store(true) }}})
		defer background(func() { mustGet(t, r, t.Context(), 1) })()
		synctest.Wait()
		if err := r.Shutdown(t.Context()); err != nil || !returned.Load() {
			t.Errorf("Shutdown: %v, the hook has returned: %t", err, returned.Load())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Shutdown(ended); err != nil {
			t.Errorf("Shutdown of what is drained: %v", err)
		}
	})
}

// oddError is an error that cannot be looked into.
type oddError struct{ inner error }

func (e *oddError) Error() string { return "odd" }
func (e *oddError) Unwrap() error { return e.inner }

func TestAnErrorThatPanicsIsAnError(t *testing.T) {
	r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: func(_ context.Context, b *fulcrum.Batch[int, string]) error {
		if b.Keys()[0] == 1 {
			b.FailAt(0, (*oddError)(nil))
			return nil
		}
		return (*oddError)(nil)
	}})
	for key := range 2 {
		if _, err := r.Get(t.Context(), key); err == nil {
			t.Errorf("key %d: no error", key)
		}
	}
	if s := r.Stats(); s.Failed != 2 {
		t.Errorf("failed: %d, want 2", s.Failed)
	}
}

// Keys that come together share a query even where single ones have their own.
func TestGetManySharesFromTheStart(t *testing.T) {
	var ones, fetches int
	r := newReader(t, fulcrum.ReaderConfig[int, string]{
		Fetch: func(_ context.Context, b *fulcrum.Batch[int, string]) error { fetches++; return nil },
		One:   func(context.Context, int) (string, error) { ones++; return "", nil },
	})
	if _, err := r.GetMany(context.Background(), []int{1, 2, 3, 4}); err != nil || fetches != 1 || ones != 0 {
		t.Errorf("%v; %d calls of Fetch, %d of One, want 1 and 0", err, fetches, ones)
	}
}

// A request made inside Fetch is in the scope of its batch, and of no class but its own.
func TestARequestInsideFetchHasItsOwnClass(t *testing.T) {
	var seen fulcrum.Class
	inner := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
		seen = b.Class()
		b.SetAt(0, fulcrum.ScopeFrom(ctx))
		return nil
	}})
	outer := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
		v, err := inner.Get(ctx, 1)
		b.SetAt(0, v)
		return err
	}})
	v, err := outer.Get(fulcrum.WithScope(t.Context(), "red"), 1, fulcrum.Urgent)
	if err != nil || v != "red" || seen != fulcrum.ClassNormal {
		t.Errorf("got %q, %v, class %s", v, err, seen)
	}
}

func TestTheStatisticsOfADividedBatch(t *testing.T) {
	var calls int
	var info fulcrum.BatchInfo
	r := newReader(t, fulcrum.ReaderConfig[int, string]{
		Hooks: &fulcrum.Hooks{OnBatch: func(b fulcrum.BatchInfo) { info = b }},
		Fetch: func(_ context.Context, b *fulcrum.Batch[int, string]) error {
			calls++
			for _, k := range b.Keys() {
				if k == 3 {
					return fulcrum.Divisible(errUnlucky)
				}
			}
			return nil
		}})
	keys := make([]int, 100)
	for i := range keys {
		keys[i] = i
	}
	_, err := r.GetMany(context.Background(), keys)
	s := r.Stats()
	if n := len(err.(fulcrum.KeyErrors[int])); n != 1 || !errors.Is(err, errUnlucky) {
		t.Errorf("%d keys failed: %v", n, err)
	}
	if info.Err != nil || info.Calls != calls || s.Batches != 1 || s.Queries != uint64(calls) || s.Classes["normal"].FailedBatches != 0 {
		t.Errorf("%d calls; hook %+v; statistics %+v", calls, info, s)
	}
}

// A query that always panics is not asked again and again.
func TestHalvingIsBounded(t *testing.T) {
	calls := 0
	r := newReader(t, fulcrum.ReaderConfig[int, string]{
		Fetch: func(context.Context, *fulcrum.Batch[int, string]) error { calls++; panic(errUnlucky) }})
	keys := make([]int, 200)
	for i := range keys {
		keys[i] = i
	}
	_, err := r.GetMany(context.Background(), keys)
	if n := len(err.(fulcrum.KeyErrors[int])); n != 200 || calls > 80 {
		t.Errorf("%d keys failed in %d calls", n, calls)
	}
}

// A goroutine that leads runs its own batch only: another tenant's slow query must
// not hold up a caller whose answer is there.
func TestALeaderRunsItsOwnBatchOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Policy: fulcrum.Policy{InFlight: 64},
			Fetch: func(ctx context.Context, b *fulcrum.Batch[int, string]) error {
				if fulcrum.ScopeFrom(ctx) == "slow" {
					time.Sleep(time.Second)
				}
				return nil
			}})
		defer background(func() { _, _ = r.Get(fulcrum.WithScope(context.Background(), "slow"), 0) })()
		synctest.Wait()
		var wg sync.WaitGroup
		defer wg.Wait()
		start := time.Now()
		for i := range 20 { // whoever leads, it takes whose turn it is
			wg.Go(func() {
				if i%2 == 0 {
					_, _ = r.Get(fulcrum.WithScope(context.Background(), "slow"), i)
					return
				}
				_, _ = r.Get(context.Background(), i, fulcrum.Bulk)
				if took := time.Since(start); took > 0 {
					t.Errorf("a quick caller was held up for %s", took)
				}
			})
		}
	})
}

// Calls of GetMany that met in one batch must not keep each other's values alive.
func TestNobodyKeepsOthersValues(t *testing.T) {
	b := &backend{}
	gone := make(chan struct{})
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, *[1 << 16]byte]{Policy: fulcrum.Policy{InFlight: 1},
		Fetch: func(ctx context.Context, batch *fulcrum.Batch[int, *[1 << 16]byte]) error {
			b.note(batch.Keys(), "")
			for i, k := range batch.Keys() {
				v := new([1 << 16]byte)
				if k == 1 {
					runtime.SetFinalizer(v, func(*[1 << 16]byte) { close(gone) })
				}
				batch.SetAt(i, v)
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.GetMany(t.Context(), []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := r.GetMany(t.Context(), []int{3, 4}); err != nil { // only the last batch may still be there
			t.Fatal(err)
		}
		runtime.GC()
		select {
		case <-gone:
			runtime.KeepAlive(r)
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("a value that nobody has is still there")
		}
	}
}
