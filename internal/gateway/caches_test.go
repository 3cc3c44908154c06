package gateway

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/store"
)

// cachedConfig is writableConfig with caches, more ways to see its users, and tags, whose
// names ignore case.
func cachedConfig(t *testing.T) (Config, *sql.DB) {
	t.Helper()
	cfg, path := writableFile(t)
	file, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	run(t, file, "create table tags (name text collate nocase primary key, n integer)")
	cfg.Resources = append(cfg.Resources,
		store.Resource{Name: "names", Table: "main.users", Key: []string{"id"}, Columns: []string{"name"}},
		store.Resource{Name: "by_email", Table: "users", Key: []string{"email"}, Columns: []string{"name"}},
		store.Resource{Name: "tags", Table: "tags", Key: []string{"name"}, Columns: []string{"n"}, Writable: true})
	cfg.Caches = map[string]cache.Config[store.Key, []byte]{}
	for _, r := range cfg.Resources {
		cfg.Caches[r.Name] = cache.Config[store.Key, []byte]{Bytes: 1 << 20}
	}
	return cfg, file
}

func run(t *testing.T, file *sql.DB, statement string) {
	t.Helper()
	if _, err := file.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func served(t *testing.T, cfg Config) *Gateway {
	t.Helper()
	g := newGateway(t, cfg)
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	return g
}

var (
	kept = []string{"Age", "0", "Fulcrum-Stale", ""}
	anew = []string{"Age", "", "Fulcrum-Stale", ""}
)

// Whatever is changed here is seen at once, by whatever name it is kept.
func TestCachedRowsFollowChanges(t *testing.T) {
	cfg, _ := cachedConfig(t)
	ada, bea := `{"id":1,"name":"Ada","email":"ada@example.org","version":1}`, `{"id":1,"name":"Bea","email":"ada@example.org","version":2}`
	steps(t, served(t, cfg).Data(), []step{
		{"read", "GET", "/v1/users/1", "", nil, 200, ada, anew},
		{"read again", "GET", "/v1/users/1", "", nil, 200, ada, append([]string{"Etag", `"1"`}, kept...)},
		{"part of it", "GET", "/v1/names/1", "", nil, 200, `{"name":"Ada"}`, anew},
		{"part of it again", "GET", "/v1/names/1", "", nil, 200, `{"name":"Ada"}`, kept},
		{"by another key", "GET", "/v1/by_email/ada@example.org", "", nil, 200, `{"name":"Ada"}`, anew},
		{"by another key again", "GET", "/v1/by_email/ada@example.org", "", nil, 200, `{"name":"Ada"}`, kept},
		{"change", "PATCH", "/v1/users/1", `{"name":"Bea"}`, nil, 204, "", nil},
		{"see it", "GET", "/v1/users/1", "", nil, 200, bea, anew},
		{"see the part", "GET", "/v1/names/1", "", nil, 200, `{"name":"Bea"}`, anew},
		{"see it by another key", "GET", "/v1/by_email/ada@example.org", "", nil, 200, `{"name":"Bea"}`, anew},
		{"urgent", "GET", "/v1/users/1", "", []string{"Fulcrum-Class", "urgent"}, 200, bea, anew},
		{"many", "POST", "/v1/users:batchGet", `{"keys":[1,7]}`, nil, 200, `{"rows":{"1":` + bea + `},"missing":["7"],"errors":{}}`, nil},
		{"refused change", "PATCH", "/v1/users/1", `{"name":null}`, nil, 409, "constraint", nil},
		{"delete", "DELETE", "/v1/users/1", "", nil, 204, "", nil},
		{"gone", "GET", "/v1/users/1", "", nil, 404, "not_found", nil},
	})
}

// That a row is not there is kept, too, until it is made: by its key, or with one that the
// database makes.
func TestCachedAbsence(t *testing.T) {
	cfg, _ := cachedConfig(t)
	g := served(t, cfg)
	absent := func(target string, age string) {
		t.Helper()
		a := ask(t, g.Data(), "GET", target, "")
		wantProblem(t, a, 404, "not_found")
		if got := a.Header.Get("Age"); got != age {
			t.Errorf("%s: Age is %q, want %q", target, got, age)
		}
	}
	for _, c := range []struct{ target, method, to, body string }{
		{"/v1/logs/1", "POST", "/v1/logs", `{"line":"a"}`},
		{"/v1/logs/2", "POST", "/v1/logs", `{"id":2,"line":"a"}`},
		{"/v1/logs/3", "PUT", "/v1/logs/3", `{"line":"a","n":null}`},
		{"/v1/logs/4", "POST", "/v1/logs:batchPut", `{"rows":[{"id":4,"line":"a","n":null}]}`},
	} {
		absent(c.target, "")
		absent(c.target, "0")
		if a := ask(t, g.Data(), c.method, c.to, c.body); a.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %s", c.method, c.to, a.StatusCode, a.text)
		}
		if a := ask(t, g.Data(), "GET", c.target, ""); a.StatusCode != 200 {
			t.Errorf("%s was made: %d %s", c.target, a.StatusCode, a.text)
		}
	}
}

