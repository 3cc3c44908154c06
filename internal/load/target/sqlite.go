package target

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // what opens a connection for each request

	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

type sqliteBackend struct {
	*sqlite.DB
	path string
}

func openSQLite(ctx context.Context, cfg StoreConfig) (backend, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(cfg.DSN, "sqlite:"), "//")
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, Conns: min(cfg.Connections, 1000)})
	if err != nil {
		return nil, err
	}
	return sqliteBackend{db, path}, nil
}

// cpu is not known: the database is a part of this process.
func (sqliteBackend) cpu() (time.Duration, bool) { return 0, false }

// dial opens the file for each request, as code without a pool does.
func (b sqliteBackend) dial(cfg StoreConfig) func(context.Context, []string) error {
	query := pointQuery(cfg, func(int) string { return "?" })
	return func(ctx context.Context, key []string) error {
		db, err := b.reopen()
		if err != nil {
			return err
		}
		defer db.Close()
		row := db.QueryRowContext(ctx, query, values[string, any](key)...)
		if err := row.Scan(places(len(cfg.Columns))...); !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return errNoRow
	}
}

// reopen opens the file through the usual interface, to be read alone.
func (b sqliteBackend) reopen() (*sql.DB, error) { return b.reopenFor("ro") }

func (b sqliteBackend) reopenFor(mode string) (*sql.DB, error) {
	full, err := filepath.Abs(b.path)
	if err != nil {
		return nil, err
	}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: full, RawQuery: "_pragma=busy_timeout(10000)&mode=" + mode}).String())
}

// scratch copies some rows. A table of that name is that of a bench that was killed.
func (b sqliteBackend) scratch(ctx context.Context, cfg StoreConfig) (drop func() error, err error) {
	away := "drop table if exists " + ScratchTable
	err = b.exec(ctx, away,
		fmt.Sprintf("create table %s as select %s from %s limit %d", ScratchTable, quoteAll(withKey(cfg)), quoteTable(cfg.Table), mostSampled),
		fmt.Sprintf("create unique index %s_key on %[1]s (%s)", ScratchTable, quoteAll(cfg.Key)))
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		return b.exec(ctx, away)
	}, err
}

// exec runs statements on a connection of its own.
func (b sqliteBackend) exec(ctx context.Context, statements ...string) error {
	db, err := b.reopenFor("rw")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// withKey are the columns that are read, and those of the key.
func withKey(cfg StoreConfig) []string {
	all := slices.Clone(cfg.Key)
	for _, c := range cfg.Columns {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// pointQuery reads one row. Columns and table come from the command line of whoever
// owns the database; quoted, they can only be names.
func pointQuery(cfg StoreConfig, place func(i int) string) string {
	where := make([]string, len(cfg.Key))
	for i, k := range cfg.Key {
		where[i] = quote(k) + " = " + place(i)
	}
	return "select " + quoteAll(cfg.Columns) + " from " + quoteTable(cfg.Table) + " where " + strings.Join(where, " and ")
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

// quoteTable quotes the parts of schema.table.
func quoteTable(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = quote(parts[i])
	}
	return strings.Join(parts, ".")
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// values are the elements of a slice as another type.
func values[From, To any](all []From) []To {
	out := make([]To, len(all))
	for i := range all {
		out[i] = any(all[i]).(To)
	}
	return out
}

// places are where a row's values go, whatever they are.
func places(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = new(any)
	}
	return all
}
