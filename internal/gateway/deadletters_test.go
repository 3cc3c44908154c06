package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// bury has a change fail that came from a journal.
func bury(t *testing.T, g *Gateway, offset int64, c store.Change) {
	t.Helper()
	table := g.tables["users"].(store.Writable)
	commit := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{c}, &fulcrum.Position{Journal: "j", After: offset - 1, Offset: offset})
	if err := table.Apply(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	if _, err := commit.Result(0); err == nil {
		t.Fatal("it did not fail")
	}
}

func TestDeadLetters(t *testing.T) {
	cfg := writableConfig(t)
	if err := cfg.DB.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, cfg)
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	for i := range 3 {
		bury(t, g, int64(i), store.Change{Op: store.Put, Key: store.Key(fmt.Sprint(10 + i)), Body: []byte(`{"name":"x","email":"ada@example.org"}`)})
	}
	admin := g.Admin()
	list := func() string { return ask(t, admin, "GET", deadLetterPath, "").text }
	if text := list(); strings.Count(text, `"op":"put"`) != 3 || !strings.Contains(text, `"key":"10","body":{"name":"x","email":"ada@example.org"},"error":"store: the row breaks constraint users.email`) {
		t.Errorf("listed %s", text)
	}
	if text := ask(t, admin, "GET", deadLetterPath+"?after=2", "").text; strings.Count(text, `"op"`) != 1 {
		t.Errorf("after 2: %s", text)
	}
	json := []string{"Content-Type", "application/json"}
	steps(t, admin, []step{
		{"replay too early", "POST", deadLetterPath + "/1", "", json, 409, "constraint", nil},
		{"a form", "POST", deadLetterPath + "/1", "", []string{"Content-Type", "text/plain"}, 400, "bad_header", nil},
		{"no number", "POST", deadLetterPath + "/x", "", json, 400, "bad_path", nil},
		{"another", "DELETE", deadLetterPath + "/99", "", json, 404, "not_found", nil},
		{"replay another", "POST", deadLetterPath + "/99", "", json, 500, "internal: there is no dead letter 99", nil},
		{"discard", "DELETE", deadLetterPath + "/2", "", json, 204, "", nil},
	})
	steps(t, g.Data(), []step{{"make room", "PATCH", "/v1/users/1", `{"email":"other@example.org"}`, nil, 204, "", nil}})
	steps(t, admin, []step{
		{"replay", "POST", deadLetterPath + "/1", "", json, 204, "", nil},
		{"replay the next", "POST", deadLetterPath + "/3", "", json, 409, "constraint", nil},
	})
	steps(t, g.Data(), []step{
		{"made", "GET", "/v1/users/10", "", nil, 200, `{"id":10,"name":"x","email":"ada@example.org","version":1}`, nil},
	})
	if text := list(); strings.Count(text, `"op"`) != 1 || !strings.Contains(text, `"id":3`) {
		t.Errorf("left %s", text)
	}
}

// forgetful cannot take dead letters away.
type forgetful struct{ *sqlite.DB }

func (forgetful) Discard(context.Context, []int64) (int, error) {
	return 0, store.ErrUnavailable
}

// A replay whose letter stays, or that two ask for at once, does not make the change twice.
func TestReplayOnce(t *testing.T) {
	cfg := writableConfig(t)
	db := cfg.DB.(*sqlite.DB)
	cfg.DB = forgetful{db}
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, cfg)
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	bury(t, g, 1, store.Change{Op: store.Patch, Key: "7", Body: []byte(`{"name":"x"}`)})
	if err := g.Replay(t.Context(), 1); !errors.Is(err, fulcrum.ErrNotFound) {
		t.Errorf("too early: %v", err)
	}
	steps(t, g.Data(), []step{{"make the row", "PUT", "/v1/users/7", `{"name":"y","email":null}`, nil, 201, "", nil}})
	for range 3 {
		if err := g.Replay(t.Context(), 1); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the letter stays: %v", err)
		}
	}
	steps(t, g.Data(), []step{
		{"made once", "GET", "/v1/users/7", "", nil, 200, `{"id":7,"name":"x","email":null,"version":2}`, nil},
	})
}

// What is written shows in the statistics and in the metrics.
func TestWriteStats(t *testing.T) {
	g := newGateway(t, writableConfig(t))
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	steps(t, g.Data(), []step{
		{"make", "PUT", "/v1/users/2", `{"name":"x","email":null}`, nil, 201, "", nil},
		{"fail", "PUT", "/v1/users/3", `{"name":"x","email":"ada@example.org"}`, nil, 409, "constraint", nil},
	})
	s := g.stats()
	if w := s.Writes["users"]; w.Answered != 1 || w.Failed != 1 || w.Batches != 2 || w.Accepted != 0 {
		t.Errorf("%+v", w)
	}
	if s.Commits == nil || s.Commits.InFlight != 1 || s.Commits.Reserved != 0 {
		t.Errorf("commits %+v: SQLite makes one at a time", s.Commits)
	}
	text := ask(t, g.Admin(), "GET", "/metrics", "").text
	for _, want := range []string{
		`fulcrum_writes_total{resource="users",result="made"} 1`, `fulcrum_writes_total{resource="users",result="failed"} 1`,
		`fulcrum_commits_total{resource="users"} 2`, `fulcrum_accepted_writes{resource="logs"} 0`, `fulcrum_commit_seconds_count{class="normal",resource="users"} 2`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
