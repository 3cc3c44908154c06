package target

import (
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// dial opens a connection for a request.
func (l *loop) dial(q query) {
	fd, err := l.connect()
	if err != nil {
		l.fail(q, err)
		return
	}
	l.births++
	c := &conn{fd: int32(fd), birth: l.births, connecting: true, busy: true, query: q}
	c.out = slices.Clone(q.out)
	l.all[c.fd] = c
	if err := l.watch(c, unix.EPOLL_CTL_ADD, unix.EPOLLOUT); err != nil {
		l.finish(c, err)
	}
}

// connect begins to open a connection.
func (l *loop) connect() (fd int, err error) {
	fd, err = unix.Socket(l.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err == nil {
		err = unix.Connect(fd, l.to)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// watch chooses which events of a connection are told.
func (l *loop) watch(c *conn, how int, events uint32) error {
	c.writing = events&unix.EPOLLOUT != 0
	return unix.EpollCtl(l.epoll, how, int(c.fd), &unix.EpollEvent{Events: events, Fd: c.fd, Pad: c.birth})
}

// begin sends a request on a connection that nobody uses.
func (l *loop) begin(c *conn, q query) {
	c.query, c.busy = q, true
	c.reset()
	l.push(c)
}

// push writes what can be written.
func (l *loop) push(c *conn) {
	n, err := unix.Write(int(c.fd), c.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		l.finish(c, hungUp(err))
		return
	}
	if c.out = c.out[max(n, 0):]; len(c.out) > 0 {
		c.out = slices.Clone(c.out)
	}
	if more := len(c.out) > 0; more != c.writing {
		events := uint32(unix.EPOLLIN)
		if more {
			events |= unix.EPOLLOUT
		}
		if err := l.watch(c, unix.EPOLL_CTL_MOD, events); err != nil {
			l.finish(c, err)
		}
	}
}

// handle is called with what has happened on a connection.
func (l *loop) handle(c *conn, events uint32) {
	switch {
	case !c.busy: // the server speaks unasked, or has closed it
		l.idle = slices.DeleteFunc(l.idle, func(i *conn) bool { return i == c })
		l.drop(c)
	case c.connecting:
		l.connected(c)
	case events&unix.EPOLLOUT != 0 && len(c.out) > 0:
		l.push(c)
	default:
		l.read(c)
	}
}

// connected is called when a connection is open, or could not be opened.
func (l *loop) connected(c *conn) {
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		l.finish(c, err)
	case errno != 0:
		l.finish(c, unix.Errno(errno))
	default:
		c.connecting = false
		l.push(c)
	}
}

// read takes what has come of an answer.
func (l *loop) read(c *conn) {
	n, end := unix.Read(int(c.fd), l.in[:])
	switch {
	case errors.Is(end, unix.EAGAIN), errors.Is(end, unix.EINTR):
		return
	case n == 0 && end == nil:
		end = io.EOF
	}
	done, err := c.feed(l.in[:max(n, 0)], end)
	switch {
	case err != nil:
		l.finish(c, err)
	case done:
		l.finish(c, c.judge())
	}
}

// finish tells what came of a request, and keeps its connection if it can be used
// again.
func (l *loop) finish(c *conn, err error) {
	a := load.Answer{ID: c.id, Err: err}
	if c.begun {
		a.FirstByte = max(c.first.Sub(c.begin), time.Nanosecond)
	}
	if c.busy = false; c.keep && len(c.out) == 0 {
		l.idle = append(l.idle, c)
	} else {
		l.drop(c)
	}
	l.answered(a)
}

// drop closes a connection.
func (l *loop) drop(c *conn) {
	delete(l.all, c.fd)
	_ = unix.Close(int(c.fd))
}
