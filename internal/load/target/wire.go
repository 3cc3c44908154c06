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
	used      bool   // a request was answered on it
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
	p.mu.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		w := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		return w, nil
	}
	p.mu.Unlock()
	w, err := p.dial(ctx)
	if err != nil {
		<-p.slots
	}
	return w, err
}

func (p *wires) dial(ctx context.Context) (*wire, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, in: bufio.NewReaderSize(conn, wireBuffer)}
	w.interrupt = func() { _ = conn.SetDeadline(time.Now()) }
	return w, nil
}

// give takes a connection back; one that broke is closed.
func (p *wires) give(w *wire, keep bool) {
	if keep {
		w.used = true
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

// errStale says that the server closed a kept connection before it saw a request.
var errStale = errors.New("the server closed the connection")

// exchange sends a request, and again if the server has meanwhile closed the
// connection that was kept.
func (p *wires) exchange(ctx context.Context, request []byte, like *http.Request) (answer, error) {
	for {
		w, err := p.take(ctx)
		if err != nil {
			return answer{}, err
		}
		again := w.used
		stop := context.AfterFunc(ctx, w.interrupt)
		a, keep, err := w.exchange(request, like)
		keep = stop() && keep
		p.give(w, keep)
		if err == nil || !again || !errors.Is(err, errStale) || ctx.Err() != nil {
			return a, err
		}
	}
}

func (w *wire) exchange(request []byte, like *http.Request) (a answer, keep bool, err error) {
	if _, err := w.Write(request); err != nil {
		return a, false, errors.Join(errStale, plain(err))
	}
	if _, err := w.in.Peek(1); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			err = errStale
		}
		return a, false, plain(err)
	}
	a.first = time.Now()
	res, err := http.ReadResponse(w.in, like) //nolint:bodyclose // readAll closes it
	for err == nil && res.StatusCode < http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		res, err = http.ReadResponse(w.in, like) //nolint:bodyclose // after an interim answer, which has no body
	}
	if err != nil {
		return a, false, fmt.Errorf("not an answer: %w", plain(err))
	}
	a.status, a.code = res.Status, res.StatusCode
	a.body = readAll(res)
	return a, a.body == nil && !res.Close && res.StatusCode != http.StatusSwitchingProtocols, nil
}
