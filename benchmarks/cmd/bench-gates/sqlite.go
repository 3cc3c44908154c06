package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	_ "modernc.org/sqlite" // theirs

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// sqliteRows is the size of the table that is read.
const sqliteRows = 200_000

// sqliteCells compares a Reader over store/sqlite with prepared point selects over
// the same file.
func sqliteCells() ([]duel.Cell, func(), error) {
	dir, err := os.MkdirTemp("", "fulcrum-bench-")
	if err != nil {
		return nil, nil, err
	}
	closers := []func(){func() { _ = os.RemoveAll(dir) }}
	closeAll := func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	cells, err := sqliteDuels(filepath.Join(dir, "users.db"), &closers)
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return cells, closeAll, nil
}

func sqliteDuels(path string, closers *[]func()) ([]duel.Cell, error) {
	ctx := context.Background()
	theirs, err := fillSQLite(path)
	if err != nil {
		return nil, err
	}
	*closers = append(*closers, func() { _ = theirs.Close() })
	point, err := theirs.PrepareContext(ctx, `select id, name, email, bio from users where id = ?`)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return nil, err
	}
	*closers = append(*closers, func() { _ = db.Close() })
	r, err := sqliteReader(ctx, db)
	if err != nil {
		return nil, err
	}
	*closers = append(*closers, func() { _ = r.Shutdown(ctx) })

	direct := sqliteOp(func(id int64) (p pgusers.Profile, err error) {
		err = point.QueryRowContext(ctx, id).Scan(&p.ID, &p.Name, &p.Email, &p.Bio)
		return p, err
	})
	ours := sqliteOp(func(id int64) (pgusers.Profile, error) { return r.Get(ctx, id) })
	var cells []duel.Cell
	for _, callers := range []int{1, 2, 4, 8, 16, 64, 256, 1024} {
		c := duel.Cell{Name: fmt.Sprintf("%d callers, point selects", callers), Gate: .93}
		if callers == 64 || callers == 1024 {
			c.Gate, c.Target = 1.4, 1.8
		}
		c.Ours, c.Theirs = duel.Load{Callers: callers, Op: ours}.Run, duel.Load{Callers: callers, Op: direct}.Run
		cells = append(cells, c)
	}
	return cells, nil
}

// sqliteReader is Fulcrum over the file. An embedded database works on the
// caller's own cores, so more batches in flight than cores only take turns.
func sqliteReader(ctx context.Context, db *sqlite.DB) (*fulcrum.Reader[int64, pgusers.Profile], error) {
	cfg, err := sqlite.ReaderConfig(ctx, db, sqlite.Query[int64, pgusers.Profile]{
		Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio"},
		Scan: func(r sqlite.Row) (pgusers.Profile, error) {
			return pgusers.Profile{ID: r.Int(0), Name: r.Text(1), Email: r.Text(2), Bio: r.Text(3)}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	cfg.Policy.InFlight = runtime.GOMAXPROCS(0)
	return fulcrum.NewReader(cfg)
}

func sqliteOp(get func(id int64) (pgusers.Profile, error)) func(int, int) error {
	return func(int, int) error {
		id := rand.Int64N(sqliteRows) + 1
		p, err := get(id)
		return pgusers.MustBe(p, id, err)
	}
}

// fillSQLite makes the table and opens it as one would: WAL, as many connections
// as cores.
func fillSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-16384)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(runtime.GOMAXPROCS(0))
	db.SetMaxIdleConns(runtime.GOMAXPROCS(0))
	err = fillUsers(db)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func fillUsers(db *sql.DB) error {
	if _, err := db.Exec(`create table users (id integer primary key, name text, email text, bio text)`); err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for i := 1; i <= sqliteRows; i++ {
		_, err := tx.Exec(`insert into users values (?, ?, ?, ?)`, i, fmt.Sprintf("user %d", i),
			fmt.Sprintf("user%d@example.org", i), strings.Repeat(fmt.Sprintf("%08x", i), 32))
		if err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	return tx.Commit()
}
