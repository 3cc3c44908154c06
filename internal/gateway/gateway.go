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
	"github.com/fulcrum-data/fulcrum/cache/shared"
	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/internal/watch"
	"github.com/fulcrum-data/fulcrum/store"
)

// Gateway serves resources over HTTP. New, Listen, Serve, Shutdown: in this order.
type Gateway struct {
	cfg      Config
	started  time.Time
	backend  *fulcrum.Backend
	tables   map[string]store.Table // by resource
	live     atomic.Pointer[live]
	draining atomic.Bool
	ended    chan struct{}      // closed when draining begins
	statuses [600]atomic.Uint64 // answers of the data listener, by status
	quiet    quiet
	debug    bool         // requests are logged
	watch    *watch.Watch // of the requests that wait
	read     atomic.Int64 // when the database answered last, in ns since started
	monitor  monitor
	tap      *tap             // nil unless usage is looked at
	people   *beacon.Receiver // nil: what they feel is not asked
	visits   *visits          // nil: they are in memory alone
	commits  commits
	caches   caches
	link     *shared.Link // to the Redis that gateways share; nil: there is none

	reloading sync.Mutex // guards what follows
	readers   map[place]opened

	data, admin server
	closeOnce   sync.Once
}

// New opens the resources and makes their Readers. It listens nowhere yet.
func New(ctx context.Context, cfg Config) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var err error
	if cfg.Backend, cfg.Commits, err = cfg.fit(); err != nil {
		return nil, err
	}
	cfg.Backend.Name, cfg.Backend.Mode = "database", cfg.Policy.Mode
	if db, ok := cfg.copied(); ok {
		cfg.Backend.Copies, cfg.Backend.Choice.Vet = db.Copies(), db.Vet
	}
	g := &Gateway{
		cfg: cfg, started: time.Now(), watch: watch.New(), ended: make(chan struct{}),
		tables: make(map[string]store.Table, len(cfg.Resources)), readers: make(map[place]opened),
	}
	g.monitor.init(g.started)
	if cfg.Usage {
		g.tap = newTap(g.started)
	}
	if cfg.Experience != nil {
		g.people = beacon.New(*cfg.Experience)
	}
	g.debug = cfg.Log.Enabled(ctx, slog.LevelDebug)
	backend := cfg.Backend
	backend.OnEvent, backend.OnDecision = g.onEvent, g.onDecision
	if g.backend, err = fulcrum.NewBackend(backend); err != nil {
		return nil, &FieldError{"Backend", err.Error()}
	}
	l, err := g.prepare(cfg)
	if err != nil {
		return nil, err
	}
	if err := g.openAll(ctx); err != nil {
		return nil, err
	}
	if err := g.openVisits(ctx); err != nil {
		return nil, err
	}
	if g.caches, err = openCaches(cfg); err != nil {
		return nil, err
	}
	if err := g.share(ctx); err != nil {
		return nil, err
	}
	if err := g.commits.open(ctx, cfg, g.tables, g.caches, g.onEvent); err != nil {
		g.unshare()
		return nil, errors.Join(fmt.Errorf("gateway: %w", err), g.commits.shutdown(ctx))
	}
	if err := g.install(cfg, l); err != nil {
		g.unshare()
		return nil, err
	}
	g.data = server{what: "data", http: g.newServer(g.Data(), cfg.Timeout+slowest)}
	g.admin = server{what: "admin", http: g.newServer(g.Admin(), profileTime)}
	return g, nil
}

// Reader is the Reader of a resource in the default region, nil if there is no such
// resource.
func (g *Gateway) Reader(name string) *fulcrum.Reader[store.Key, []byte] {
	l := g.live.Load()
	if r := l.resources[name]; r != nil {
		return r.readers[l.table.Default().Index()]
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
	defer g.observe()()
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
// answered, Writers and Readers drained, admin listener closed. If ctx ends first, what is left
// is cut off and the context's error is returned. The database stays open.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.draining.Store(true)
	g.commits.hub.close()
	err := errors.Join(g.data.shutdown(ctx), g.commits.shutdown(ctx))
	if g.visits != nil {
		g.visits.shutdown(ctx)
	}
	g.reloading.Lock()
	for _, r := range g.readers {
		err = errors.Join(err, r.Shutdown(ctx))
	}
	g.reloading.Unlock()
	g.closeOnce.Do(func() {
		g.unshare()
		g.watch.Close()
		g.monitor.close()
		if g.tap != nil {
			g.tap.lines.Close()
		}
		close(g.ended)
	})
	return errors.Join(err, g.admin.shutdown(ctx))
}

func (s *server) shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("gateway: %s listener: requests were cut off: %w", s.what, err), s.http.Close())
}
