package faultproxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds the connection to the target.
const dialTimeout = 10 * time.Second

// A link is one connection through the proxy: two sockets and a pipe for each
// direction between them.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	ctx    context.Context // ends with the link
	cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	target *net.TCPConn
	pipes  []*pipe
	ended  bool
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	ctx, cancel := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, ctx: ctx, cancel: cancel}
}

// run connects and passes data until both directions have ended.
func (l *link) run() {
	defer l.cancel()
	if !l.connect() {
		l.reset()
		return
	}
	there, back := l.pipes[ToTarget], l.pipes[ToClient]
	var readers, writers sync.WaitGroup
	for _, p := range []*pipe{there, back} {
		readers.Go(p.read)
		writers.Go(p.write)
	}
	// A reader may be waiting for a side that has nothing more to say. Once
	// nobody can write any more, its socket can go.
	writers.Wait()
	l.end((*net.TCPConn).Close)
	readers.Wait()
}

// connect dials the target, not before a hang has ended, and makes the pipes.
func (l *link) connect() bool {
	if !l.passable() {
		return false
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(l.ctx, "tcp", l.proxy.target)
	if err != nil {
		return false
	}
	target := conn.(*net.TCPConn)
	there, err := newPipe(l, ToTarget, l.client, target)
	if err != nil {
		resetConn(target)
		return false
	}
	back, err := newPipe(l, ToClient, target, l.client)
	if err != nil {
		there.close()
		resetConn(target)
		return false
	}
	there.reverse, back.reverse = back, there
	return l.attach(target, there, back)
}

// attach makes the target and the pipes part of the link, unless it was reset
// in the meantime.
func (l *link) attach(target *net.TCPConn, there, back *pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		there.close()
		back.close()
		resetConn(target)
		return false
	}
	l.target, l.pipes = target, []*pipe{ToTarget: there, ToClient: back}
	return true
}

// passable waits until the proxy is not hung; false means that the link ended.
func (l *link) passable() bool {
	for {
		st := l.proxy.state.Load()
		if !st.hung {
			return l.ctx.Err() == nil
		}
		select {
		case <-st.changed:
		case <-l.ctx.Done():
			return false
		}
	}
}

// reset ends the link at once; both sides see a connection reset.
func (l *link) reset() { l.end(resetConn) }

// end closes everything in the given way and wakes whoever waits. Only the
// first call acts.
func (l *link) end(closeConn func(*net.TCPConn) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	l.cancel()
	closeConn(l.client)
	if l.target != nil {
		closeConn(l.target)
	}
	for _, p := range l.pipes {
		p.close()
	}
}

// resetConn closes a connection so that its peer gets a reset instead of an
// orderly end.
func resetConn(c *net.TCPConn) error {
	c.SetLinger(0)
	return c.Close()
}
