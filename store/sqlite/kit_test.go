package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // an independent way into the files

	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// newFile makes a file and a way to change it past the store.
func newFile(t testing.TB) (string, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	writer, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(off)&_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	writer.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = writer.Close() })
	if _, err := writer.Exec("create table placeholder (x); drop table placeholder"); err != nil {
		t.Fatal(err)
	}
	return path, writer
}

func open(t testing.TB, cfg sqlite.Config) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

var types = fulcrumtest.Types{
	Int: "integer", Text: "text", Bytes: "blob", Float: "real", MadeKey: "integer primary key", UUID: "uuid", Bool: "boolean", Time: "timestamp", JSON: "json",
	NoCase: "text collate nocase", Padded: "text collate rtrim",
	Failing: "integer generated always as (json_extract(doc, '$')) virtual",
}

func TestStore(t *testing.T) {
	for name, cfg := range map[string]sqlite.Config{"defaults": {}, "one connection": {Conns: 1}, "read-only": {ReadOnly: true}} {
		t.Run(name, func(t *testing.T) { fulcrumtest.TestStore(t, factory(cfg)) })
	}
}

func TestWrites(t *testing.T) {
	for name, cfg := range map[string]sqlite.Config{"defaults": {}, "one connection": {Conns: 1, Synchronous: sqlite.SyncOff}} {
		t.Run(name, func(t *testing.T) { fulcrumtest.TestWrites(t, factory(cfg)) })
	}
}

func TestKeeper(t *testing.T) { fulcrumtest.TestKeeper(t, factory(sqlite.Config{})) }

func factory(cfg sqlite.Config) fulcrumtest.Factory {
	return fulcrumtest.Factory{Types: types, New: func(t testing.TB) fulcrumtest.Database {
		path, writer := newFile(t)
		cfg.Path = path
		return fulcrumtest.Database{Store: open(t, cfg), Exec: func(sql string, args ...any) error {
			_, err := writer.Exec(sql, args...)
			return err
		}}
	}}
}
