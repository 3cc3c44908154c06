package faultproxy

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	firstLead = 40 * time.Microsecond
	mostLead  = 200 * time.Microsecond
	leadStep  = time.Microsecond
)

// An alarm waits for short times precisely: a timerfd whose Read parks the
// goroutine in the network poller, which the kernel wakes within some tens of
// microseconds. By that lead the alarm is set early. The lead follows the
// median of what was observed: a step up after every late wake-up, a step down
// after every early one, so that rare long delays do not count for more.
//
// One goroutine waits; any may close.
type alarm struct {
	file *os.File
	raw  syscall.RawConn
	set  func(fd uintptr) // arms the timer as spec says
	lead time.Duration

	spec   unix.ItimerSpec
	setErr error
	buf    [8]byte
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: timerfd: %w", err)
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timerfd"), lead: firstLead}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		a.file.Close()
		return nil, fmt.Errorf("faultproxy: timerfd: %w", err)
	}
	a.set = func(fd uintptr) { a.setErr = unix.TimerfdSettime(int(fd), 0, &a.spec, nil) }
	return a, nil
}

// wait returns true at the due time, at once if that has come, and false once
// the alarm is closed. It may be early by less than mostLead.
func (a *alarm) wait(due time.Time) bool {
	d := time.Until(due) - a.lead
	if d <= 0 {
		return true
	}
	a.spec.Value = unix.NsecToTimespec(int64(d))
	if err := a.raw.Control(a.set); err != nil || a.setErr != nil {
		return false
	}
	if _, err := a.file.Read(a.buf[:]); err != nil {
		return false
	}
	if time.Now().After(due) {
		a.lead = min(a.lead+leadStep, mostLead)
	} else {
		a.lead = max(a.lead-leadStep, 0)
	}
	return true
}

// close ends a wait that is under way and all later ones.
func (a *alarm) close() { a.file.Close() }
