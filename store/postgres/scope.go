package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
)

// setScope sets a parameter until the transaction ends.
const setScope = "select pg_catalog.set_config($1, $2, true)"

var setScopeStatement = newStatement(setScope)

// together sends a statement behind the call's scope, if there are scopes, and behind the
// question how far the replica has got, if the call must come behind a write. All travel
// together, and the server runs what arrives before the synchronisation as one
// transaction: if the scope cannot be set the statement does not run, and the scope ends
// with it. Each statement sees what is there when it begins: what the replica has got to
// before is in there.
func (db *DB) together(ctx context.Context, c *pgx.Conn, must position, send func(*pgconn.Pipeline), row func([][]byte) error) (err error) {
	set, seen, err := db.prepareTogether(ctx, c, must)
	if err != nil {
		return err
	}
	pipe := c.PgConn().StartPipeline(ctx)
	defer func() {
		if closed := pipe.Close(); err == nil {
			err = closed
		}
		if outdated(err) {
			err = errors.Join(err, c.Deallocate(ctx, setScopeStatement.name))
		}
	}()
	if seen != nil {
		pipe.SendQueryStatement(seen, nil, nil, nil)
	}
	if set != nil {
		pipe.SendQueryStatement(set, [][]byte{[]byte(db.cfg.ScopeSetting), []byte(fulcrum.ScopeFrom(ctx))}, nil, nil)
	}
	send(pipe)
	if err := pipe.Sync(); err != nil {
		return err
	}
	if seen != nil {
		err := nextResult(pipe, func(values [][]byte) error { return readSeen(c.PgConn(), values[0], must) })
		if err != nil {
			return err
		}
	}
	if set != nil {
		if err := nextResult(pipe, ignoreRows); err != nil {
			return err
		}
	}
	return nextResult(pipe, row)
}

// prepareTogether prepares what goes before a call's statement; nil for what is not wanted.
func (db *DB) prepareTogether(ctx context.Context, c *pgx.Conn, must position) (set, seen *pgconn.StatementDescription, err error) {
	if db.cfg.ScopeSetting != "" {
		if set, err = c.Prepare(ctx, setScopeStatement.name, setScopeStatement.sql); err != nil {
			return nil, nil, err
		}
	}
	if must > 0 {
		seen, err = c.Prepare(ctx, seenStatement.name, seenStatement.sql)
	}
	return set, seen, err
}

// nextResult reads the next statement's rows.
func nextResult(pipe *pgconn.Pipeline, row func([][]byte) error) error {
	return nextTagged(pipe, row, nil)
}

// nextTagged keeps the tag that the command ends with, too.
func nextTagged(pipe *pgconn.Pipeline, row func([][]byte) error, tag *string) error {
	result, err := pipe.GetResults()
	if err != nil {
		return err
	}
	r, ok := result.(*pgconn.ResultReader)
	if !ok {
		return errors.New("postgres: the server's answers are out of step")
	}
	err = readRows(r, row)
	if tag != nil && err == nil {
		done, _ := r.Close()
		*tag = done.String()
	}
	return err
}
