package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

type User struct {
	ID   int64
	Name string
}

// Users come out of a file as Go values, each asked for alone, many read together.
func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "users.db")
	makeUsers(path)

	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	cfg, err := sqlite.ReaderConfig(ctx, db, sqlite.Query[int64, User]{
		Table: "users", Key: []string{"id"}, Columns: []string{"id", "name"},
		Scan: func(r sqlite.Row) (User, error) {
			return User{ID: r.Int(0), Name: r.Text(1)}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	users, err := fulcrum.NewReader(cfg)
	if err != nil {
		panic(err)
	}
	defer func() { _ = users.Shutdown(ctx) }()

	u, err := users.Get(ctx, 2)
	fmt.Println(u.Name, err)
	_, err = users.Get(ctx, 3)
	fmt.Println(err)
	// Output:
	// Grace <nil>
	// fulcrum: not found
}

func makeUsers(path string) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("create table users (id integer primary key, name text); insert into users values (1, 'Ada'), (2, 'Grace')"); err != nil {
		panic(err)
	}
}
