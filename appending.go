package fulcrum

import (
	"context"
	"slices"
)

// appending is a write on its way into the journal. The journaled's mu guards it.
type appending struct {
	over bool
	done chan struct{} // closed when it is over; nil until somebody may wait for that
}

// leave has later writes of the key wait until it is known what became of one that is on
// its way, though its caller does not wait for that.
func (j *journaled[T]) leave(place lineKey, a *appending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !a.over {
		a.done = make(chan struct{})
		j.left[place] = append(j.left[place], a)
	}
}

// settle notes that it is known.
func (j *journaled[T]) settle(place lineKey, a *appending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a.over = true
	if a.done == nil {
		return
	}
	close(a.done)
	if rest := slices.DeleteFunc(j.left[place], func(b *appending) bool { return b == a }); len(rest) > 0 {
		j.left[place] = rest
	} else {
		delete(j.left, place)
	}
}

// behindLeft waits for those of a key whose callers have left.
func (j *journaled[T]) behindLeft(ctx context.Context, place lineKey) error {
	j.mu.Lock()
	before := slices.Clone(j.left[place])
	j.mu.Unlock()
	for _, a := range before {
		select {
		case <-a.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
