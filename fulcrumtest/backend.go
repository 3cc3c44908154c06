package fulcrumtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// BackendConfig says how a Backend answers and how long it takes: a call for n
// keys takes Base + n·PerKey.
type BackendConfig[K comparable, V any] struct {
	// Base is what any call takes. Default 0.
	Base time.Duration
	// PerKey is what each key adds. Default 0.
	PerKey time.Duration
	// Answer is the value of a key; fulcrum.ErrNotFound means it is not there, any
	// other error fails this key alone. It must be safe for concurrent calls.
	// Default: every key is there, with V's zero value.
	Answer func(K) (V, error)
}

// Backend is a fake database: its Fetch and One fit fulcrum.ReaderConfig. It is
// safe for concurrent use.
type Backend[K comparable, V any] struct {
	cfg BackendConfig[K, V]

	mu       sync.Mutex
	err      error
	gate     chan struct{} // closed when not paused
	calls    [][]K
	inFlight int
	peak     int
}

// NewBackend makes a Backend that is not paused and does not fail.
func NewBackend[K comparable, V any](cfg BackendConfig[K, V]) *Backend[K, V] {
	b := &Backend[K, V]{cfg: cfg, gate: make(chan struct{})}
	close(b.gate)
	return b
}

// Fetch answers a batch after its service time, or ends with its context.
func (b *Backend[K, V]) Fetch(ctx context.Context, batch *fulcrum.Batch[K, V]) error {
	if err := b.serve(ctx, batch.Keys()); err != nil {
		return err
	}
	for i, key := range batch.Keys() {
		value, err := b.answer(key)
		switch {
		case err == nil:
			batch.SetAt(i, value)
		case !errors.Is(err, fulcrum.ErrNotFound):
			batch.FailAt(i, err)
		}
	}
	return nil
}

// One answers one key after its service time, or ends with its context.
func (b *Backend[K, V]) One(ctx context.Context, key K) (V, error) {
	if err := b.serve(ctx, []K{key}); err != nil {
		var zero V
		return zero, err
	}
	return b.answer(key)
}

// SetError fails every call that ends from now on, after its service time; nil
// ends that.
func (b *Backend[K, V]) SetError(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// Pause holds every call back, those in flight included, until Resume.
func (b *Backend[K, V]) Pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if isClosed(b.gate) {
		b.gate = make(chan struct{})
	}
}

// Resume ends a Pause.
func (b *Backend[K, V]) Resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !isClosed(b.gate) {
		close(b.gate)
	}
}

// Queries is how many calls have begun.
func (b *Backend[K, V]) Queries() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

// Batches are the keys of each call, in the order in which they began.
func (b *Backend[K, V]) Batches() [][]K {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// Peak is the most calls that were in flight at once.
func (b *Backend[K, V]) Peak() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peak
}

func (b *Backend[K, V]) answer(key K) (V, error) {
	if b.cfg.Answer == nil {
		var zero V
		return zero, nil
	}
	return b.cfg.Answer(key)
}

// serve records a call and takes its time.
func (b *Backend[K, V]) serve(ctx context.Context, keys []K) error {
	b.begin(keys)
	defer b.end()
	if err := wait(ctx, b.cfg.Base+time.Duration(len(keys))*b.cfg.PerKey); err != nil {
		return err
	}
	b.mu.Lock()
	gate := b.gate
	b.mu.Unlock()
	select {
	case <-gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *Backend[K, V]) begin(keys []K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, slices.Clone(keys))
	b.inFlight++
	b.peak = max(b.peak, b.inFlight)
}

func (b *Backend[K, V]) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
