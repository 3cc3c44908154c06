package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// keyKind says what becomes of a key in the test below.
func keyKind(key int) string {
	switch {
	case key%97 == 13:
		return "panics"
	case key%11 == 3:
		return "fails"
	case key%7 == 2:
		return "absent"
	}
	return "present"
}

var errOfKey = errors.New("this key's own error")

// troubled is a backend in which some keys fail, some are absent and some make
// the query panic. It remembers queries that mixed scopes.
type troubled struct{ mixed atomic.Int64 }

func (tb *troubled) fetch(ctx context.Context, b *fulcrum.Batch[int, string]) error {
	scope := fulcrum.ScopeFrom(ctx)
	for range rand.IntN(4) {
		runtime.Gosched()
	}
	for _, k := range b.Keys() {
		if scopeOfKey(k) != scope {
			tb.mixed.Add(1)
		}
		switch keyKind(k) {
		case "panics":
			panic(fmt.Errorf("%w: %d", errUnlucky, k))
		case "fails":
			b.Fail(k, fmt.Errorf("%w: %d", errOfKey, k))
		case "present":
			b.Set(k, value(scope, k))
		}
	}
	return ctx.Err()
}

func scopeOfKey(key int) string { return [...]string{"", "red", "blue"}[key%3] }

// TestEveryCallerGetsItsOwn is what users rely on: many goroutines, in several
// scopes and classes, some of which leave early, some with keys that fail or
// panic; the policy changes meanwhile and at last the reader shuts down. Every
// caller gets its own key's value or its own error.
func TestEveryCallerGetsItsOwn(t *testing.T) {
	for _, withOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("One=%t", withOne), func(t *testing.T) { everyCaller(t, withOne, nil) })
	}
	t.Run("sharing a backend", func(t *testing.T) {
		b, err := fulcrum.NewBackend(fulcrum.BackendConfig{MaxInFlight: 3, Reserved: 1})
		if err != nil {
			t.Fatal(err)
		}
		other := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: new(troubled).fetch, Backend: b, Policy: fulcrum.Policy{MaxQueueTime: -1}})
		others := background(func() {
			together(16, func(seed int) {
				rng := rand.New(rand.NewPCG(uint64(seed), 2))
				for range 400 {
					_ = ask(t, other, rng)
				}
			})
		})
		everyCaller(t, true, b)
		others()
		if s := b.Stats(); s.Shared != 0 || s.Urgent != 0 {
			t.Errorf("slots are left taken: %+v", s)
		}
	})
}

func everyCaller(t *testing.T, withOne bool, b *fulcrum.Backend) {
	tb := &troubled{}
	cfg := fulcrum.ReaderConfig[int, string]{Fetch: tb.fetch, Policy: fulcrum.Policy{InFlight: 2, MaxBatch: 20, MaxQueueTime: -1}, Backend: b}
	if withOne {
		cfg.One = oneOf(tb)
	}
	r := newReader(t, cfg)
	stop := make(chan struct{})
	watched := background(func() { watch(t, r, stop) })
	var closed atomic.Int64
	workers := background(func() {
		together(64, func(seed int) {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			for range 400 {
				if errors.Is(ask(t, r, rng), fulcrum.ErrClosed) {
					closed.Add(1)
				}
			}
		})
	})
	// The last part of the work meets a reader that is shutting down.
	for r.Stats().Admitted < 18_000 {
		runtime.Gosched()
	}
	if err := r.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	s := r.Stats()
	workers()
	close(stop)
	watched()
	if s.Queued+s.InFlight != 0 || s.Admitted != s.Answered+s.Failed+s.Cancelled {
		t.Errorf("after Shutdown: %+v", s)
	}
	if closed.Load() == 0 || s.Cancelled == 0 || s.Failed == 0 {
		t.Errorf("the test did not meet what it is for: closed %d, %+v", closed.Load(), s)
	}
	if n := tb.mixed.Load(); n > 0 {
		t.Errorf("%d keys were fetched in another scope than their callers'", n)
	}
}

