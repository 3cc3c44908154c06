package gateway

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// writableConfig serves a file with users, whose rows have versions, and logs, whose
// keys the database makes.
func writableConfig(t *testing.T) Config {
	t.Helper()
	cfg, _ := writableFile(t)
	return cfg
}

// writableFile is writableConfig, and the file's path.
func writableFile(t *testing.T) (Config, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "writable.db")
	file, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, statement := range []string{
		"create table users (id integer primary key, name text not null, email text unique, version integer)",
		"insert into users values (1, 'Ada', 'ada@example.org', 1)",
		"create table logs (id integer primary key, line text not null default 'nothing', n integer check (n > 0))",
		"create table fixed (id integer primary key)",
	} {
		if _, err := file.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Synchronous: sqlite.SyncOff})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	cfg := testConfig(&memory{})
	cfg.DB = db
	cfg.Resources = []store.Resource{
		{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "version"}, Writable: true, Version: "version"},
		{Name: "logs", Table: "logs", Key: []string{"id"}, Columns: []string{"id", "line", "n"}, Writable: true},
		{Name: "fixed", Table: "fixed", Key: []string{"id"}, Columns: []string{"id"}},
	}
	return cfg, path
}

// step is a request and what comes back.
type step struct {
	name, method, target, body string
	headers                    []string
	status                     int
	want                       string   // the body, or a problem's code
	told                       []string // headers, pairs of name and value
}

func steps(t *testing.T, h http.Handler, all []step) {
	t.Helper()
	for _, s := range all {
		a := ask(t, h, s.method, s.target, s.body, s.headers...)
		if a.StatusCode >= 400 {
			if s.status < 400 {
				t.Fatalf("%s: %d %s", s.name, a.StatusCode, a.text)
			}
			code, detail, _ := strings.Cut(s.want, ": ")
			wantProblem(t, a, s.status, code)
			if !strings.Contains(a.text, detail) {
				t.Errorf("%s: %s\nwant %s in it", s.name, a.text, detail)
			}
			continue
		}
		if a.StatusCode != s.status || a.text != s.want {
			t.Errorf("%s: got %d %q, want %d %q", s.name, a.StatusCode, a.text, s.status, s.want)
		}
		for i := 0; i < len(s.told); i += 2 {
			if got := a.Header.Get(s.told[i]); got != s.told[i+1] {
				t.Errorf("%s: %s is %q, want %q", s.name, s.told[i], got, s.told[i+1])
			}
		}
	}
}

func TestChanges(t *testing.T) {
	g := newGateway(t, writableConfig(t))
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	eve := `{"name":"Eve","email":"eve@example.org"}`
	steps(t, g.Data(), []step{
		{"read", "GET", "/v1/users/1", "", nil, 200, `{"id":1,"name":"Ada","email":"ada@example.org","version":1}`, []string{"Etag", `"1"`}},
		{"make", "PUT", "/v1/users/2", eve, nil, 201, "", []string{"Etag", `"1"`, "Location", "/v1/users/2", "Fulcrum-Durability", "committed"}},
		{"replace", "PUT", "/v1/users/2", strings.Replace(eve, "Eve", "Eva", 1), nil, 204, "", []string{"Etag", `"2"`, "Location", ""}},
		{"and show", "PUT", "/v1/users/2", eve, []string{"Prefer", "return=representation"}, 200, `{"id":2,"name":"Eve","email":"eve@example.org","version":3}`, []string{"Etag", `"3"`}},
		{"patch", "PATCH", "/v1/users/2", `{"email":null}`, nil, 204, "", []string{"Etag", `"4"`}},
		{"read it", "GET", "/v1/users/2", "", nil, 200, `{"id":2,"name":"Eve","email":null,"version":4}`, nil},
		{"old version", "PATCH", "/v1/users/2", `{"name":"x"}`, []string{"If-Match", `"3"`}, 412, "wrong_version", nil},
		{"right version", "PATCH", "/v1/users/2", `{"name":"x"}`, []string{"If-Match", `"4"`}, 204, "", []string{"Etag", `"5"`}},
		{"only new", "PUT", "/v1/users/2", eve, []string{"If-None-Match", "*"}, 409, "row_exists", nil},
		{"new", "PUT", "/v1/users/3", `{"id":3,"name":"x","email":null}`, []string{"If-None-Match", "*"}, 201, "", nil},
		{"delete", "DELETE", "/v1/users/3", "", []string{"Prefer", "return=representation"}, 200, `{"id":3,"name":"x","email":null,"version":1}`, nil},
		{"gone", "DELETE", "/v1/users/3", "", nil, 404, "not_found", nil},
		{"patch what is gone", "PATCH", "/v1/users/3", `{"name":"x"}`, nil, 404, "not_found", nil},
		{"insert", "POST", "/v1/logs", `{"line":"a","n":"7"}`, nil, 201, "", []string{"Location", "/v1/logs/1"}},
		{"insert with defaults", "POST", "/v1/logs", `{}`, []string{"Prefer", "return=representation"}, 201, `{"id":2,"line":"nothing","n":null}`, []string{"Location", "/v1/logs/2"}},
		{"insert with its key", "POST", "/v1/logs", `{"id":9}`, nil, 201, "", []string{"Location", "/v1/logs/9"}},
		{"insert again", "POST", "/v1/logs", `{"id":9}`, nil, 409, "row_exists", nil},
		{"soon", "PUT", "/v1/logs/1", `{"line":"b","n":1}`, []string{"Fulcrum-Durability", "memory"}, 202, "", []string{"Fulcrum-Durability", "memory"}},
		{"behind it", "GET", "/v1/fixed/1", "", nil, 404, "not_found", nil},
	})
}

