//go:build unix

package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// TestSimulateVerifies measures, so it needs a machine to itself: only with
// FULCRUM_LONG.
func TestSimulateVerifies(t *testing.T) {
	if os.Getenv("FULCRUM_LONG") == "" {
		t.Skip("takes 30 s and an idle machine; FULCRUM_LONG=1 runs it")
	}
	s := pgtest.Start(t)
	for _, statement := range []string{
		"create table users (id bigint primary key, name text, bio text)",
		"insert into users select i, 'user ' || i, repeat('x', 300) from generate_series(1, 100000) i", "analyze users",
	} {
		if err := s.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := try(t.Context(), "simulate", "--verify", s.DSN(), "--json")
	var got struct{ Loads []verified }
	if err := json.Unmarshal([]byte(stdout), &got); code != exitDone || err != nil || len(got.Loads) != len(verifyAt) {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	for _, l := range got.Loads {
		t.Logf("%.0f/s: p50 %.2f ms, predicted %.2f (%+.0f %%); p99 %.2f ms, predicted %.2f (%+.0f %%); %.1f rows a query, predicted %.1f", l.Offered,
			1e3*l.Measured.P50, 1e3*l.Predicted.Response.P50, 100*l.P50Error, 1e3*l.Measured.P99, 1e3*l.Predicted.Response.P99, 100*l.P99Error,
			l.Measured.RowsPerQuery, l.Predicted.RowsPerQuery)
	}
}
