//go:build !linux

package faultproxy

import (
	"sync"
	"time"
)

// An alarm waits with the runtime's timers where there is no timerfd. One
// goroutine waits; any may close.
type alarm struct {
	closed chan struct{}
	once   sync.Once
}

func newAlarm() (*alarm, error) { return &alarm{closed: make(chan struct{})}, nil }

// wait returns true at the due time, at once if that has come, and false once
// the alarm is closed.
func (a *alarm) wait(due time.Time) bool {
	d := time.Until(due)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.closed:
		return false
	}
}

// close ends a wait that is under way and all later ones.
func (a *alarm) close() { a.once.Do(func() { close(a.closed) }) }
