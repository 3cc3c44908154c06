package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/watch"
	"github.com/fulcrum-data/fulcrum/store"
)

// Gateway serves resources over HTTP. New, Listen, Serve, Shutdown: in this order.
type Gateway struct {
	cfg       Config
	started   time.Time
	resources map[string]*resource
	draining  atomic.Bool
	statuses  [600]atomic.Uint64 // answers of the data listener, by status
	quiet     quiet
	guard     guard
	debug     bool         // requests are logged
	watch     *watch.Watch // of the requests that wait
	read      atomic.Int64 // when the database answered last, in ns since started

	data, admin server
	closeWatch  sync.Once
}

// resource is what one name stands for.
type resource struct {
	name   string
	table  store.Table
	reader *fulcrum.Reader[store.Key, []byte]
	wait   fulcrum.Option // whether its requests wait for their queries by themselves
}

// New opens the resources and makes their Readers. It listens nowhere yet.
func New(ctx context.Context, cfg Config) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, started: time.Now(), resources: make(map[string]*resource, len(cfg.Resources)), watch: watch.New()}
	g.debug = cfg.Log.Enabled(ctx, slog.LevelDebug)
	var err error
	if g.guard, err = newGuard(cfg); err != nil {
		return nil, err
	}
	if err := g.openAll(ctx); err != nil {
		return nil, err
	}
	g.data = server{what: "data", http: g.newServer(g.Data(), cfg.Timeout+slowest)}
	g.admin = server{what: "admin", http: g.newServer(g.Admin(), profileTime)}
	return g, nil
}

// open makes the Reader of one resource.
func (g *Gateway) open(ctx context.Context, r store.Resource) (*resource, error) {
	table, err := g.cfg.DB.Open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
		Name: r.Name, Timeout: g.cfg.Timeout, Policy: g.cfg.Policy, One: table.One,
		Fetch: func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
			err := table.Fetch(ctx, b)
			if err == nil {
				g.read.Store(int64(time.Since(g.started)))
			}
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	res := &resource{name: r.Name, table: table, reader: reader}
	if _, is := table.(store.Punctual); is {
		res.wait = fulcrum.Patient
	}
	return res, nil
}

// Reader is the Reader of a resource, nil if there is no such resource.
func (g *Gateway) Reader(name string) *fulcrum.Reader[store.Key, []byte] {
	if r := g.resources[name]; r != nil {
		return r.reader
	}
	return nil
}

// server is one listener and what answers there.
type server struct {
	what     string
	http     *http.Server
	listener net.Listener
}

// Time-outs of both servers.
const (
	headerTime  = 5 * time.Second  // a request's header must be there
	bodyTime    = 30 * time.Second // its body too, or sooner if the request's time is less
	slowest     = 30 * time.Second // a client may take to read its answer
	profileTime = 5 * time.Minute  // a profile may run
)

// newServer makes a server whose requests end after the longest time. The time to
// read must not be less than that to answer: net/http takes a connection that
// cannot be read any more for a client that has left.
func (g *Gateway) newServer(h http.Handler, longest time.Duration) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       longest,
		WriteTimeout:      longest,
		IdleTimeout:       longest, // as that of reading, or each request changes it twice
		MaxHeaderBytes:    g.cfg.MaxHeader,
		ErrorLog:          slog.NewLogLogger(g.cfg.Log.Handler(), slog.LevelWarn),
	}
}

// Listen binds both addresses, so that their errors come before anything is served.
func (g *Gateway) Listen() error {
	if err := g.data.listen(g.cfg.Listen); err != nil {
		return err
	}
	if err := g.admin.listen(g.cfg.Admin); err != nil {
		return errors.Join(err, g.data.listener.Close())
	}
	return nil
}

func (s *server) listen(address string) (err error) {
	s.listener, err = net.Listen("tcp", address)
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("gateway: the %s listener cannot have %s: the port is in use; stop the program that has it, or choose another address", s.what, address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("gateway: the %s listener may not have %s: ports below 1024 need privileges; choose a higher one", s.what, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("gateway: the %s listener cannot have %s: this machine does not have that address; use 127.0.0.1 or one of its own", s.what, address)
	}
	return fmt.Errorf("gateway: the %s listener cannot have %s: %w", s.what, address, err)
}

// Addr is where the data listener listens, with its real port. After Listen.
func (g *Gateway) Addr() string { return g.data.listener.Addr().String() }

// AdminAddr is where the admin listener listens. After Listen.
func (g *Gateway) AdminAddr() string { return g.admin.listener.Addr().String() }

// Serve answers requests until Shutdown is called (nil) or a listener fails. It
// must be called after Listen, and once.
func (g *Gateway) Serve() error {
	ended := make(chan error, 2)
	for _, s := range []*server{&g.data, &g.admin} {
		go func() { ended <- s.serve() }()
	}
	err := <-ended
	if err != nil { // the other one has nothing to serve any more
		err = errors.Join(err, g.data.http.Close(), g.admin.http.Close())
	}
	return errors.Join(err, <-ended)
}

func (s *server) serve() error {
	err := s.http.Serve(listener{s.listener})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("gateway: %s listener: %w", s.what, err)
}

// Shutdown ends the gateway in order: not ready, no new connections, requests
// answered, Readers drained, admin listener closed. If ctx ends first, what is left
// is cut off and the context's error is returned. The database stays open.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.draining.Store(true)
	err := g.data.shutdown(ctx)
	for _, r := range g.resources {
		err = errors.Join(err, r.reader.Shutdown(ctx))
	}
	g.closeWatch.Do(g.watch.Close)
	return errors.Join(err, g.admin.shutdown(ctx))
}

func (s *server) shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("gateway: %s listener: requests were cut off: %w", s.what, err), s.http.Close())
}
