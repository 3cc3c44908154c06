package fulcrum

import (
	"context"
	"errors"
	"time"
)

// cached is Get of a Reader with a Cache: what is kept, or what the backend says.
func (r *Reader[K, V]) cached(ctx context.Context, key K, req request) (value V, err error) {
	if err := admissible(ctx, key, req); err != nil {
		return value, err
	}
	if r.closing.Load() {
		return value, ErrClosed
	}
	if r.passes(req) {
		value, err = r.past(ctx, key, req)
	} else {
		kept, ok := r.cfg.Cache.Get(req.scope, key, Demand{MaxAge: req.maxAge})
		if ok {
			return r.serve(kept, key, req)
		}
		value, err = r.fill(ctx, key, req)
	}
	if err != nil && !req.fresh && errors.Is(err, ErrCircuitOpen) {
		if kept, ok := r.cfg.Cache.Get(req.scope, key, Demand{MaxAge: req.maxAge, Degraded: true, Again: true}); ok {
			return r.serve(kept, key, req)
		}
	}
	return value, err
}

// passes says whether a request goes past the cache.
func (r *Reader[K, V]) passes(req request) bool {
	return req.fresh || len(req.after) > 0 || req.class == ClassUrgent && !r.policy.Load().UrgentCached
}

// serve gives a caller what was kept.
func (r *Reader[K, V]) serve(kept Kept[V], key K, req request) (V, error) {
	if kept.Refresh {
		go r.refresh(req.scope, key)
	}
	if req.trace != nil {
		*req.trace = Trace{Class: req.class, Reason: reasonCache, Cached: true, Stale: kept.Stale, Age: kept.Age}
	}
	if kept.Missing {
		return kept.Value, ErrNotFound
	}
	return r.copied(kept.Value), nil
}

// reasonCache is the reason of what left in no batch.
const reasonCache = "cache"

// copied is a value that somebody else has too.
func (r *Reader[K, V]) copied(value V) V {
	if r.cfg.Clone == nil {
		return value
	}
	return r.cfg.Clone(value)
}

// past asks the backend. Urgent requests leave no trace in the cache: they have no time
// to lose.
func (r *Reader[K, V]) past(ctx context.Context, key K, req request) (value V, err error) {
	if req.class == ClassUrgent {
		value, _, err = r.get(ctx, key, req)
		return value, err
	}
	return r.ask1(ctx, key, req, r.cfg.Cache.Lease(key))
}

// ask1 asks the backend for one key and keeps what it says.
func (r *Reader[K, V]) ask1(ctx context.Context, key K, req request, l Lease) (value V, err error) {
	value, _, err = r.get(ctx, key, r.forKeeping(req, l))
	if r.keep(req.scope, key, l, value, err); err != nil {
		return value, err
	}
	return r.copied(value), nil
}

// keptLag is how old an answer of a replica may be that is kept: less than the time for
// which a cache says that a write was lately.
const keptLag = 5 * time.Second

// forKeeping is a request whose answer will be told to others: what was written lately is
// asked of the primary, and the rest of nobody who might lag by as much.
func (r *Reader[K, V]) forKeeping(req request, l Lease) request {
	switch {
	case !r.hasCopies():
	case l.Recent:
		req.primary = true
	default:
		req.lag = keptLag
	}
	return req
}

// keep puts an answer into the cache, if it is one.
func (r *Reader[K, V]) keep(scope string, key K, l Lease, value V, err error) {
	if !l.None() && (err == nil || isNotFound(err)) {
		r.cfg.Cache.Put(scope, key, l, value, err == nil)
	}
}

