//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Port is the server's TCP port on 127.0.0.1. It stays the same over restarts.
func (s *Server) Port() int { return s.port }

// Addr is the server's host and port, such as "127.0.0.1:23456".
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// DSN is the connection string of the first of Config.Databases, or of
// "postgres" if there is none. The user is a superuser without a password.
func (s *Server) DSN() string { return s.DSNVia(s.Addr()) }

// DSNVia is DSN with another host and port, such as those of a proxy in front
// of the server.
func (s *Server) DSNVia(addr string) string { return dsn(addr, s.cfg.database()) }

func dsn(addr, database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", addr, database)
}

// Exec runs one or more statements on a connection of their own.
func (s *Server) Exec(ctx context.Context, sql string) error {
	return s.execIn(ctx, s.cfg.database(), sql)
}

func (s *Server) execIn(ctx context.Context, database, sql string) error {
	_, err := s.query(ctx, database, sql)
	return err
}

// Value runs a query and returns the first column of its first row as text,
// NULL as "". A query without rows is an error.
func (s *Server) Value(ctx context.Context, sql string) (string, error) {
	results, err := s.query(ctx, s.cfg.database(), sql)
	if err != nil {
		return "", err
	}
	for _, r := range results {
		if len(r.Rows) > 0 && len(r.Rows[0]) > 0 {
			return string(r.Rows[0][0]), nil
		}
	}
	return "", fmt.Errorf("pgtest: no row: %s", sql)
}

// query runs statements in a connection that exists for them alone, so that it
// works after any restart.
func (s *Server) query(ctx context.Context, database, sql string) (_ []*pgconn.Result, err error) {
	conn, err := pgconn.Connect(ctx, dsn(s.Addr(), database))
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("pgtest: %s: %w", sql, err)
	}
	return results, nil
}

// ping asks the server for its data directory. Some other server may have
// taken the port first, and its answer must not count.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	results, err := s.query(ctx, "postgres", "show data_directory")
	if err != nil {
		return err
	}
	if got := string(results[0].Rows[0][0]); got != s.folder.data() {
		return fmt.Errorf("pgtest: another server answers on %s: could not bind", s.Addr())
	}
	return nil
}

// CPU is the processor time that the server has used since its last start:
// the postmaster and all its children, living or gone. Differences of it,
// divided by rows, say what a row costs the database. The kernel counts in
// units of 10 ms for each process. ok is false where it cannot be known: on
// systems other than Linux, and while the server is stopped.
func (s *Server) CPU() (used time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0, false
	}
	return cpuOf(s.process.pid())
}

// LogTail is the end of the server's log, for error messages.
func (s *Server) LogTail() string {
	const most = 4096
	raw, err := os.ReadFile(s.folder.log())
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-most):])
}
