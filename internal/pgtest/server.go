//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyTimeout = 30 * time.Second // from fork to the first answered query
	stopTimeout  = 30 * time.Second // from the signal to the postmaster's end
	readyPoll    = 5 * time.Millisecond
)

// ErrNotRunning is what a stopped server answers to Stop, Kill and Pause.
var ErrNotRunning = errors.New("pgtest: the server is not running")

// A Server is one PostgreSQL server. Its methods may be called from several
// goroutines.
type Server struct {
	cfg     Config
	install *install
	folder  *folder
	port    int

	mu       sync.Mutex // guards what follows and orders starts and stops
	process  *process   // the last one started
	guard    *guard     // set while paused
	replicas []*Replica
	closed   bool
}

// Launch starts a server; ctx bounds the start and nothing after it. The
// caller closes the server.
func Launch(ctx context.Context, cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.firstStart(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newServer makes a server that has a folder but no data yet.
func newServer(cfg Config) (*Server, error) {
	in, err := findInstall()
	if err != nil {
		return nil, err
	}
	f, err := in.newFolder(cfg.Durable)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, install: in, folder: f}, nil
}

// firstStart gives the server its data, its settings and its databases.
func (s *Server) firstStart(ctx context.Context) error {
	fill := s.install.cloneTemplate
	if s.cfg.OwnCluster {
		fill = s.install.makeCluster
	}
	if err := fill(ctx, s.folder.data()); err != nil {
		return err
	}
	if err := s.folder.appendTo("postgresql.conf", s.cfg.settings()); err != nil {
		return err
	}
	if err := s.startOnFreePort(ctx); err != nil {
		return err
	}
	for _, name := range s.cfg.Databases {
		create := `create database "` + strings.ReplaceAll(name, `"`, `""`) + `"`
		if err := s.execIn(ctx, "postgres", create); err != nil {
			return err
		}
	}
	return nil
}

// startOnFreePort starts, and tries another port if somebody took the free one
// before PostgreSQL could bind it.
func (s *Server) startOnFreePort(ctx context.Context) error {
	const attempts = 5
	var err error
	for range attempts {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.folder.appendTo("postgresql.conf", fmt.Sprintf("port = %d\n", s.port)); err != nil {
			return err
		}
		if err = s.StartAgain(ctx); err == nil || !strings.Contains(err.Error(), "could not bind") {
			return err
		}
	}
	return err
}

// StartAgain starts a server that was stopped or killed, on the same port, and
// returns once it answers queries.
func (s *Server) StartAgain(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrNotRunning
	}
	if s.running() {
		return errors.New("pgtest: the server is already running")
	}
	log, err := os.OpenFile(s.folder.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer log.Close()
	// Not ctx: it bounds the start, not the server's life.
	cmd := s.install.command(context.Background(), s.folder.path, "postgres", "-D", s.folder.data())
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("pgtest: start postgres: %w", err)
	}
	if err := s.waitReady(ctx); err != nil {
		return errors.Join(err, s.stop(Immediate))
	}
	return nil
}

// waitReady returns once the server answers a query, or says why it does not.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("pgtest: postgres ended at its start: %w\n%s", s.process.err, s.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("pgtest: postgres is not ready (%w): %w\n%s", context.Cause(ctx), err, s.LogTail())
		case <-poll.C:
		}
	}
}

// running says whether the postmaster lives. The caller holds mu, or is alone.
func (s *Server) running() bool { return s.process != nil && !s.process.ended() }

// A StopMode says how a server is shut down; the names are PostgreSQL's.
type StopMode int

// The ways to stop a server.
const (
	Fast      StopMode = iota // end all sessions, write a checkpoint
	Smart                     // first wait until all sessions have ended by themselves
	Immediate                 // write nothing more; the next start recovers
)

// signal is what PostgreSQL expects for the mode.
func (m StopMode) signal() syscall.Signal {
	switch m {
	case Smart:
		return syscall.SIGTERM
	case Immediate:
		return syscall.SIGQUIT
	default:
		return syscall.SIGINT
	}
}

// Stop shuts the server down and returns when it has ended. A paused server is
// resumed for that. It can be started again.
func (s *Server) Stop(mode StopMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(mode)
}

// stop is Stop for those who hold mu.
func (s *Server) stop(mode StopMode) error {
	if !s.running() {
		return ErrNotRunning
	}
	if err := s.resume(); err != nil {
		return err
	}
	if err := s.process.signal(mode.signal()); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pgtest: %w", err)
	}
	return s.awaitEnd()
}

// awaitEnd waits for the postmaster's end and forces it if that takes too long.
func (s *Server) awaitEnd() error {
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-s.process.done:
		return nil
	case <-timeout.C:
	}
	err := fmt.Errorf("pgtest: postgres did not stop in %v\n%s", stopTimeout, s.LogTail())
	killErr := s.process.signal(os.Kill)
	<-s.process.done
	return errors.Join(err, killErr)
}

// Restart stops the server (Fast) and starts it again on the same port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(Fast); err != nil {
		return err
	}
	return s.StartAgain(ctx)
}

// Close stops the server and its replicas and removes their folders. Later
// calls do nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, r := range s.replicas {
		errs = append(errs, r.Close())
	}
	if s.running() {
		errs = append(errs, s.stop(Immediate))
	}
	return errors.Join(append(errs, s.folder.remove())...)
}
