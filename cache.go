package fulcrum

import "time"

// Cache keeps answers in front of a Reader's queries. Package cache has one. It may be
// shared by several Readers of the same rows, and is safe for concurrent use.
//
// It never tells a value that a write has made old: of each key it knows a generation,
// which moves before and after every write that it is told of (WriterConfig.Invalidate),
// and what it keeps is of the generation that held before its query began. Of writes that
// it is not told of it knows nothing: age alone bounds what they leave behind.
type Cache[K comparable, V any] interface {
	// Get returns what is kept of a key in a scope, if that may be told to somebody with
	// these demands.
	Get(scope string, key K, d Demand) (Kept[V], bool)
	// Lease is asked for before the backend is: what the backend says is Put under it.
	Lease(key K) Lease
	// Put keeps what the backend said of a key, unless a write came between. An answer that
	// was not found is kept as such.
	Put(scope string, key K, l Lease, value V, found bool)
	// Forget drops the keys, in all scopes: nothing that was asked for before is kept.
	Forget(keys ...K)
}

// Demand is how old an answer of a Cache may be.
type Demand struct {
	MaxAge   time.Duration // at most this; 0: as old as the cache allows
	Degraded bool          // the backend is not asked at the moment, so that stale is better than nothing
	Again    bool          // for a request that was told before that nothing is kept
}

// Kept is an answer of a Cache.
type Kept[V any] struct {
	Value   V             // zero if Missing
	Age     time.Duration // since just before the backend was asked
	Missing bool          // the backend had nothing: ErrNotFound
	Stale   bool          // older than the cache's time to live
	Refresh bool          // whoever gets this should ask the backend; nobody else is told so for a while
}

// Lease is what is known of a key before the backend is asked. One of generation 0 keeps
// nothing: somebody is writing.
type Lease struct {
	Generation uint64        // of the key; 0 while somebody writes
	All        uint64        // generation of all keys together
	At         time.Duration // when it was given, by the cache's clock
	Recent     bool          // the key was written lately: a replica may not have it yet
}

// None says that nothing can be kept under the lease.
func (l Lease) None() bool { return l.Generation == 0 }

// Same says that no write came between the leases.
func (l Lease) Same(other Lease) bool {
	return l.Generation == other.Generation && l.All == other.All
}
