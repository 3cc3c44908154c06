package postgres_test

import (
	"testing"

	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// Where the database takes different keys for the same, the table says so.
func TestExactKeys(t *testing.T) {
	dsn, plain := schema(t)
	types := map[string]bool{
		"bigint": true, "text": true, "varchar(9)": true, "uuid": true, "bytea": true, "date": true, `text collate "C"`: true,
		"citext": false, "char(5)": false, "numeric": false, "text collate nocase": false,
	}
	for typ := range types {
		exec(t, plain, `create table "`+name(typ)+`" (id `+typ+` primary key, n bigint)`)
	}
	db := open(t, postgres.Config{DSN: dsn})
	for typ, want := range types {
		w := openWritable(t, db, store.Resource{Table: name(typ), Columns: []string{"n"}})
		if got := w.(store.Exact).ExactKeys(); got != want {
			t.Errorf("%s: %t, want %t", typ, got, want)
		}
	}
}

// name is a table's name for a type.
func name(typ string) string {
	out := []byte("of_")
	for _, c := range []byte(typ) {
		if c >= 'a' && c <= 'z' || c == 'C' {
			out = append(out, c|0x20)
		}
	}
	return string(out)
}
