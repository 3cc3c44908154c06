//go:build unix

package postgres

import (
	"crypto/tls"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// reachable says whether a connection is one that the server has neither closed nor said
// farewell to. It asks the kernel, not the server, which costs a microsecond: a write
// that is sent on a dead connection cannot be told from one whose answer was lost.
func reachable(c *pgx.Conn) bool {
	conn := c.PgConn().Conn()
	secret, encrypted := conn.(*tls.Conn)
	if encrypted {
		conn = secret.NetConn()
	}
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	ok = true
	err = rc.Control(func(fd uintptr) { ok = quiet(int(fd), encrypted) })
	return ok && err == nil
}

func quiet(fd int, encrypted bool) bool {
	var first [1]byte
	n, _, err := syscall.Recvfrom(fd, first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch err {
	case nil:
		// An E begins the server's last words. Anything else is a notice, a changed
		// parameter or, if encrypted, most likely a ticket for the next session.
		return n > 0 && (encrypted || first[0] != 'E')
	case syscall.EAGAIN, syscall.EINTR:
		return true
	}
	return false
}
