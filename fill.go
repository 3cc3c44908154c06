package fulcrum

import "sync"

// keyIn is a key in a scope.
type keyIn[K comparable] struct {
	scope string
	key   K
}

// fill is one question to the backend whose answer goes into the cache, and to all who
// came for it meanwhile. Waiting for a query in flight loses no write: who comes after a
// write has another lease, and begins a fill of its own.
type fill[K comparable, V any] struct {
	at      keyIn[K]
	lease   Lease
	class   Class
	waiters int // guarded by fills.mu

	done  chan struct{} // closed when what follows is there; made for the first who waits, guarded by fills.mu
	value V
	err   error
	trace Trace
}

// fills are those under way.
type fills[K comparable, V any] struct {
	mu  sync.Mutex
	all map[keyIn[K]]*fill[K, V]
}

// join finds the fill to wait for, or begins one, which the caller then leads. It is nil
// for who must ask by itself: because a write is under way, because the fill that is there
// is less urgent or may be too old, or because too many wait for it.
func (fs *fills[K, V]) join(at keyIn[K], lease Lease, req request, maxWaiters int) (f *fill[K, V], leads bool) {
	if lease.None() {
		return nil, false
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.all[at]; f != nil && f.lease.Same(lease) {
		if lanes[f.class] > lanes[req.class] || f.waiters >= maxWaiters || req.maxAge > 0 && lease.At-f.lease.At > req.maxAge {
			return nil, false
		}
		if f.waiters++; f.done == nil {
			f.done = make(chan struct{})
		}
		return f, false
	}
	f = &fill[K, V]{at: at, lease: lease, class: req.class}
	if fs.all == nil {
		fs.all = make(map[keyIn[K]]*fill[K, V])
	}
	fs.all[at] = f
	return f, true
}

// end lets all go who wait for a fill.
func (fs *fills[K, V]) end(f *fill[K, V]) {
	fs.mu.Lock()
	if fs.all[f.at] == f {
		delete(fs.all, f.at)
	}
	done := f.done
	fs.mu.Unlock()
	if done != nil { // nobody comes any more
		close(done)
	}
}