func TestChangesThatAreRefused(t *testing.T) {
	g := newGateway(t, writableConfig(t))
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	ada := `{"name":"Ada","email":"ada@example.org"}`
	steps(t, g.Data(), []step{
		{"unique", "PUT", "/v1/users/2", ada, nil, 409, "constraint: users.email", nil},
		{"null", "PATCH", "/v1/users/1", `{"name":null}`, nil, 409, "constraint: not null", nil},
		{"check", "POST", "/v1/logs", `{"n":0}`, nil, 409, "constraint: n > 0", nil},
		{"missing column", "PUT", "/v1/users/2", `{"name":"x"}`, nil, 400, `bad_row: column \"email\": is missing: a put names all columns`, nil},
		{"unknown column", "PATCH", "/v1/users/1", `{"nam":"x"}`, nil, 400, `bad_row: column \"nam\": the resource has no such column that can be written; it has id, name, email`, nil},
		{"column twice", "PATCH", "/v1/users/1", `{"name":"x","name":"y"}`, nil, 400, `bad_row: is named twice`, nil},
		{"version", "PATCH", "/v1/users/1", `{"version":7}`, nil, 400, `bad_row: is the version: leave it out, and say If-Match`, nil},
		{"type", "PATCH", "/v1/users/1", `{"name":7}`, nil, 400, `bad_row: column \"name\": want text`, nil},
		{"number", "POST", "/v1/logs", `{"n":1.5}`, nil, 400, `bad_row: want an integer`, nil},
		{"other key", "PUT", "/v1/users/2", `{"id":3,"name":"x","email":null}`, nil, 400, `bad_row: is \"3\", but the key says \"2\"`, nil},
		{"nothing", "PATCH", "/v1/users/1", `{}`, nil, 400, "bad_row: names no column to change", nil},
		{"no body", "PUT", "/v1/users/1", "", nil, 400, "bad_row", nil},
		{"no JSON", "PUT", "/v1/users/1", "{", nil, 400, "bad_row", nil},
		{"list", "PUT", "/v1/users/1", "[]", nil, 400, "bad_row", nil},
		{"bad key", "PUT", "/v1/users/x", ada, nil, 400, "bad_key", nil},
		{"what is not writable", "PUT", "/v1/fixed/1", "{}", nil, 405, "method_not_allowed: only GET, HEAD", nil},
		{"insert there", "POST", "/v1/fixed", "{}", nil, 404, "unknown_path", nil},
		{"get of all", "GET", "/v1/users", "", nil, 405, "method_not_allowed: only POST", nil},
		{"no resource", "POST", "/v1/nothing", "{}", nil, 404, "unknown_resource", nil},
		{"two versions", "PATCH", "/v1/users/1", ada, []string{"If-Match", `"1", "2"`}, 400, "bad_header: want one version in quotes", nil},
		{"weak version", "PATCH", "/v1/users/1", ada, []string{"If-Match", `W/"1"`}, 400, "bad_header", nil},
		{"no versions here", "PATCH", "/v1/logs/1", `{"n":1}`, []string{"If-Match", `"1"`}, 400, "no_version", nil},
		{"version of nothing", "POST", "/v1/users", ada, []string{"If-Match", `"1"`}, 400, "bad_header", nil},
		{"absent", "PATCH", "/v1/users/1", ada, []string{"If-None-Match", "*"}, 400, "bad_header: want * with PUT", nil},
		{"durability", "PUT", "/v1/users/1", ada, []string{"Fulcrum-Durability", "much"}, 400, "bad_header: want committed, journaled or memory", nil},
		{"verdict from memory", "PUT", "/v1/users/1", ada, []string{"Fulcrum-Durability", "memory", "If-Match", `"1"`}, 400, "needs_commit", nil},
		{"insert from memory", "POST", "/v1/users", ada, []string{"Fulcrum-Durability", "memory"}, 400, "needs_commit", nil},
		{"long idempotency key", "POST", "/v1/logs", `{}`, []string{"Idempotency-Key", strings.Repeat("x", 256)}, 400, "bad_header: want 1 to 255 characters", nil},
		{"idempotency without its table", "POST", "/v1/logs", `{}`, []string{"Idempotency-Key", "x"}, 501, "not_initialised: run fulcrum init", nil},
		{"batch of rows that are absent", "POST", "/v1/users:batchPut", `{"rows":[{"id":1,"name":"x","email":null}]}`, []string{"If-None-Match", "*"}, 400, "bad_header: for single rows", nil},
		{"batch of nothing", "POST", "/v1/users:batchPut", `{"rows":[]}`, nil, 400, "no_keys", nil},
		{"odd batch", "POST", "/v1/users:batchPut", `{"row":[]}`, nil, 400, "unknown_field", nil},
		{"batch twice", "POST", "/v1/users:batchPut", `{"rows":[],"rows":[]}`, nil, 400, "duplicate_field", nil},
		{"batch of what is fixed", "POST", "/v1/fixed:batchPut", `{"rows":[{"id":1}]}`, nil, 403, "forbidden", nil},
	})
	if a := ask(t, g.Data(), "GET", "/v1/users/1", ""); a.text != `{"id":1,"name":"Ada","email":"ada@example.org","version":1}` {
		t.Errorf("something was written: %s", a.text)
	}
}

