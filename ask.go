package fulcrum

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/mode"
)

// query is a batch at the backend: what Fetch gets, in one piece, and what became
// of it.
type query[K comparable, V any] struct {
	ctx      detached
	batch    Batch[K, V]
	calls    int           // of Fetch and One
	took     time.Duration // of the copy that answered; 0: there are none; untaught: of a slow one
	whole    error         // of all keys together
	call     mode.Call     // at the backend's circuit
	refused  bool          // by it
	answered bool
}

func (r *Reader[K, V]) newQuery(b *batchOf[K, V]) *query[K, V] {
	q := &query[K, V]{batch: Batch[K, V]{
		keys:  make([]K, len(b.Items)),
		out:   make([]outcome[V], len(b.Items)),
		class: classes[b.Class],
	}}
	for i, it := range b.Items {
		q.batch.keys[i] = it.Key
	}
	until := b.Started + r.cfg.Timeout
	if b.Deadline != 0 && r.over == nil { // a commit is not cut short
		until = min(until, b.Deadline)
	}
	q.ctx.request.scope, q.ctx.deadline = b.Scope, r.epoch.Add(until)
	if n, _ := b.Need.(*need); n != nil && n.past || q.batch.class == ClassUrgent {
		q.ctx.request.past = true
	}
	return q
}

// ask calls the backend.
func (r *Reader[K, V]) ask(q *query[K, V]) {
	defer q.ctx.end(context.Canceled)
	if len(q.batch.keys) == 1 && r.cfg.One != nil {
		r.askOne(q)
		return
	}
	q.whole = r.askAll(q, &q.batch)
}

// askOne runs the plain query.
func (r *Reader[K, V]) askOne(q *query[K, V]) {
	q.calls++
	var value V
	err := guard(func() (err error) {
		value, err = r.cfg.One(&q.ctx, q.batch.keys[0])
		return err
	})
	if err == nil {
		q.batch.SetAt(0, value)
		return
	}
	q.batch.FailAt(0, undivided(err))
	if !isNotFound(err) {
		q.whole = err
	}
}

// maxCalls bounds the calls for one batch while guilty keys are looked for: some
// four of them among 200. Beyond that it is the query that is wrong.
const maxCalls = 64

// askAll runs the shared query. A panic or a Divisible error is narrowed down to
// the keys that cause it, so that their neighbours get their answers; only an error
// that was not is returned.
func (r *Reader[K, V]) askAll(q *query[K, V], fb *Batch[K, V]) error {
	q.calls++
	err := guard(func() error { return r.cfg.Fetch(&q.ctx, fb) })
	switch {
	case err == nil:
		return nil
	case !isDivisible(err) || len(fb.keys) == 1 || q.calls >= maxCalls || r.over != nil:
		fb.fail(undivided(err))
		if len(fb.keys) < len(q.batch.keys) {
			return nil
		}
		return err
	}
	if ended := q.ctx.Err(); ended != nil { // too late to find the guilty one: nobody is accused
		fb.fail(ended)
		return nil
	}
	fb.reset()
	half := len(fb.keys) / 2
	return errors.Join(
		r.askAll(q, fb.part(0, half)),
		r.askAll(q, fb.part(half, len(fb.keys))))
}

func isDivisible(err error) (is bool) {
	defer func() { _ = recover() }() // as in isNotFound
	var d divisible
	var p *PanicError
	return errors.As(err, &d) || errors.As(err, &p)
}

// undivided takes the mark off an error before callers see it.
func undivided(err error) error {
	if d, ok := err.(divisible); ok { //nolint:errorlint // the outermost mark only
		return d.error
	}
	return err
}

// guard turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return f()
}
