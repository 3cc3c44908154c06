package load

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A napper sleeps in the kernel, on a thread of its own. The runtime's timers are
// up to 1 ms late; the kernel is 50 µs late, and less once told not to wait for
// other timers.
type napper struct{}

func newWaiter() waiter {
	runtime.LockOSThread() // the slack is the thread's
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return napper{}
}

func (napper) wait(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // who is woken early by a signal looks at the clock
}

func (napper) close() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // as it was
	runtime.UnlockOSThread()
}
