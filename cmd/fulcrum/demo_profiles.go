package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver that makes the database
)

// userColumns are the columns of the table users that are filled in.
var userColumns = []string{"id", "name", "email", "bio", "city", "country", "plan", "created_at", "updated_at"}

const usersTable = `create table users (
	id         integer primary key,
	name       text not null,
	email      text not null,
	bio        text not null,
	city       text not null,
	country    text not null,
	plan       text not null,
	created_at text not null,
	updated_at text not null,
	version    integer not null default 1
)`

// makeProfiles makes a database at path. It comes into being complete or not at all.
func makeProfiles(ctx context.Context, talk io.Writer, path string, n int, seed uint64) error {
	fmt.Fprintf(talk, "making %s profiles … ", thousands(n))
	started := time.Now()
	err := makeFile(ctx, path, n, seed)
	if err != nil {
		fmt.Fprintln(talk)
		return fmt.Errorf("demo: cannot make %s: %w", path, err)
	}
	fmt.Fprintf(talk, "%.1f s\n", time.Since(started).Seconds())
	return nil
}

// makeFile fills a file of another name first, which then takes the right one.
func makeFile(ctx context.Context, path string, n int, seed uint64) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".making-")
	if err != nil {
		return err
	}
	unfinished := file.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(unfinished))
		}
	}()
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	if err := fill(ctx, unfinished, n, seed); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// open opens a database file; options are the driver's.
func open(path, options string) (*sql.DB, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: full, RawQuery: options}).String())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// fill makes table and rows. Nothing of it needs to survive a crash.
func fill(ctx context.Context, path string, n int, seed uint64) (err error) {
	db, err := open(path, "_pragma=journal_mode(off)&_pragma=synchronous(off)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, usersTable); err != nil {
		return err
	}
	return insert(ctx, db, n, newMaker(seed))
}

// perInsert is how many rows go into one statement.
const perInsert = 100

func insert(ctx context.Context, db *sql.DB, n int, m *maker) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // what went wrong is known already
		}
	}()
	full, err := tx.PrepareContext(ctx, insertOf(perInsert))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, full.Close()) }()
	args := make([]any, 0, perInsert*len(userColumns))
	for id := 1; id <= n; id++ {
		args = m.profile(args, id)
		if id%perInsert == 0 {
			if _, err := full.ExecContext(ctx, args...); err != nil {
				return err
			}
			args = args[:0]
		}
	}
	if len(args) > 0 {
		if _, err := tx.ExecContext(ctx, insertOf(n%perInsert), args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func insertOf(rows int) string {
	row := "(" + strings.Repeat("?,", len(userColumns)-1) + "?)"
	return "insert into users (" + strings.Join(userColumns, ", ") + ") values " + strings.Repeat(row+",", rows-1) + row
}

// maker makes profiles. The same seed makes the same ones.
type maker struct{ *rand.Rand }

func newMaker(seed uint64) *maker { return &maker{rand.New(rand.NewPCG(seed, 0x666c6372756d))} }

func pick[T any](m *maker, from []T) T { return from[m.IntN(len(from))] }

// firstDay is when the first profile can have been created.
var firstDay = time.Date(2019, 3, 1, 0, 0, 0, 0, time.UTC)

// profile appends one profile in the order of userColumns.
func (m *maker) profile(args []any, id int) []any {
	first, last, city := pick(m, firstNames), pick(m, lastNames), pick(m, cities)
	created := firstDay.Add(time.Duration(m.Int64N(int64(6 * 365 * 24 * time.Hour))))
	updated := created.Add(time.Duration(m.Int64N(int64(365 * 24 * time.Hour))))
	return append(args, id, first+" "+last,
		fmt.Sprintf("%s.%s%d@example.com", strings.ToLower(first), strings.ToLower(last), id),
		m.bio(city[0]), city[0], city[1], pick(m, plans),
		created.Format(time.RFC3339), updated.Format(time.RFC3339))
}

// bioLength is the length that a bio reaches, in bytes.
const bioLength = 180

func (m *maker) bio(city string) string {
	pastime := m.IntN(len(pastimes))
	other := (pastime + 1 + m.IntN(len(pastimes)-1)) % len(pastimes)
	var b strings.Builder
	b.WriteString(pick(m, trades) + " in " + city + ", into " + pastimes[pastime] + " and " + pastimes[other] + ".")
	habit, step := m.IntN(len(habits)), 1+2*m.IntN(3) // an odd step up to 5 meets each of the 14 before the first again
	for ; b.Len() < bioLength; habit += step {
		b.WriteString(" " + habits[habit%len(habits)])
	}
	return b.String()
}

// lastUser is the largest id in the database.
func lastUser(ctx context.Context, path string) (id int64, err error) {
	db, err := open(path, "mode=ro")
	if err != nil {
		return 0, fmt.Errorf("demo: %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var last sql.NullInt64
	if err := db.QueryRowContext(ctx, "select max(id) from users").Scan(&last); err != nil {
		return 0, fmt.Errorf("demo: %s: %w", path, err)
	}
	if last.Int64 < 1 {
		return 0, fmt.Errorf("demo: %s has no users with a positive id: name a file that does not exist yet, and demo makes it", path)
	}
	return last.Int64, nil
}
