package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // theirs

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

const (
	keys  = 100_000
	table = "create table users (id integer primary key, name text not null, email text not null, bio text not null)"
)

// bio fills a row up to about 350 bytes.
var bio = strings.Repeat("about me, ", 28)

// resource is users as it is written.
var resource = store.Resource{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio"}, Writable: true}

func sqliteCells() ([]duel.Cell, func(), error) {
	dir, err := os.MkdirTemp("", "bench-writes-")
	if err != nil {
		return nil, nil, err
	}
	theirs, err := plainFile(filepath.Join(dir, "theirs.db"))
	if err != nil {
		return nil, nil, err
	}
	ours, err := gatheredFile(filepath.Join(dir, "ours.db"))
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = errors.Join(theirs.db.Close(), ours.close(), os.RemoveAll(dir))
	}
	cell := func(name string, callers int, gate float64) duel.Cell {
		return duel.Cell{
			Name: name, Gate: gate, Alone: callers == 1,
			Ours:   duel.Load{Callers: callers, Op: ours.write}.Run,
			Theirs: duel.Load{Callers: callers, Op: theirs.write}.Run,
		}
	}
	return []duel.Cell{cell("1 caller", 1, 0.93), cell("16 callers", 16, 0), cell("256 callers", 256, 7)}, stop, nil
}

// plain is what a service does by itself: an upsert, committed, for each row.
type plain struct {
	db     *sql.DB
	upsert *sql.Stmt
}

func plainFile(path string) (*plain, error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(full)&_pragma=journal_mode(wal)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer: more of them would wait for its lock
	if _, err := db.Exec(table); err != nil {
		return nil, err
	}
	upsert, err := db.Prepare("insert into users values (?, ?, ?, ?) on conflict (id) do update set name = excluded.name, email = excluded.email, bio = excluded.bio")
	return &plain{db, upsert}, err
}

func (p *plain) write(caller, i int) error {
	id := rand.Int64N(keys)
	_, err := p.upsert.Exec(id, "user "+strconv.Itoa(i), "user"+strconv.Itoa(caller)+"@example.org", bio)
	return err
}

// gathered is Fulcrum's Writer over a table.
type gathered struct {
	db     store.DB
	table  store.Writable
	writer *fulcrum.Writer[store.Change, store.Written]
}

func gatheredFile(path string) (*gathered, error) {
	made, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	if _, err := made.Exec(table); err != nil {
		return nil, err
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		return nil, err
	}
	return gather(db, 1, -1)
}

// gather makes a Writer of so many commits at once.
func gather(db store.DB, inFlight, reserved int) (*gathered, error) {
	opened, err := db.Open(context.Background(), resource)
	if err != nil {
		return nil, err
	}
	g := &gathered{db: db, table: opened.(store.Writable)}
	g.writer, err = fulcrum.NewWriter(fulcrum.WriterConfig[store.Change, store.Written]{
		Apply: g.table.Apply, Resolve: g.table.Resolve, OrderBy: func(c store.Change) string { return string(c.Key) },
		Policy: fulcrum.Policy{InFlight: inFlight, Reserved: reserved, MaxBatch: 1000},
	})
	return g, err
}

func (g *gathered) write(caller, i int) error {
	change, err := g.table.ParseChange(store.Change{
		Op: store.Put, Key: store.Key(strconv.FormatInt(rand.Int64N(keys), 10)),
		Body: fmt.Appendf(nil, `{"name":"user %d","email":"user%d@example.org","bio":"%s"}`, i, caller, bio),
	})
	if err != nil {
		return err
	}
	_, err = g.writer.Write(context.Background(), change)
	return err
}

func (g *gathered) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(g.writer.Shutdown(ctx), g.db.Close())
}
