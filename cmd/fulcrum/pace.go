package main

import (
	"context"
	"time"
)

// fine is the time before a moment that is waited out with the finer clock.
const fine = 2 * time.Millisecond

// waitUntil waits for a moment, false if ctx ends before. A moment that has passed
// costs no wait.
func waitUntil(ctx context.Context, at time.Time) bool {
	if left := time.Until(at) - fine; left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	if left := time.Until(at); left > 0 {
		nap(left)
	}
	return ctx.Err() == nil
}
