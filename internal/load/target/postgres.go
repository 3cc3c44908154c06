package target

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum/store/postgres"
)

type postgresBackend struct {
	*postgres.DB
	conn *pgx.ConnConfig
	proc serverTime
}

func openPostgres(ctx context.Context, cfg StoreConfig) (backend, error) {
	db, err := postgres.Open(ctx, postgres.Config{DSN: cfg.DSN, MinConns: min(10, cfg.Connections), MaxConns: cfg.Connections})
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ParseConfig(cfg.DSN)
	if err != nil { // postgres.Open has parsed it
		return nil, err
	}
	return postgresBackend{db, conn, findServer(ctx, conn)}, nil
}

func (b postgresBackend) cpu() (time.Duration, bool) { return b.proc.used() }

// goodbyeTime is how long closing a connection may take.
const goodbyeTime = time.Second

// dial connects for each request, as code without a pool does.
func (b postgresBackend) dial(cfg StoreConfig) func(context.Context, []string) error {
	query := pointQuery(cfg, func(i int) string { return "$" + strconv.Itoa(i+1) })
	return func(ctx context.Context, key []string) error {
		c, err := pgx.ConnectConfig(ctx, b.conn.Copy())
		if err != nil {
			return plain(err)
		}
		defer func() {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
			defer cancel()
			_ = c.Close(bounded) // the answer is there
		}()
		return first(c.Query(ctx, query, values[string, any](key)...))
	}
}

// scratch copies some rows. A table of that name is that of a bench that was killed.
func (b postgresBackend) scratch(ctx context.Context, cfg StoreConfig) (drop func() error, err error) {
	away := "drop table if exists " + ScratchTable
	err = b.exec(ctx, away,
		fmt.Sprintf("create table %s as select %s from %s limit %d", ScratchTable, quoteAll(withKey(cfg)), quoteTable(cfg.Table), mostSampled),
		fmt.Sprintf("alter table %s add primary key (%s)", ScratchTable, quoteAll(cfg.Key)))
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		return b.exec(ctx, away)
	}, err
}

// exec runs statements on a connection of its own.
func (b postgresBackend) exec(ctx context.Context, statements ...string) error {
	c, err := pgx.ConnectConfig(ctx, b.conn.Copy())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, sql := range statements {
		if _, err := c.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// first reads all rows, of which there should be one.
func first(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		if _, err := rows.Values(); err != nil {
			return err
		}
		n++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n == 0 {
		return errNoRow
	}
	return nil
}