// fill asks the backend for a key that is not kept, once for all who want it meanwhile.
func (r *Reader[K, V]) fill(ctx context.Context, key K, req request) (value V, err error) {
	for range fillTries {
		lease := r.cfg.Cache.Lease(key)
		f, leads := r.fills.join(keyIn[K]{req.scope, key}, lease, req, r.policy.Load().MaxWaiters)
		switch {
		case f == nil:
			return r.ask1(ctx, key, req, lease)
		case leads:
			if kept, ok := r.cfg.Cache.Get(req.scope, key, Demand{MaxAge: req.maxAge, Again: true}); ok { // meanwhile
				f.value, f.err = r.serve(kept, key, request{trace: &f.trace})
				r.fills.end(f)
				return r.serve(kept, key, req)
			}
			return r.fillFor(ctx, key, req, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return value, ctx.Err()
		}
		if isOwn(f.err) { // whoever asked had a trouble of its own
			continue
		}
		if req.trace != nil && f.trace.Reason != "" {
			*req.trace = f.trace
		}
		if f.err != nil {
			return value, f.err
		}
		return r.copied(f.value), nil
	}
	return r.ask1(ctx, key, req, r.cfg.Cache.Lease(key))
}

// fillTries is for how many others' fills a caller waits before it asks by itself.
const fillTries = 2

// fillFor asks the backend on behalf of all who wait for the fill.
func (r *Reader[K, V]) fillFor(ctx context.Context, key K, req request, f *fill[K, V]) (value V, err error) {
	trace := req.trace
	req.trace = &f.trace
	f.err = context.Canceled // if this goroutine dies in there
	defer func() {
		r.fills.end(f)
		if trace != nil && f.trace.Reason != "" {
			*trace = f.trace
		}
	}()
	f.value, _, f.err = r.get(ctx, key, r.forKeeping(req, f.lease))
	if r.keep(req.scope, key, f.lease, f.value, f.err); f.err != nil {
		return value, f.err
	}
	return r.copied(f.value), nil
}

// isOwn says whether an error concerns the caller who got it and nobody else.
func isOwn(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrShed) || errors.Is(err, ErrClosed)
}

// refresh asks the backend for a key that is kept but stale, unless somebody does already.
func (r *Reader[K, V]) refresh(scope string, key K) {
	req := request{scope: scope}
	lease := r.cfg.Cache.Lease(key)
	if f, leads := r.fills.join(keyIn[K]{scope, key}, lease, req, 0); leads {
		_, _ = r.fillFor(context.Background(), key, req, f)
	}
}

// cachedMany is GetMany of a Reader with a Cache: what is kept, and for the rest what the
// backend says. It waits for nobody else's fills.
func (r *Reader[K, V]) cachedMany(ctx context.Context, keys []K, req request) (map[K]V, KeyErrors[K]) {
	found := make(map[K]V, len(keys))
	rest := make([]K, 0, len(keys))
	leases := make([]Lease, 0, len(keys))
	seen := make(map[K]struct{}, len(keys))
	past := r.passes(req)
	for _, k := range keys {
		if _, twice := seen[k]; twice {
			continue
		}
		seen[k] = struct{}{}
		if !past && admissible(ctx, k, req) == nil && !r.closing.Load() {
			if kept, ok := r.cfg.Cache.Get(req.scope, k, Demand{MaxAge: req.maxAge}); ok {
				r.serveOne(found, kept, k, req)
				continue
			}
		}
		rest, leases = append(rest, k), append(leases, r.cfg.Cache.Lease(k))
	}
	if len(rest) == 0 {
		return found, nil
	}
	asked := req
	for _, l := range leases {
		asked = r.forKeeping(asked, l)
	}
	values, failed := r.getMany(ctx, rest, asked)
	for i, k := range rest {
		value, ok := values[k]
		err := failed[k]
		switch {
		case ok:
			r.keep(req.scope, k, leases[i], value, nil)
			found[k] = r.copied(value)
		case err == nil:
			r.keep(req.scope, k, leases[i], value, ErrNotFound)
		case !req.fresh && errors.Is(err, ErrCircuitOpen):
			if kept, ok := r.cfg.Cache.Get(req.scope, k, Demand{MaxAge: req.maxAge, Degraded: true, Again: true}); ok {
				r.serveOne(found, kept, k, req)
				delete(failed, k)
			}
		}
	}
	return found, failed
}

// serveOne is serve for one of several keys.
func (r *Reader[K, V]) serveOne(found map[K]V, kept Kept[V], key K, req request) {
	req.trace = nil
	if value, err := r.serve(kept, key, req); err == nil {
		found[key] = value
	}
}
