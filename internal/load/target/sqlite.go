package target

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // what opens a connection for each request

	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

type sqliteBackend struct {
	*sqlite.DB
	cfg  StoreConfig
	path string
}

func openSQLite(ctx context.Context, cfg StoreConfig, path string) (backend, error) {
	path = strings.TrimPrefix(path, "//")
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, Conns: min(cfg.Connections, 1000)})
	if err != nil {
		return nil, err
	}
	return sqliteBackend{db, cfg, path}, nil
}

// cpu is not known: the database is a part of this process.
func (sqliteBackend) cpu() (time.Duration, bool) { return 0, false }

// dial opens the file for each request, as code without a pool does.
func (b sqliteBackend) dial() func(context.Context, []string) error {
	full, err := filepath.Abs(b.path)
	dsn := (&url.URL{Scheme: "file", Path: full, RawQuery: "mode=ro"}).String()
	query := pointQuery(b.cfg, func(int) string { return "?" })
	return func(ctx context.Context, key []string) error {
		if err != nil {
			return err
		}
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		row := db.QueryRowContext(ctx, query, values[string, any](key)...)
		return row.Scan(places(len(b.cfg.Columns))...)
	}
}

// pointQuery reads one row. Columns and table come from the command line of whoever
// owns the database; quoted, they can only be names.
func pointQuery(cfg StoreConfig, place func(i int) string) string {
	columns, where := make([]string, len(cfg.Columns)), make([]string, len(cfg.Key))
	for i, c := range cfg.Columns {
		columns[i] = quote(c)
	}
	for i, k := range cfg.Key {
		where[i] = quote(k) + " = " + place(i)
	}
	table := strings.Split(cfg.Table, ".")
	for i := range table {
		table[i] = quote(table[i])
	}
	return "select " + strings.Join(columns, ", ") + " from " + strings.Join(table, ".") + " where " + strings.Join(where, " and ")
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
