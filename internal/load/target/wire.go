package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// wires are kept connections of HTTP/1.1 without TLS. net/http hands each request
// from goroutine to goroutine three times; beside a server on two cores those
// hand-overs are what a generator is late by. Here the caller writes and reads by
// itself, which takes half the processor time. Answers are read by net/http's own
// parser.
type wires struct {
	addr  string
	slots chan struct{} // one for each connection in use

	mu   sync.Mutex
	idle []*wire // the warmest last
}

// wire is one connection. One caller at a time has it.
type wire struct {
	net.Conn
	in        *bufio.Reader
	raw       syscall.RawConn
	interrupt func() // makes what is under way fail
}

const wireBuffer = 4 << 10 // bytes

func newWires(addr string, connections int) *wires {
	return &wires{addr: addr, slots: make(chan struct{}, connections)}
}

// take returns an idle connection or makes one, once there may be one more.
func (p *wires) take(ctx context.Context) (*wire, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for w := p.pop(); w != nil; w = p.pop() {
		if w.in.Buffered() == 0 && quiet(w.raw) {
			return w, nil
		}
		w.Close() // the server has closed it while nobody used it
	}
	w, err := p.dial(ctx)
	if err != nil {
		<-p.slots
	}
	return w, err
}

// pop takes an idle connection, nil if there is none.
func (p *wires) pop() *wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	w := p.idle[last]
	p.idle = p.idle[:last]
	return w
}

func (p *wires) dial(ctx context.Context) (*wire, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, plain(err)
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	w := &wire{Conn: conn, in: bufio.NewReaderSize(conn, wireBuffer), raw: raw}
	w.interrupt = func() { _ = conn.SetDeadline(time.Now()) }
	return w, nil
}

// give takes a connection back; one that broke is closed.
func (p *wires) give(w *wire, keep bool) {
	if keep {
		p.mu.Lock()
		p.idle = append(p.idle, w)
		p.mu.Unlock()
	} else {
		w.Close()
	}
	<-p.slots
}

func (p *wires) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		w.Close()
	}
	p.idle = nil
	return nil
}

// errHungUp says that the server closed the connection on which it was asked.
var errHungUp = errors.New("the server closed the connection")

// exchange sends a request. It is sent once: a server that takes requests and hangs
// up has failed, and to ask it again would hide that.
func (p *wires) exchange(ctx context.Context, request []byte) (answer, error) {
	w, err := p.take(ctx)
	if err != nil {
		return answer{}, err
	}
	stop := context.AfterFunc(ctx, w.interrupt)
	a, keep, err := w.exchange(request)
	keep = stop() && keep
	p.give(w, keep)
	return a, err
}

func (w *wire) exchange(request []byte) (a answer, keep bool, err error) {
	if _, err := w.Write(request); err != nil {
		return a, false, hungUp(err)
	}
	return readAnswer(w.in)
}

// readAnswer reads an answer to a GET.
func readAnswer(in *bufio.Reader) (a answer, keep bool, err error) {
	if _, err := in.Peek(1); err != nil {
		return a, false, hungUp(err)
	}
	a.first = time.Now()
	res, err := http.ReadResponse(in, getRequest) //nolint:bodyclose // readAll closes it
	for err == nil && res.StatusCode < http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		res, err = http.ReadResponse(in, getRequest) //nolint:bodyclose // after an interim answer, which has no body
	}
	if err != nil {
		return a, false, fmt.Errorf("not an answer: %w", plain(err))
	}
	a.status, a.code = res.Status, res.StatusCode
	a.body = readAll(res)
	return a, a.body == nil && !res.Close && res.StatusCode != http.StatusSwitchingProtocols, nil
}

// hungUp gives one text to the ways in which a connection ends.
func hungUp(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return errHungUp
	}
	return plain(err)
}