func oneOf(tb *troubled) func(context.Context, int) (string, error) {
	return func(ctx context.Context, key int) (string, error) {
		if scopeOfKey(key) != fulcrum.ScopeFrom(ctx) {
			tb.mixed.Add(1)
		}
		switch keyKind(key) {
		case "panics":
			panic(fmt.Errorf("%w: %d", errUnlucky, key))
		case "fails":
			return "", fmt.Errorf("%w: %d", errOfKey, key)
		case "absent":
			return "", fulcrum.ErrNotFound
		}
		return value(fulcrum.ScopeFrom(ctx), key), nil
	}
}

// watch reads statistics and swaps policies until stop is closed.
func watch(t *testing.T, r *fulcrum.Reader[int, string], stop chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		s := r.Stats()
		if s.Admitted != s.Answered+s.Failed+s.Cancelled+uint64(s.Queued)+uint64(s.InFlight) {
			t.Errorf("the books do not balance: %+v", s)
		}
		mode := []fulcrum.Mode{fulcrum.ModeLatency, fulcrum.ModeThroughput}[i%2]
		if err := r.SetPolicy(fulcrum.Policy{InFlight: 1 + i%3, MaxBatch: 1 + i%40, Mode: mode, MaxQueueTime: -1}); err != nil {
			t.Error(err)
		}
		runtime.Gosched()
	}
}

// ask makes one random request and checks its answer.
func ask(t *testing.T, r *fulcrum.Reader[int, string], rng *rand.Rand) error {
	key := rng.IntN(300)
	ctx := fulcrum.WithScope(context.Background(), scopeOfKey(key))
	impatient := rng.IntN(4) == 0
	if impatient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(200))*time.Microsecond)
		defer cancel()
	} else if rng.IntN(2) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	class := []fulcrum.Option{fulcrum.Normal, fulcrum.Normal, fulcrum.Urgent, fulcrum.Bulk}[rng.IntN(4)]
	if rng.IntN(10) == 0 {
		return askMany(t, r, ctx, key, class, impatient)
	}
	v, err := r.Get(ctx, key, class)
	return judge(t, key, v, err, impatient)
}

func askMany(t *testing.T, r *fulcrum.Reader[int, string], ctx context.Context, key int, class fulcrum.Option, impatient bool) error {
	keys := []int{key, key + 300, key + 600, key + 900, key}
	got, err := r.GetMany(ctx, keys, class)
	failed, _ := err.(fulcrum.KeyErrors[int])
	for _, k := range keys {
		v, found := got[k]
		e := failed[k]
		if !found && e == nil {
			e = fulcrum.ErrNotFound
		}
		if err := judge(t, k, v, e, impatient); errors.Is(err, fulcrum.ErrClosed) {
			return err
		}
	}
	return nil
}

// judge says whether an answer is right for its key.
func judge(t *testing.T, key int, v string, err error, impatient bool) error {
	var shed *fulcrum.ShedError
	if errors.Is(err, fulcrum.ErrClosed) ||
		impatient && (errors.Is(err, context.DeadlineExceeded) || errors.As(err, &shed) && shed.Reason == fulcrum.ShedUnreachable) {
		return err
	}
	ok := false
	switch keyKind(key) {
	case "present":
		ok = err == nil && v == value(scopeOfKey(key), key)
	case "absent":
		ok = errors.Is(err, fulcrum.ErrNotFound)
	case "fails":
		ok = errors.Is(err, errOfKey) && err.Error() == fmt.Sprintf("%v: %d", errOfKey, key)
	case "panics":
		var p *fulcrum.PanicError
		ok = errors.As(err, &p) && p.Value.(error).Error() == fmt.Sprintf("%v: %d", errUnlucky, key)
	}
	if !ok {
		t.Errorf("key %d (%s) got %q, %v", key, keyKind(key), v, err)
	}
	return err
}

// Goroutines and timers of a reader end with its work.
func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		tb := &troubled{}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: tb.fetch})
		var wg sync.WaitGroup
		for i := range 100 {
			ctx, cancel := context.WithCancel(fulcrum.WithScope(context.Background(), scopeOfKey(i)))
			wg.Go(func() { _, _ = r.Get(ctx, i); cancel() })
		}
		wg.Wait()
		if err := r.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}
