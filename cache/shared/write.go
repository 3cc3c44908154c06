package shared

// Writing is a write under way: nothing is kept of its keys.
type Writing[K comparable, V any] struct {
	tier *Tier[K, V]
	end  notice
}

// Begin says that keys are about to be written: their values go, in all scopes, and none are
// kept until End, or until Config.WriteTime has passed. It waits for Redis no longer than
// LinkConfig.Timeout.
func (t *Tier[K, V]) Begin(keys ...K) *Writing[K, V] {
	w := &Writing[K, V]{tier: t, end: notice{resource: t.cfg.Resource, keys: t.texts(keys), writer: token()}}
	if len(keys) > 0 {
		w.begin()
	}
	return w
}

// BeginAll says that any key may be about to be written.
func (t *Tier[K, V]) BeginAll() *Writing[K, V] {
	w := &Writing[K, V]{tier: t, end: notice{resource: t.cfg.Resource, writer: token()}}
	w.begin()
	return w
}

func (t *Tier[K, V]) texts(keys []K) []string {
	texts := make([]string, len(keys)) // not nil, which means all
	for i, k := range keys {
		texts[i] = t.cfg.Key(k)
	}
	return texts
}

func (w *Writing[K, V]) begin() {
	n := w.end
	n.begins, n.hold = true, w.tier.cfg.WriteTime
	w.tier.link.tell(n)
}

// End says that the write is over, whether it was made or not: call it once, before the
// write is acknowledged. also are keys of which it became known only now that they were
// written. known false says that it may still be made: then nothing is kept of the keys for
// another Config.WriteTime. What Redis cannot be told now it is told when it is back, before
// anything is read from it through this Link.
func (w *Writing[K, V]) End(known bool, also ...K) {
	n := w.end
	if n.keys != nil {
		n.keys = append(n.keys, w.tier.texts(also)...)
		if len(n.keys) == 0 {
			return
		}
	}
	n.hold = w.tier.cfg.Lag
	if !known {
		n.hold = max(n.hold, w.tier.cfg.WriteTime)
	}
	w.tier.link.tell(n)
	w.tier.counts.invalidations.Add(uint64(max(1, len(n.keys))))
}

// Forget drops keys, in all scopes: for what was written elsewhere.
func (t *Tier[K, V]) Forget(keys ...K) {
	(&Writing[K, V]{tier: t, end: notice{resource: t.cfg.Resource, keys: []string{}, writer: token()}}).End(true, keys...)
}
