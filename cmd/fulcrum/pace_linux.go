package main

import (
	"syscall"
	"time"
)

// nap sleeps for up to a few milliseconds. The runtime's timers are up to 1 ms
// late, the kernel's own sleep 60 µs.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // a signal may end it early; the load does not mind
}
