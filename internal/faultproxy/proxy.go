package faultproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Options describe a proxy. The zero value passes everything on at once.
type Options struct {
	// Delay is how much longer a round trip takes, half of it each way.
	// SetDelay changes it later. Zero means no delay.
	Delay time.Duration

	// Buffer is how many bytes one direction of one connection may hold back
	// before it stops reading. Delayed throughput is at most Buffer for each
	// half Delay. Zero means 4 MiB.
	Buffer int

	// OnData, if set, sees every piece of data before it is passed on and
	// decides what becomes of it. Pieces are as they arrive: a message may
	// come in several, and several may come in one. It is called from one
	// goroutine for each direction of each connection and must not keep p.
	// It may call the proxy's methods, but not Close.
	OnData func(dir Direction, p []byte) Action
}

// A Direction is one way through the proxy.
type Direction int

// The two directions.
const (
	ToTarget Direction = iota // what clients send
	ToClient                  // what the target answers
)

// String names the direction.
func (d Direction) String() string {
	if d == ToTarget {
		return "to target"
	}
	return "to client"
}

// An Action is OnData's verdict.
type Action int

// The verdicts.
const (
	// Pass lets the data through.
	Pass Action = iota

	// CutBefore throws the data away and resets both sides of this connection.
	CutBefore

	// CutAfter lets this data through as the last of its connection: the
	// receiver gets it and then the end of the stream, the sender gets a
	// reset, and from now on nothing travels back. At a COMMIT this is the
	// moment in which the server commits and the client cannot know.
	CutAfter
)

// state is what all connections of a proxy obey. It is replaced, not changed.
type state struct {
	hung    bool
	oneWay  time.Duration
	changed chan struct{} // closed when a newer state is in force
}

// A Proxy passes TCP connections on to one target. Its methods may be called
// from several goroutines.
type Proxy struct {
	target string
	addr   string
	opts   Options
	state  atomic.Pointer[state]

	goroutines sync.WaitGroup

	mu       sync.Mutex // guards what follows
	listener net.Listener
	links    map[*link]struct{}
	closed   bool
}

// New starts a proxy in front of target (host and port). The target need not
// be up: it is dialled once for every connection.
func New(target string, opts Options) (*Proxy, error) {
	if opts.Delay < 0 || opts.Buffer < 0 {
		return nil, errors.New("faultproxy: Delay and Buffer must not be negative")
	}
	if opts.Buffer == 0 {
		opts.Buffer = 4 << 20
	}
	l, err := listenSomewhere()
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, addr: l.Addr().String(), opts: opts, links: make(map[*link]struct{})}
	p.state.Store(&state{oneWay: opts.Delay / 2, changed: make(chan struct{})})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve(l)
	return p, nil
}

// listenSomewhere takes a free loopback port below the range from which
// systems take ports for outgoing connections, so that Heal finds it free
// after Cut has let it go.
func listenSomewhere() (net.Listener, error) {
	const low, high, attempts = 20000, 32000, 100
	var err error
	for range attempts {
		var l net.Listener
		port := strconv.Itoa(low + rand.IntN(high-low))
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("faultproxy: no free port: %w", err)
}

// Addr is the proxy's host and port. It stays the same through every fault.
func (p *Proxy) Addr() string { return p.addr }

// Connections is the number of connections that are open now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// SetDelay makes round trips of data read from now on take d longer. What is
// already on its way keeps its time and is not overtaken. Negative means none.
func (p *Proxy) SetDelay(d time.Duration) {
	p.change(func(s *state) { s.oneWay = max(0, d/2) })
}

// Hang lets nothing pass: connections stay open and new ones are accepted, but
// not yet passed on. What arrives is held until Heal.
func (p *Proxy) Hang() {
	p.change(func(s *state) { s.hung = true })
}

// Cut resets every connection, throws away what is on its way and refuses new
// connections until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// cut is Cut for those who hold mu.
func (p *Proxy) cut() {
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for l := range p.links {
		l.reset()
	}
}

// Heal ends Cut and Hang. It fails if another process took the port meanwhile.
func (p *Proxy) Heal() error {
	p.change(func(s *state) { s.hung = false })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("faultproxy: %w", err)
	}
	p.serve(l)
	return nil
}

// Close resets every connection and returns when all goroutines have ended.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.cut()
	p.mu.Unlock()
	p.goroutines.Wait()
	return nil
}

// change puts a new state in force and wakes those who wait for one.
func (p *Proxy) change(how func(*state)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.state.Load()
	next := *old
	next.changed = make(chan struct{})
	how(&next)
	p.state.Store(&next)
	close(old.changed)
}

// serve accepts connections until the listener is closed. The caller holds mu.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.goroutines.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.admit(l, conn.(*net.TCPConn))
		}
	})
}

// admit starts a link for an accepted connection, unless Cut came first.
func (p *Proxy) admit(l net.Listener, client *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		resetConn(client)
		return
	}
	link := newLink(p, client)
	p.links[link] = struct{}{}
	p.goroutines.Go(func() {
		link.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, link)
	})
}
