//go:build unix

package faultproxy

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// The moment that a writer must survive: the server has committed, and the
// client cannot know.
func TestACommitLandsThoughItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.Start(t)
	if err := db.Exec(ctx, "create table t (n int)"); err != nil {
		t.Fatal(err)
	}
	p := start(t, db.Addr(), Options{OnData: at(ToTarget, "commit", CutAfter)})
	conn, err := pgconn.Connect(ctx, db.DSNVia(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "begin; insert into t values (1)").ReadAll(); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(ctx, "commit").ReadAll()
	var said *pgconn.PgError
	if err == nil || errors.As(err, &said) {
		t.Fatalf("got %v, want a broken connection", err)
	}
	for rows := ""; rows != "1"; { // the server may still be at it
		if rows, err = db.Value(ctx, "select count(*) from t"); err != nil {
			t.Fatal(err)
		}
	}
}
