//go:build unix

package main

import (
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

func TestBenchComparesOnPostgreSQL(t *testing.T) {
	s := pgtest.Start(t)
	for _, statement := range []string{
		"create table users (id bigint primary key, name text)", "insert into users select i, 'user ' || i from generate_series(1, 500) i",
	} {
		if err := s.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	testCompare(t, "--store "+s.DSN())
	testWrites(t, "--store "+s.DSN())
}
