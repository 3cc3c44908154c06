package shared

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/fulcrum-data/fulcrum"
)

// Tier keeps the values of one resource in Redis. It is safe for concurrent use.
type Tier[K comparable, V any] struct {
	link   *Link
	cfg    Config[K, V]
	counts tierCounts
}

// New makes a Tier.
func New[K comparable, V any](l *Link, cfg Config[K, V]) (*Tier[K, V], error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Tier[K, V]{link: l, cfg: cfg.withDefaults()}, nil
}

// Tell has a listener be told of what is written through any Link to the same Redis. It is
// held for as long as that cannot be.
func (t *Tier[K, V]) Tell(to Listener[K]) {
	t.link.tracker.listen(t.cfg.Resource, &listener{
		hold: to.Hold,
		forget: func(text string) {
			if key, ok := t.cfg.Parse(text); ok {
				to.Forget(key)
			}
		},
	})
}

// Fetch is a ReaderConfig.Fetch that asks Redis first, and the next one for what is not
// there. Requests whom no cache may answer (fulcrum.PastFrom) go past Redis.
func (t *Tier[K, V]) Fetch(next func(context.Context, *fulcrum.Batch[K, V]) error) func(context.Context, *fulcrum.Batch[K, V]) error {
	return func(ctx context.Context, b *fulcrum.Batch[K, V]) error {
		if fulcrum.PastFrom(ctx) {
			return next(ctx, b)
		}
		r := t.read(ctx, b.Keys())
		if r == nil {
			return next(ctx, b)
		}
		missing := make([]int, 0, b.Len())
		for i := range r.rows {
			if row := &r.rows[i]; row.there {
				t.answer(b, i, row)
			} else {
				missing = append(missing, i)
			}
		}
		switch len(missing) {
		case 0:
			return nil
		case b.Len():
			if err := next(ctx, b); err != nil {
				return err
			}
			t.fill(r, missing, b.Answer)
			return nil
		}
		rest := b.Only(missing)
		if err := next(ctx, rest); err != nil {
			return err
		}
		for i, at := range missing {
			if value, err := rest.Answer(i); err == nil {
				b.SetAt(at, value)
			} else {
				b.FailAt(at, err)
			}
		}
		t.fill(r, missing, b.Answer)
		return nil
	}
}

func (t *Tier[K, V]) answer(b *fulcrum.Batch[K, V], i int, row *row[V]) {
	if row.absent {
		b.FailAt(i, fulcrum.ErrNotFound)
	} else {
		b.SetAt(i, row.value)
	}
}

// One is a ReaderConfig.One that does the same for a single key.
func (t *Tier[K, V]) One(next func(context.Context, K) (V, error)) func(context.Context, K) (V, error) {
	return func(ctx context.Context, key K) (V, error) {
		if fulcrum.PastFrom(ctx) {
			return next(ctx, key)
		}
		r := t.read(ctx, []K{key})
		if r == nil {
			return next(ctx, key)
		}
		if row := &r.rows[0]; row.there {
			if row.absent {
				return row.value, fulcrum.ErrNotFound
			}
			return row.value, nil
		}
		value, err := next(ctx, key)
		t.fill(r, []int{0}, func(int) (V, error) { return value, err })
		return value, err
	}
}

// reading is what Redis said of some keys.
type reading[V any] struct {
	in    life
	at    place
	scope string
	epoch string
	now   int64 // by Redis' clock, ms
	keys  []string
	rows  []row[V]
}

// row is what Redis said of one.
type row[V any] struct {
	there, absent bool
	value         V
	token         string // under which it may be filled; empty: it may not be
}