func TestBatchPut(t *testing.T) {
	g := newGateway(t, writableConfig(t))
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	a := ask(t, g.Data(), "POST", "/v1/users:batchPut",
		`{"rows":[{"id":1,"name":"A","email":"a"},{"id":5,"name":"B","email":null},{"id":6,"name":"C","email":"a"},{"name":"D","email":null},{"id":5,"name":"E","email":"e"}]}`)
	if a.StatusCode != 200 {
		t.Fatal(a.StatusCode, a.text)
	}
	results := a.json(t)["results"].([]any)
	for i, want := range []string{
		`map[created:false durability:committed key:1 token:sqlite version:2]`,
		`map[created:true durability:committed key:5 token:sqlite version:1]`,
		`constraint`, `bad_row`,
		`map[created:false durability:committed key:5 token:sqlite version:2]`,
	} {
		got := results[i].(map[string]any)
		if token, ok := got["token"].(string); ok {
			got["token"], _, _ = strings.Cut(token, "-")
		}
		text := fmt.Sprint(got)
		if failed, ok := got["error"].(map[string]any); ok {
			text = fmt.Sprint(failed["code"])
		}
		if text != want {
			t.Errorf("row %d: %s, want %s", i, text, want)
		}
	}
}

func TestIdempotencyKeys(t *testing.T) {
	cfg := writableConfig(t)
	if err := cfg.DB.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := []string{"Idempotency-Key", "k1"}
	for range 2 { // the second gateway is the first one after a restart
		g := newGateway(t, cfg)
		steps(t, g.Data(), []step{
			{"insert", "POST", "/v1/logs", `{"line":"once"}`, key, 201, "", []string{"Location", "/v1/logs/1"}},
			{"again", "POST", "/v1/logs", `{"line":"once"}`, key, 201, "", []string{"Location", "/v1/logs/1", "Fulcrum-Replayed", "true"}},
			{"another body", "POST", "/v1/logs", `{"line":"twice"}`, key, 422, "idempotency_key_reused", nil},
			{"another resource", "POST", "/v1/users", `{"name":"x","email":null,"id":4}`, key, 201, "", nil},
			{"a failure stays", "POST", "/v1/logs", `{"n":0}`, []string{"Idempotency-Key", "k2"}, 409, "constraint", nil},
			{"one log only", "GET", "/v1/logs/2", "", nil, 404, "not_found", nil},
		})
		if err := g.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Tokens allow to read or to write, and idempotency keys of one are nothing to another.
func TestWhoMayWrite(t *testing.T) {
	cfg := writableConfig(t)
	for _, name := range []string{"reader", "writer"} {
		cfg.Tokens = append(cfg.Tokens, Token{Name: name, SHA256: sha256.Sum256([]byte(name))})
	}
	cfg.Tokens[0].Allow, cfg.Tokens[1].Allow = []string{"*:read"}, []string{"users:write"}
	g := newGateway(t, cfg)
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	reader, writer := []string{"Authorization", "Bearer reader"}, []string{"Authorization", "Bearer writer"}
	steps(t, g.Data(), []step{
		{"reader writes", "PATCH", "/v1/users/1", `{"name":"x"}`, reader, 403, "forbidden: does not allow users:write", nil},
		{"writer reads", "GET", "/v1/users/1", "", writer, 403, "forbidden: does not allow users:read", nil},
		{"writer reads what it writes", "PATCH", "/v1/users/1", `{"name":"x"}`, append([]string{"Prefer", "return=representation"}, writer...), 403, "forbidden: does not allow users:read", nil},
		{"writer follows", "GET", "/v1/users/1/events", "", writer, 403, "forbidden", nil},
		{"writer writes elsewhere", "POST", "/v1/logs", "{}", writer, 403, "forbidden: logs:write", nil},
		{"writer writes", "PATCH", "/v1/users/1", `{"name":"x"}`, writer, 204, "", nil},
		{"nobody writes", "PATCH", "/v1/users/1", `{"name":"x"}`, nil, 401, "unauthorized", nil},
	})
}

// Changes by many callers of one row: each sees the version that it made, none twice,
// and whoever follows the row sees all of them, in their order, and soon.
func TestFollowARow(t *testing.T) {
	g, _ := start(t, writableConfig(t))
	client := newClient(t)
	address := "http://" + g.Addr() + "/v1/users/1"
	stream := read(t, client, address+"/events", "")
	if e := next(t, stream); e.kind != "reset" || e.data != `{"row":{"id":1,"name":"Ada","email":"ada@example.org","version":1}}` {
		t.Errorf("first %+v", e)
	}
	const callers, each = 8, 5
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range each {
				if status := patch(t, client, address, fmt.Sprintf(`{"name":"%d %d"}`, i, n)); status != 204 {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	wg.Wait()
	var last sse
	for n := range callers * each {
		last = next(t, stream)
		if want := fmt.Sprintf(`"version":"%d","row":{"id":1,`, n+2); last.kind != "change" || !strings.Contains(last.data, want) {
			t.Fatalf("%+v, want %s in it", last, want)
		}
	}
	patch(t, client, address, `{"name":"later"}`)
	again := read(t, client, address+"/events", last.id)
	if e := next(t, again); e.kind != "change" || !strings.Contains(e.data, "later") {
		t.Errorf("resumed with %+v", e)
	}
	elsewhere := read(t, client, address+"/events", "epoch.7")
	if e := next(t, elsewhere); e.kind != "reset" || !strings.Contains(e.data, "later") {
		t.Errorf("from nowhere: %+v", e)
	}
	began := time.Now()
	if err := g.Shutdown(t.Context()); err != nil { // the streams end by themselves
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("shutting down took %s", took)
	}
}

func patch(t *testing.T, client *http.Client, url, body string) int {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	res, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Journaled changes are answered before they are made, made in their order, and seen by
// who names their token; after a restart as well.
func TestJournaledChanges(t *testing.T) {
	cfg := writableConfig(t)
	cfg.Journal = filepath.Join(t.TempDir(), "journals")
	if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "run fulcrum init") {
		t.Fatalf("without the tables: %v", err)
	}
	if err := cfg.DB.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	journaled := []string{"Fulcrum-Durability", "journaled"}
	for round := range 2 {
		g := newGateway(t, cfg)
		token := ""
		for i := range 20 {
			a := ask(t, g.Data(), "PUT", "/v1/users/7", fmt.Sprintf(`{"name":"%d %d","email":null}`, round, i), journaled...)
			if a.StatusCode != http.StatusAccepted || a.Header.Get("Fulcrum-Durability") != "journaled" {
				t.Fatal(a.StatusCode, a.text)
			}
			token = a.Header.Get("Fulcrum-Token")
		}
		a := ask(t, g.Data(), "GET", "/v1/users/7", "", "Fulcrum-After", token)
		if want := fmt.Sprintf(`{"id":7,"name":"%d 19","email":null,"version":%d}`, round, 23*round+20); a.text != want {
			t.Errorf("after the token: %s, want %s", a.text, want)
		}
		steps(t, g.Data(), []step{
			{"another's token", "GET", "/v1/users/7", "", []string{"Fulcrum-After", "journal:x:0:1"}, 400, "bad_header", nil},
			{"another's token besides", "GET", "/v1/users/7", "", []string{"Fulcrum-After", token, "Fulcrum-After", "journal:x:0:1"}, 400, "bad_header", nil},
			{"another's token, many rows", "POST", "/v1/users:batchGet", `{"keys":[7]}`, []string{"Fulcrum-After", "journal:x:0:1"}, 400, "bad_header", nil},
			{"a token of what is committed", "GET", "/v1/users/7", "", []string{"Fulcrum-After", "sqlite-1-2"}, 200, strings.TrimSpace(a.text), nil},
			{"journaled", "PATCH", "/v1/users/7", `{"email":"seven"}`, journaled, 202, "", nil},
			{"committed, behind it", "PATCH", "/v1/users/7", `{"email":null}`, []string{"Prefer", "return=representation"}, 200, fmt.Sprintf(`{"id":7,"name":"%d 19","email":null,"version":%d}`, round, 23*round+22), nil},
			{"what breaks a constraint", "PATCH", "/v1/users/7", `{"email":"ada@example.org"}`, journaled, 202, "", nil},
			{"verdict", "PUT", "/v1/users/7", `{"name":"x","email":null}`, append([]string{"If-None-Match", "*"}, journaled...), 400, "needs_commit", nil},
			{"last", "PATCH", "/v1/users/7", `{"name":"last"}`, journaled, 202, "", nil},
		})
		if round == 1 {
			if err := g.commits.writers["users"].Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := g.stats().Writes["users"].Dead; n == 0 {
				t.Error("no dead letter is counted")
			}
			if letters, err := g.DeadLetters(t.Context(), 0, 10); err != nil || len(letters) != 2 {
				t.Errorf("%d dead letters, want one of each round, %v", len(letters), err)
			}
		}
		if err := g.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Who takes writable away from a resource whose journal is there is told so.
func TestOrphanedJournals(t *testing.T) {
	var log strings.Builder
	cfg := writableConfig(t)
	if err := cfg.DB.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.Journal, cfg.Log = t.TempDir(), slog.New(slog.NewTextHandler(&log, nil))
	g := newGateway(t, cfg)
	if err := g.Shutdown(t.Context()); err != nil || strings.Contains(log.String(), "a journal is not applied") {
		t.Fatal(err, log.String())
	}
	for i := range cfg.Resources {
		if cfg.Resources[i].Name == "users" {
			cfg.Resources[i].Writable = false
		}
	}
	g = newGateway(t, cfg)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "a journal is not applied"); n != 1 || !strings.Contains(log.String(), "resource=users") {
		t.Errorf("%d warnings: %s", n, log.String())
	}
}
