package fulcrum

import "context"

// Batch is what Fetch gets: the keys of one query, and where their answers go. A
// key that is neither Set nor Failed when Fetch returns nil was not found. It is
// for one goroutine at a time and must not be used after Fetch has returned.
type Batch[K comparable, V any] struct {
	keys    []K
	out     []outcome[V]
	class   Class
	cursor  int       // where the next answer is expected: backends answer in order
	indices map[K]int // made only when they do not
}

type outcome[V any] struct {
	value V
	err   error
	set   bool
}

// Keys are the keys to fetch: at least one, each once. The slice is the batch's
// own and must not be changed.
func (b *Batch[K, V]) Keys() []K { return b.keys }

// Len is the number of keys.
func (b *Batch[K, V]) Len() int { return len(b.keys) }

// Class is that of the most urgent of its callers, or was when they queued.
func (b *Batch[K, V]) Class() Class { return b.class }

// Set answers a key. It reports false, and does nothing, if the key was not asked
// for. The last answer to a key wins.
func (b *Batch[K, V]) Set(key K, value V) bool {
	i, ok := b.find(key)
	if ok {
		b.SetAt(i, value)
	}
	return ok
}

// SetAt answers Keys()[i]. A backend that says which requested key a row belongs
// to by its position uses this: comparing values hands out wrong rows where the
// database compares otherwise (collations, padding).
func (b *Batch[K, V]) SetAt(i int, value V) { b.out[i] = outcome[V]{value: value, set: true} }

// Fail gives a key its own error; its neighbours are not touched. It reports
// false if the key was not asked for.
func (b *Batch[K, V]) Fail(key K, err error) bool {
	i, ok := b.find(key)
	if ok {
		b.FailAt(i, err)
	}
	return ok
}

// FailAt gives Keys()[i] its own error. A nil error means not found.
func (b *Batch[K, V]) FailAt(i int, err error) {
	if err == nil {
		err = ErrNotFound
	}
	b.out[i] = outcome[V]{err: err}
}

// find is the position of a key. Answers mostly come in the order of the keys, so
// the map is made only when one does not.
func (b *Batch[K, V]) find(key K) (int, bool) {
	if b.indices == nil {
		for i := b.cursor; i < len(b.keys); i++ {
			if b.keys[i] == key {
				b.cursor = i + 1
				return i, true
			}
		}
		b.makeIndices()
	}
	i, ok := b.indices[key]
	return i, ok
}

func (b *Batch[K, V]) makeIndices() {
	b.indices = make(map[K]int, len(b.keys))
	for i, k := range b.keys {
		b.indices[k] = i
	}
}

// part is a batch of some of the keys, answering into the same places.
func (b *Batch[K, V]) part(from, to int) *Batch[K, V] {
	return &Batch[K, V]{keys: b.keys[from:to:to], out: b.out[from:to:to], class: b.class}
}

// Only is a batch of the keys at some places of this one, with answers of its own: for a
// Fetch that has some from elsewhere.
func (b *Batch[K, V]) Only(at []int) *Batch[K, V] {
	only := &Batch[K, V]{keys: make([]K, len(at)), out: make([]outcome[V], len(at)), class: b.class}
	for i, j := range at {
		only.keys[i] = b.keys[j]
	}
	return only
}

// Answer is what was said of Keys()[i] so far; ErrNotFound if nothing was.
func (b *Batch[K, V]) Answer(i int) (V, error) { return b.result(i) }

// reset forgets all answers.
func (b *Batch[K, V]) reset() {
	clear(b.out)
	b.cursor = 0
}

// fail gives every key the same error.
func (b *Batch[K, V]) fail(err error) {
	for i := range b.out {
		b.out[i] = outcome[V]{err: err}
	}
}

// result is the answer to the i-th key as its callers get it.
func (b *Batch[K, V]) result(i int) (V, error) {
	o := &b.out[i]
	if o.err == nil && !o.set {
		return o.value, ErrNotFound
	}
	return o.value, o.err
}

// FetchMap adapts a function from keys to a map to what Reader wants. Keys that
// are missing from the map were not found; an error fails the whole batch.
func FetchMap[K comparable, V any](load func(ctx context.Context, keys []K) (map[K]V, error)) func(context.Context, *Batch[K, V]) error {
	return func(ctx context.Context, b *Batch[K, V]) error {
		found, err := load(ctx, b.Keys())
		if err != nil {
			return err
		}
		for i, k := range b.keys {
			if v, ok := found[k]; ok {
				b.SetAt(i, v)
			}
		}
		return nil
	}
}