// Names that the database takes for the same are the same to the cache.
func TestCachedRowsWithLooseKeys(t *testing.T) {
	cfg, _ := cachedConfig(t)
	steps(t, served(t, cfg).Data(), []step{
		{"make", "PUT", "/v1/tags/Go", `{"n":1}`, nil, 201, "", nil},
		{"read", "GET", "/v1/tags/GO", "", nil, 200, `{"n":1}`, anew},
		{"again", "GET", "/v1/tags/GO", "", nil, 200, `{"n":1}`, kept},
		{"change", "PUT", "/v1/tags/go", `{"n":2}`, nil, 204, "", nil},
		{"see it", "GET", "/v1/tags/GO", "", nil, 200, `{"n":2}`, anew},
	})
}

// What passes Fulcrum by is seen when it is anew for afresh, or when its time is over.
func TestCachedRowsAndOthersWrites(t *testing.T) {
	cfg, file := cachedConfig(t)
	h := served(t, cfg).Data()
	run(t, file, "insert into logs values (1, 'a', 1)")
	row := func(n int) string { return fmt.Sprintf(`{"id":1,"line":"a","n":%d}`, n) }
	get := func(n int, told []string, headers ...string) step {
		return step{fmt.Sprint(headers), "GET", "/v1/logs/1", "", headers, 200, row(n), told}
	}
	steps(t, h, []step{get(1, anew), get(1, kept)})
	run(t, file, "update logs set n = 2")
	steps(t, h, []step{
		get(1, kept), get(1, kept, "Cache-Control", "max-age=60"),
		get(2, anew, "Cache-Control", "no-cache"), get(2, kept),
	})
	run(t, file, "update logs set n = 3")
	steps(t, h, []step{get(2, kept), get(3, anew, "Fulcrum-After", "anything"), get(3, kept)})
	run(t, file, "update logs set n = 4")
	steps(t, h, []step{get(3, kept, "Cache-Control", "private, only-if-cached"), get(4, anew, "Cache-Control", "private, Max-Age=0")})
	run(t, file, "update logs set n = 5")
	steps(t, h, []step{get(5, anew, "Cache-Control", "max-age=soon")})
}

// Changes that are made later are seen when they are made.
func TestCachedRowsFollowLaterChanges(t *testing.T) {
	cfg, _ := cachedConfig(t)
	if err := cfg.DB.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.Journal = t.TempDir()
	h := served(t, cfg).Data()
	ask(t, h, "PUT", "/v1/logs/1", `{"line":"first","n":1}`)
	for i, durability := range []string{"memory", "journaled"} {
		ask(t, h, "GET", "/v1/logs/1", "")
		n := i + 2
		a := ask(t, h, "PUT", "/v1/logs/1", fmt.Sprintf(`{"line":"later","n":%d}`, n), "Fulcrum-Durability", durability)
		if a.StatusCode != 202 {
			t.Fatalf("%s: %d %s", durability, a.StatusCode, a.text)
		}
		waitFor(t, func() bool {
			return strings.Contains(ask(t, h, "GET", "/v1/logs/1", "").text, fmt.Sprintf(`"n":%d`, n))
		})
	}
}

// While the database is away, stale rows are told as such.
func TestCachedRowsOfADegradedGateway(t *testing.T) {
	var down atomic.Bool
	cfg := testConfig(&memory{fetch: func(context.Context, []store.Key) error {
		if down.Load() {
			return store.ErrUnavailable
		}
		return nil
	}})
	cfg.Caches = map[string]cache.Config[store.Key, []byte]{"users": {Entries: 100, TTL: time.Millisecond, StaleIfDegraded: time.Hour}}
	h := served(t, cfg).Data()
	ask(t, h, "GET", "/v1/users/1", "")
	down.Store(true)
	time.Sleep(2 * time.Millisecond) // TTL
	var a answer
	waitFor(t, func() bool {
		ask(t, h, "GET", "/v1/users/2", "")
		a = ask(t, h, "GET", "/v1/users/1", "")
		return a.StatusCode == 200
	})
	if a.Header.Get("Fulcrum-Stale") != "true" || a.Header.Get("Age") == "" || !strings.Contains(a.Header.Get("Server-Timing"), "cache;desc=hit") {
		t.Errorf("a stale row: %v", a.Header)
	}
	wantProblem(t, ask(t, h, "GET", "/v1/users/1", "", "Cache-Control", "no-cache"), 503, "circuit_open")
}

