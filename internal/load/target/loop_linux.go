package target

import (
	"context"
	"errors"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// loop is a [load.Loop] over sockets that do not block, which one thread looks
// after.
type loop struct {
	letter
	answered func(load.Answer)
	epoll    int
	to       unix.Sockaddr
	family   int
	all      map[int32]*conn
	idle     []*conn // the warmest last
	waiting  []query // for a connection, from first on
	first    int
	births   int32 // of connections, which tells late events of their predecessors
	events   [128]unix.EpollEvent
	in       [64 << 10]byte
}

// query is a request that has no answer yet.
type query struct {
	id    int
	begin time.Time
	out   []byte // what is not written yet
}

// conn is a connection.
type conn struct {
	fd, birth  int32
	connecting bool
	writing    bool // it is told when there is room for more
	busy       bool
	query
	reading
}

var _ load.Looper = (*HTTP)(nil)

// reachTime is how long it may take to find out where the service is.
const reachTime = time.Second

// Loop begins a loop; nil for https and through a proxy, and if the service cannot be
// reached now or this system cannot wait precisely.
func (h *HTTP) Loop(ctx context.Context, answered func(load.Answer)) load.Loop {
	if h.wires == nil {
		return nil
	}
	l := h.kept.Swap(nil)
	if l == nil {
		l = h.newLoop(ctx)
	}
	if l == nil {
		return nil
	}
	l.answered = answered
	return l
}

func (h *HTTP) newLoop(ctx context.Context) *loop {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	w, err := h.wires.take(ctx)
	if err != nil {
		return nil
	}
	addr, isTCP := w.RemoteAddr().(*net.TCPAddr)
	h.wires.give(w, false)
	_ = h.wires.close() // the loop has its own, of which there may be as many
	if !isTCP || addr.Zone != "" {
		return nil
	}
	l := &loop{letter: letter{HTTP: h}, all: map[int32]*conn{}}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil
	}
	l.family, l.to = sockaddr(addr)
	if _, err := l.poll(0); err != nil {
		_ = unix.Close(l.epoll)
		return nil
	}
	return l
}

func sockaddr(a *net.TCPAddr) (family int, to unix.Sockaddr) {
	if v4 := a.IP.To4(); v4 != nil {
		return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(v4)}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
}

// poll waits for events, d at most.
func (l *loop) poll(d time.Duration) (n int, err error) {
	d = max(d, 0)
	ts := struct{ sec, nsec int64 }{int64(d / time.Second), int64(d % time.Second)}
	r, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return int(r), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

// Send writes a request, or lets it wait for a connection.
func (l *loop) Send(id int, r *load.Request) {
	q := query{id: id, begin: time.Now()}
	var err error
	if q.out, err = l.write(r); err != nil {
		l.fail(q, err)
		return
	}
	l.place(q)
}

// place gives a request a connection, if there is or may be one.
func (l *loop) place(q query) {
	for last := len(l.idle) - 1; last >= 0; last-- {
		c := l.idle[last]
		l.idle = l.idle[:last]
		if isQuiet(int(c.fd)) {
			l.begin(c, q)
			return
		}
		l.drop(c) // the server has closed it while nobody used it
	}
	if len(l.all) < l.cfg.Connections {
		l.dial(q)
		return
	}
	q.out = append([]byte(nil), q.out...)
	l.waiting = append(l.waiting, q)
}

// placeWaiting gives those that wait the connections that have become free.
func (l *loop) placeWaiting() {
	for l.first < len(l.waiting) && (len(l.idle) > 0 || len(l.all) < l.cfg.Connections) {
		q := l.waiting[l.first]
		l.waiting[l.first] = query{}
		if l.first++; l.first == len(l.waiting) {
			l.waiting, l.first = l.waiting[:0], 0
		}
		l.place(q)
	}
}

func (l *loop) fail(q query, err error) { l.answered(load.Answer{ID: q.id, Err: err}) }

// Wait handles what has happened.
func (l *loop) Wait(d time.Duration) {
	n, err := l.poll(d)
	if err != nil {
		time.Sleep(d) // the answers will be missing, and the step invalid
		return
	}
	for _, e := range l.events[:n] {
		if c := l.all[e.Fd]; c != nil && c.birth == e.Pad {
			l.handle(c, e.Events)
		}
	}
	l.placeWaiting()
}

// Close keeps the connections that nobody uses for the next loop.
func (l *loop) Close() {
	for _, c := range l.all {
		if c.busy {
			l.drop(c)
		}
	}
	l.waiting, l.first, l.answered = nil, 0, nil
	if !l.kept.CompareAndSwap(nil, l) {
		l.free()
	}
}

func (l *loop) free() {
	for _, c := range l.all {
		l.drop(c)
	}
	_ = unix.Close(l.epoll)
}

// dropLoop closes the connections of the last loop.
func (h *HTTP) dropLoop() {
	if l := h.kept.Swap(nil); l != nil {
		l.free()
	}
}

// isQuiet says whether nothing has come on a connection that waits for nothing.
func isQuiet(fd int) bool {
	var one [1]byte
	_, _, err := unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return errors.Is(err, unix.EAGAIN)
}
