//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ReplicaConfig describes a streaming replica.
type ReplicaConfig struct {
	// Name is its replication slot and application_name: small letters,
	// digits and underscores, unique under its primary.
	Name string

	// Upstream is the host and port from which it streams. Empty means the
	// primary itself; a proxy's address lets a test cut or slow the stream.
	Upstream string

	// Settings are further lines of postgresql.conf. All others are the
	// primary's.
	Settings map[string]string
}

// A Replica is a server in hot standby. It has a replication slot of its own,
// so the primary keeps whatever it has not received yet; the slot is gone
// with the primary.
type Replica struct {
	*Server
	Name string
}

// AddReplica copies the server into a new one that follows it. Closing the
// primary closes its replicas.
func (s *Server) AddReplica(ctx context.Context, cfg ReplicaConfig) (*Replica, error) {
	own := s.cfg
	own.Settings = cfg.Settings
	standby, err := newServer(own)
	if err != nil {
		return nil, err
	}
	r := &Replica{Server: standby, Name: cfg.Name}
	if err := r.follow(ctx, s, cfg); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(ErrNotRunning, r.Close())
	}
	s.replicas = append(s.replicas, r)
	return r, nil
}

// follow copies the primary's data and starts to stream from it.
func (r *Replica) follow(ctx context.Context, primary *Server, cfg ReplicaConfig) error {
	// pg_basebackup could make the slot itself, but one that reserves nothing
	// until streaming begins: a checkpoint in between, such as that of another
	// replica's backup, would take away the WAL it needs.
	_, err := primary.Value(ctx, fmt.Sprintf("select pg_create_physical_replication_slot('%s', true)", cfg.Name))
	if err != nil {
		return err
	}
	err = r.install.run(ctx, r.folder.path, "pg_basebackup", "-D", r.folder.data(),
		"-h", "127.0.0.1", "-p", strconv.Itoa(primary.port), "-U", "postgres", "-w",
		"-R", "-X", "stream", "-c", "fast", "--no-sync", "-S", cfg.Name)
	if err != nil {
		return err
	}
	var conf strings.Builder
	for name, value := range cfg.Settings {
		setting(&conf, name, value)
	}
	setting(&conf, "cluster_name", cfg.Name)
	if err := r.folder.appendTo("postgresql.conf", conf.String()); err != nil {
		return err
	}
	upstream := cfg.Upstream
	if upstream == "" {
		upstream = primary.Addr()
	}
	// The last line wins over the one that pg_basebackup wrote.
	var auto strings.Builder
	setting(&auto, "primary_conninfo", dsn(upstream, "")+"&application_name="+cfg.Name)
	if err := r.folder.appendTo("postgresql.auto.conf", auto.String()); err != nil {
		return err
	}
	return r.startOnFreePort(ctx)
}

// PauseReplay stops the application of what the replica receives: from here
// on it lags.
func (r *Replica) PauseReplay(ctx context.Context) error {
	if err := r.Exec(ctx, "select pg_wal_replay_pause()"); err != nil {
		return err
	}
	return r.until(ctx, "select pg_get_wal_replay_pause_state() = 'paused'")
}

// ResumeReplay lets the replica catch up.
func (r *Replica) ResumeReplay(ctx context.Context) error {
	return r.Exec(ctx, "select pg_wal_replay_resume()")
}

// CatchUp returns once the replica has applied all that the primary has
// written by now.
func (r *Replica) CatchUp(ctx context.Context, primary *Server) error {
	lsn, err := primary.Value(ctx, "select pg_current_wal_lsn()")
	if err != nil {
		return err
	}
	return r.until(ctx, fmt.Sprintf("select pg_last_wal_replay_lsn() >= '%s'", lsn))
}

// Promote makes the replica a primary of its own and returns once it accepts
// writes.
func (r *Replica) Promote(ctx context.Context) error {
	done, err := r.Value(ctx, "select pg_promote(true, 30)")
	if err != nil {
		return err
	}
	if done != "t" {
		return fmt.Errorf("pgtest: %s was not promoted in 30 s\n%s", r.Name, r.LogTail())
	}
	return nil
}

// until repeats a query until it says true.
func (r *Replica) until(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		answer, err := r.Value(ctx, sql)
		if err != nil {
			return err
		}
		if answer == "t" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pgtest: %s: still not so: %w", sql, context.Cause(ctx))
		case <-poll.C:
		}
	}
}
