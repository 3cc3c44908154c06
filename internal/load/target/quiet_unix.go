//go:build unix

package target

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// quiet says whether nothing has come on a connection that waits for nothing: no
// data, and no end either.
func quiet(c syscall.RawConn) bool {
	is := false
	err := c.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		is = err == unix.EAGAIN
		return true
	})
	return is && err == nil
}