// read asks Redis; nil if it has nothing to say.
func (t *Tier[K, V]) read(ctx context.Context, keys []K) *reading[V] {
	in, ok := t.link.believed()
	if !ok || len(keys) > mostRows {
		t.counts.passed.Add(uint64(len(keys)))
		return nil
	}
	r := &reading[V]{in: in, at: t.link.place(in, t.cfg.Resource), scope: t.cfg.Form + "\x00" + fulcrum.ScopeFrom(ctx), keys: make([]string, len(keys)), rows: make([]row[V], len(keys))}
	for i, k := range keys {
		r.keys[i] = t.cfg.Key(k)
	}
	names := r.at.rows([]string{r.at.epoch, r.at.writers}, r.keys)
	said, err := t.link.call(ctx, in, t.link.cfg.Timeout, names, "read", token(), millis(leaseTime), millis(epochTime), r.scope).ToArray()
	if err != nil || len(said) != 2+len(keys) {
		t.counts.passed.Add(uint64(len(keys)))
		return nil
	}
	if r.epoch, err = said[0].ToString(); err != nil {
		return nil
	}
	now, _ := said[1].ToString()
	if r.now, err = strconv.ParseInt(now, 10, 64); err != nil {
		return nil
	}
	for i := range r.rows {
		t.understand(&r.rows[i], &said[2+i])
	}
	return r
}

// A value in Redis begins with its form, its resource's epoch, until when it may be told
// (by Redis' clock, ms), and whether it is one.
const (
	form       = "F1"
	headerSize = 2 + 16 + 13 + 1
	isValue    = 'v'
	isAbsent   = '-'
)

func (t *Tier[K, V]) understand(to *row[V], said *rueidis.RedisMessage) {
	text, err := said.ToString()
	switch {
	case err != nil || text == "":
		t.counts.closed.Add(1)
	case text[0] == 'L':
		to.token = text[1:]
		t.counts.misses.Add(1)
	case len(text) == headerSize && text[headerSize-1] == isAbsent:
		to.there, to.absent = true, true
		t.counts.negative.Add(1)
	default:
		if to.value, err = t.cfg.Decode([]byte(text[headerSize:])); err != nil || text[headerSize-1] != isValue {
			t.counts.foreign.Add(1)
			return
		}
		to.there = true
		t.counts.hits.Add(1)
	}
}

// fill keeps what was read meanwhile. Nobody waits for it.
func (t *Tier[K, V]) fill(r *reading[V], missing []int, answer func(int) (V, error)) {
	keys, args := []string{r.at.epoch, r.at.writers}, []string{"fill", r.epoch, r.scope}
	for _, i := range missing {
		if r.rows[i].token == "" {
			continue
		}
		value, err := answer(i)
		ttl, kind, body := t.cfg.TTL, string(isValue), []byte(nil)
		if err == nil {
			if body, err = t.cfg.Encode(value); err != nil {
				continue
			}
		} else if ttl, kind = t.cfg.NegativeTTL, string(isAbsent); ttl <= 0 || !isNotFound(err) {
			continue
		}
		if len(body) > t.cfg.MaxValue {
			t.counts.large.Add(1)
			continue
		}
		ttl -= rand.N(ttl/10 + 1)
		until := strconv.FormatInt(r.now+max(1, ttl.Milliseconds()), 10)
		keys = r.at.rows(keys, r.keys[i:i+1])
		args = append(args, r.rows[i].token, millis(ttl), form+r.epoch+until+kind+string(body))
	}
	if len(keys) == 2 {
		return
	}
	select {
	case t.link.fills <- struct{}{}:
	default: // Redis is slower than the database
		t.counts.left.Add(uint64(len(keys) / 3))
		return
	}
	go func() {
		defer func() { <-t.link.fills }()
		kept, err := t.link.call(context.Background(), r.in, max(time.Second, t.link.cfg.Timeout), keys, args...).AsInt64()
		if err != nil {
			kept = 0
		}
		t.counts.fills.Add(uint64(kept))
		t.counts.refused.Add(uint64(max(0, int64(len(keys)/3)-kept)))
	}()
}

// isNotFound is errors.Is of an error that may be anybody's.
func isNotFound(err error) (is bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, fulcrum.ErrNotFound)
}
