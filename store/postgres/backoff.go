package postgres

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 2 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// backoff makes pauses that grow, each somewhere between half and all of its length,
// so that those who got into each other's way do not meet again.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{firstPause} }

// wait pauses. It says no, at once, if ctx would end meanwhile.
func (b *backoff) wait(ctx context.Context) bool {
	pause := b.next/2 + rand.N(b.next/2)
	b.next = min(2*b.next, maxPause)
	if d, ok := ctx.Deadline(); ok && time.Until(d) < pause {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
