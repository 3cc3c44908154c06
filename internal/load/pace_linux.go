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
	runtime.LockOSThread() // slack and slice are the thread's
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	setSlice(shortSlice)
	return napper{}
}

// shortSlice is how long the thread may run at a time when others want to. Who asks
// for little at a time gets it sooner, and no more of it in all: its priority stays
// what it was. Linux has that since 6.12; before, it does nothing.
const shortSlice = 100 * time.Microsecond

// setSlice asks for time slices of this length; 0 is the system's.
func setSlice(d time.Duration) {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return
	}
	attr.Runtime = uint64(d)
	_ = unix.SchedSetAttr(0, attr, 0)
}

func (napper) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // who is woken early by a signal looks at the clock
}

func (napper) close() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // as they were
	setSlice(0)
	runtime.UnlockOSThread()
}
