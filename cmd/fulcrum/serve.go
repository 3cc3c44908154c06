package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/config"
	"github.com/fulcrum-data/fulcrum/internal/gateway"
)

// serveCommand is fulcrum serve.
type serveCommand struct {
	Config string `help:"What to serve, and where." short:"c" required:"" placeholder:"FILE"`
}

// Run serves until SIGTERM or Ctrl-C, and then answers what it has taken on. A
// database that does not answer at the start is an error; later it is waited for.
func (c *serveCommand) Run(t terminal) error {
	collectLess()
	opened, log, err := configure(t.ctx, c.Config, t.stderr, false)
	if err == nil {
		if err = opened.gateway.Listen(); err != nil {
			err = errors.Join(problemsOf(opened.Config, c.Config, err), opened.Close())
		}
	}
	if err != nil {
		return refuse(t.ctx, log, err)
	}
	follow, stop := context.WithCancel(t.ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		newReloader(opened, c.Config, log).run(follow)
	}()
	done := drain(t.ctx, log, opened)
	stop()
	<-followed
	if !done {
		return errReported // calls in flight would hold up Close; the process ends anyway
	}
	leave(log, opened)
	log.Info("stopped")
	return nil
}

// collectLess lets the garbage collector wait until there are four times as much
// garbage as live data, unless GOGC says otherwise. What lives in a gateway is some
// megabytes; as Go has it, they would be searched dozens of times a second, which
// costs a tenth of the throughput.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// goodbyeTime is how long a database may take to see its connections closed.
const goodbyeTime = 2 * time.Second

// leave closes the database. All requests are answered by now, so that nothing is
// lost where that fails.
func leave(log *slog.Logger, db io.Closer) {
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	timer := time.NewTimer(goodbyeTime)
	defer timer.Stop()
	select {
	case err := <-closed:
		if err != nil {
			log.Warn("closing the database failed", "error", err)
		}
	case <-timer.C:
		log.Warn("the database did not say goodbye", "within", goodbyeTime)
	}
}

// refuse logs why nothing is served, a line for each problem.
func refuse(ctx context.Context, log *slog.Logger, err error) error {
	if ctx.Err() != nil {
		log.Info("interrupted before the start")
		return nil
	}
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems {
		log.Error("refused to start", "error", p)
	}
	return errReported
}

// drain serves until ctx ends, and says whether all went well.
func drain(ctx context.Context, log *slog.Logger, c configured) bool {
	logStart(log, c)
	served := make(chan error, 1)
	go func() { served <- c.gateway.Serve() }()
	select {
	case err := <-served:
		log.Error("a listener failed", "error", err)
		return false
	case <-ctx.Done():
	}
	log.Info("shutting down", "within", c.Limits.Shutdown)
	bounded, cancel := context.WithTimeout(context.Background(), c.Limits.Shutdown)
	defer cancel()
	begin := time.Now()
	if err := errors.Join(c.gateway.Shutdown(bounded), <-served); err != nil {
		log.Error("requests were cut off", "error", err, "after", time.Since(begin))
		return false
	}
	return true
}

func logStart(log *slog.Logger, c configured) {
	for _, r := range c.gateway.Describe() {
		log.Info("resource", "name", r.Name, "path", r.Path)
	}
	if regions := c.gateway.Regions(); len(regions) > 1 {
		for _, r := range regions {
			log.Info("region", "name", r.Name, "policy", r.String())
		}
	}
	if len(c.Tokens) == 0 && !gateway.Loopback(c.gateway.Addr()) {
		log.Warn("everybody who reaches the data listener can read everything: there are no tokens")
	}
	log.Info("serving", "data", "http://"+c.gateway.Addr(), "admin", "http://"+c.gateway.AdminAddr(),
		"store", c.Store.String(), "tokens", len(c.Tokens), "version", version())
}
