package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

var types = fulcrumtest.Types{
	Int: "bigint", Text: "text", Bytes: "bytea", Float: "double precision", UUID: "uuid", Bool: "boolean",
	Time: "timestamp", JSON: "jsonb", NoCase: "citext", Padded: "char(10)",
}

// Two databases differ in what they take for the same text; the store must not care.
func TestStore(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    postgres.Config
		noCase string
		clock  string
	}{
		{"citext", postgres.Config{}, "citext", "timestamptz"},
		{"collation", postgres.Config{MinConns: -1, MaxConns: 3}, "text collate nocase", "timestamp"},
		{"scope", postgres.Config{ScopeSetting: "app.tenant"}, "varchar(100) collate nocase", "timestamp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fulcrumtest.Factory{Types: types, Placeholder: func(i int) string { return fmt.Sprintf("$%d", i) }}
			f.Types.NoCase, f.Types.Time = c.noCase, c.clock
			f.New = func(t testing.TB) fulcrumtest.Database {
				dsn, plain := schema(t)
				cfg := c.cfg
				cfg.DSN = dsn
				return fulcrumtest.Database{Store: open(t, cfg), Exec: func(sql string, args ...any) error {
					_, err := plain.Exec(context.Background(), sql, args...)
					return err
				}}
			}
			fulcrumtest.TestStore(t, f)
		})
	}
}
