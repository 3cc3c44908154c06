package fulcrum

import (
	"context"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// submitChunk is how many keys GetMany hands over under one lock, so that a large
// call does not hold up the small ones.
const submitChunk = 256

// GetMany returns the values of many keys, sharing queries with others who ask at
// the same time. Keys that were not found are missing from the map; repeated keys
// count once. The error is a KeyErrors[K] with each failed key's own error, or nil;
// what was found is returned with it. If ctx ends, the keys that are still out get
// its error. Keys beyond Policy.MaxQueued at once are shed. There is no snapshot:
// the keys may be read by several queries.
func (r *Reader[K, V]) GetMany(ctx context.Context, keys []K, opts ...Option) (map[K]V, error) {
	req := requestFrom(ctx)
	req.apply(opts)
	ask := r.getMany
	if r.cfg.Cache != nil {
		ask = r.cachedMany
	}
	values, failed := ask(ctx, keys, req)
	if len(failed) > 0 {
		return values, failed
	}
	return values, nil
}

// getMany asks the backend.
func (r *Reader[K, V]) getMany(ctx context.Context, keys []K, req request) (map[K]V, KeyErrors[K]) {
	if err := r.vet(ctx, req); err != nil {
		failed := make(KeyErrors[K], len(keys))
		for _, k := range keys {
			failed[k] = err
		}
		return nil, failed
	}
	m := &many[K, V]{reader: r, req: req, failed: KeyErrors[K]{}}
	m.add(ctx, keys)
	if b := r.cfg.Backend; b != nil {
		if err := b.admit(r.now()); err != nil {
			return nil, m.refused(err)
		}
	}
	m.submit(ctx)
	m.await(ctx)
	return m.collect()
}

// refused gives all keys the same error.
func (m *many[K, V]) refused(err error) KeyErrors[K] {
	for _, k := range m.keys {
		m.failed[k] = m.reader.turnedAway(err, m.req.class)
	}
	return m.failed
}

// many is one GetMany on its way.
type many[K comparable, V any] struct {
	reader *Reader[K, V]
	req    request
	keys   []K
	calls  []call[K, V]
	group  group
	failed KeyErrors[K]
}

// add prepares a call for each distinct key that can be asked for at all.
func (m *many[K, V]) add(ctx context.Context, keys []K) {
	seen := make(map[K]struct{}, len(keys))
	m.keys = make([]K, 0, len(keys))
	for _, k := range keys {
		if err := admissible(ctx, k, m.req); err != nil {
			m.failed[k] = err
			continue
		}
		if _, twice := seen[k]; !twice {
			seen[k] = struct{}{}
			m.keys = append(m.keys, k)
		}
	}
	m.prepare(ctx)
}

// prepare makes a call for each of m.keys.
func (m *many[K, V]) prepare(ctx context.Context) {
	m.calls = make([]call[K, V], len(m.keys))
	m.group.ready = make(chan struct{}, 1)
	m.group.left.Store(int64(len(m.keys)) + 1) // one for submit itself
	deadline, need := m.reader.deadline(ctx), m.reader.needOf(m.req)
	for i := range m.calls {
		c := &m.calls[i]
		c.Payload, c.group = c, &m.group
		c.Class, c.Deadline = lanes[m.req.class], deadline
		c.need = need
		c.Together = len(m.calls) > 1
	}
}

// submit hands the calls over and starts who takes them. It leads only if all keys
// go over at once: others would wait for the rest to be handed over.
func (m *many[K, V]) submit(ctx context.Context) {
	r := m.reader
	mayLead := ctx.Done() == nil && len(m.keys) <= submitChunk
	var leads *call[K, V]
	for from := 0; from < len(m.keys); from += submitChunk {
		for i, v := range m.submitChunk(from, min(from+submitChunk, len(m.keys))) {
			switch v.Action {
			case dispatch.Refuse:
				c := &m.calls[from+i]
				c.refused, c.reason = true, v.Reason
				m.group.done()
			case dispatch.Run:
				go r.run(v.Batch, leave)
			case dispatch.Lead:
				if mayLead {
					leads = &m.calls[from+i]
				} else {
					go r.loop()
				}
			}
		}
	}
	if leads != nil {
		r.lead(leads)
	}
	m.group.done()
}

func (m *many[K, V]) submitChunk(from, to int) []dispatch.Verdict[K, *call[K, V]] {
	r := m.reader
	verdicts := make([]dispatch.Verdict[K, *call[K, V]], to-from)
	now := r.now()
	r.lock()
	defer r.unlock(now)
	for i := from; i < to; i++ {
		v := r.dispatch.Submit(now, m.req.scope, m.keys[i], &m.calls[i].Waiter)
		r.note(v)
		verdicts[i-from] = v
	}
	return verdicts
}

// await waits until every call is answered; if the caller's context ends first,
// it takes back those that are still out.
func (m *many[K, V]) await(ctx context.Context) {
	select {
	case <-m.group.ready:
		return
	case <-ctx.Done():
	}
	for i := range m.calls {
		if m.calls[i].refused {
			continue
		}
		cancelled, inFlight := m.reader.cancel(&m.calls[i])
		if !cancelled {
			continue
		}
		m.calls[i].left = inFlight
		m.failed[m.keys[i]] = ctx.Err()
		m.group.done()
	}
	<-m.group.ready // the rest is settled: its answers are on their way
}

// collect sorts the answers into values and errors.
func (m *many[K, V]) collect() (map[K]V, KeyErrors[K]) {
	values := make(map[K]V, len(m.keys))
	for i, k := range m.keys {
		if _, out := m.failed[k]; out {
			continue
		}
		value, err := m.reader.answer(&m.calls[i])
		switch {
		case err == nil:
			values[k] = value
		case !isNotFound(err):
			m.failed[k] = err
		}
	}
	return values, m.failed
}
