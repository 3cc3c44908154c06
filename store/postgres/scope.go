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

// scoped sends a statement behind the call's scope. Both travel together, and the
// server runs what arrives before the synchronisation as one transaction: if the
// scope cannot be set the statement does not run, and the scope ends with it.
func (db *DB) scoped(ctx context.Context, c *pgx.Conn, send func(*pgconn.Pipeline), row func([][]byte) error) (err error) {
	set, err := c.Prepare(ctx, setScopeStatement.name, setScopeStatement.sql)
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
	pipe.SendQueryStatement(set, [][]byte{[]byte(db.cfg.ScopeSetting), []byte(fulcrum.ScopeFrom(ctx))}, nil, nil)
	send(pipe)
	if err := pipe.Sync(); err != nil {
		return err
	}
	if err := nextResult(pipe, func([][]byte) error { return nil }); err != nil {
		return err
	}
	return nextResult(pipe, row)
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