func TestCacheFigures(t *testing.T) {
	cfg, _ := cachedConfig(t)
	g := served(t, cfg)
	for range 3 {
		ask(t, g.Data(), "GET", "/v1/users/1", "")
	}
	ask(t, g.Data(), "GET", "/v1/users/9", "")
	ask(t, g.Data(), "GET", "/v1/users/9", "")
	ask(t, g.Data(), "PATCH", "/v1/users/1", `{"name":"x"}`)
	var stats struct {
		Resources map[string]struct{ Cache *cacheJSON }
	}
	if err := json.Unmarshal([]byte(ask(t, g.Admin(), "GET", "/api/v1/stats", "").text), &stats); err != nil {
		t.Fatal(err)
	}
	got := stats.Resources["users"].Cache
	if got == nil || got.Hits != 3 || got.Negative != 1 || got.Misses != 2 || got.HitRatio != .6 || got.Invalidations != 1 || got.Entries != 2 || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
	text := ask(t, g.Admin(), "GET", "/metrics", "").text
	for _, line := range []string{
		`fulcrum_cache_requests_total{resource="users",result="hit"} 2`, `fulcrum_cache_requests_total{resource="users",result="negative"} 1`,
		`fulcrum_cache_requests_total{resource="users",result="miss"} 2`, `fulcrum_cache_invalidations_total{resource="users"} 1`,
		`fulcrum_cache_entries{resource="users"} 2`, `fulcrum_cache_bytes{resource="users"}`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in the metrics", line)
		}
	}
}

func TestCachesThatCannotBe(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Caches = map[string]cache.Config[store.Key, []byte]{"users": {}, "nobody": {Entries: 1}}
	_, err := New(t.Context(), cfg)
	for _, want := range []string{`resource "users": cache: cache: Config.Entries or Bytes is missing`, `resource "nobody": cache: there is no such resource`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func TestACacheNeedsARestart(t *testing.T) {
	cfg, _ := cachedConfig(t)
	g := served(t, cfg)
	if err := g.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Caches = nil
	var wrong *FieldError
	if err := g.Reload(cfg); !errors.As(err, &wrong) || wrong.Field != "Caches" {
		t.Errorf("Reload: %v", err)
	}
}

// Writers and readers of the same rows, through one gateway: nobody sees less than what
// was acknowledged before.
func TestCachedRowsAreTrue(t *testing.T) {
	cfg, _ := cachedConfig(t)
	h := served(t, cfg).Data()
	const rows, writes = 4, 100
	var acked [rows]atomic.Int64
	for key := range rows {
		writeOne(t, h, key, 1)
		acked[key].Store(1)
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for key := range rows {
		writers.Go(func() {
			for n := int64(2); n <= writes; n++ {
				writeOne(t, h, key, n)
				acked[key].Store(n)
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			var seen [rows]int64
			for !done.Load() {
				key := rand.IntN(rows)
				least := max(seen[key], acked[key].Load())
				n, how := readOne(t, h, key)
				if n < least {
					t.Errorf("row %d, %s: %d, and %d was known", key, how, n, least)
				}
				seen[key] = n
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

func writeOne(t *testing.T, h http.Handler, key int, n int64) {
	body := fmt.Sprintf(`{"line":"a","n":%d}`, n)
	if a := ask(t, h, "PUT", fmt.Sprintf("/v1/logs/%d", key), body); a.StatusCode >= 300 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// readOne reads n of a row in one of several ways.
func readOne(t *testing.T, h http.Handler, key int) (n int64, how string) {
	var row struct{ N int64 }
	how = []string{"normal", "normal", "urgent", "bulk", "many"}[rand.IntN(5)]
	var err error
	if how == "many" {
		var many struct{ Rows map[string]json.RawMessage }
		err = json.Unmarshal([]byte(ask(t, h, "POST", "/v1/logs:batchGet", fmt.Sprintf(`{"keys":[%d,77]}`, key)).text), &many)
		err = errors.Join(err, json.Unmarshal(many.Rows[fmt.Sprint(key)], &row))
	} else {
		err = json.Unmarshal([]byte(ask(t, h, "GET", fmt.Sprintf("/v1/logs/%d", key), "", "Fulcrum-Class", how).text), &row)
	}
	if err != nil {
		t.Error(err)
	}
	return row.N, how
}

var _ fulcrum.Cache[store.Key, []byte] = (*near)(nil)
