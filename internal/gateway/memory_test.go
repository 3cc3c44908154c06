package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// memory is a database of made-up rows. The column "id" and "n" are integers, all
// others text. An integer key has a row if it is not negative, a text key unless it
// is "nobody"; a row repeats its key's parts and is as long as pad says.
type memory struct {
	conns int
	pad   int
	ping  atomic.Pointer[error]
	away  atomic.Bool                                       // it does not answer
	fetch func(ctx context.Context, keys []store.Key) error // called before every query
}

func (m *memory) Ping(context.Context) error {
	if err := m.ping.Load(); err != nil {
		return *err
	}
	return nil
}

func (m *memory) Conns() int   { return m.conns }
func (m *memory) Close() error { return nil }

func (m *memory) Open(_ context.Context, r store.Resource) (store.Table, error) {
	if r.Table == "" {
		return nil, &store.ConfigError{Resource: r.Name, Field: "table", Problem: "it is missing; name a table"}
	}
	return &memoryTable{m, r}, nil
}

type memoryTable struct {
	db  *memory
	res store.Resource
}

func (t *memoryTable) ParseKey(parts []string) (store.Key, error) {
	if len(parts) != len(t.res.Key) {
		return "", &store.KeyError{Value: strings.Join(parts, "/"), Want: fmt.Sprintf("%d parts", len(t.res.Key))}
	}
	if parts[0] == "panic" {
		panic("a key that panics")
	}
	escaped := make([]string, len(parts))
	for i, p := range parts {
		if column := t.res.Key[i]; column == "id" || column == "n" {
			n, err := strconv.ParseInt(p, 10, 64)
			if err != nil {
				return "", &store.KeyError{Column: column, Value: p, Want: "an integer"}
			}
			p = strconv.FormatInt(n, 10)
		}
		escaped[i] = url.PathEscape(p)
	}
	return store.Key(strings.Join(escaped, "/")), nil
}

func (t *memoryTable) row(key store.Key) ([]byte, bool) {
	if strings.HasPrefix(string(key), "-") || key == "nobody" {
		return nil, false
	}
	parts := strings.Split(string(key), "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i])
	}
	row, _ := json.Marshal(map[string]any{"key": parts, "pad": strings.Repeat("x", t.db.pad)})
	return row, true
}

func (t *memoryTable) Fetch(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
	if t.db.away.Load() {
		return fulcrum.ErrUnavailable
	}
	if t.db.fetch != nil {
		if err := t.db.fetch(ctx, b.Keys()); err != nil {
			return err
		}
	}
	for i, key := range b.Keys() {
		if row, ok := t.row(key); ok {
			b.SetAt(i, row)
		}
	}
	return nil
}

func (t *memoryTable) One(ctx context.Context, key store.Key) ([]byte, error) {
	if t.db.away.Load() {
		return nil, fulcrum.ErrUnavailable
	}
	if t.db.fetch != nil {
		if err := t.db.fetch(ctx, []store.Key{key}); err != nil {
			return nil, err
		}
	}
	if row, ok := t.row(key); ok {
		return row, nil
	}
	return nil, fulcrum.ErrNotFound
}

// testConfig serves users (integer key), things (text key) and members (both).
func testConfig(db *memory) Config {
	if db.conns == 0 {
		db.conns = 18
	}
	return Config{
		Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", DB: db, Log: slog.New(slog.DiscardHandler), Version: "v0.0.0-test",
		Resources: []store.Resource{
			{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"id"}},
			{Name: "things", Table: "things", Key: []string{"name"}, Columns: []string{"name"}},
			{Name: "members", Table: "members", Key: []string{"tenant", "n"}, Columns: []string{"tenant"}},
		},
	}
}

func newGateway(t testing.TB, cfg Config) *Gateway {
	t.Helper()
	g, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// answer is what came back from a handler.
type answer struct {
	*http.Response
	text string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.text), &m); err != nil {
		t.Fatalf("%v in %q", err, a.text)
	}
	return m
}

// ask sends one request to a handler. Headers are pairs of name and value.
func ask(t testing.TB, h http.Handler, method, target, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://gateway"+target, strings.NewReader(body))
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.Result(), string(text)}
}

// wantProblem checks everything that all problems have in common.
func wantProblem(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, status, a.text)
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	p := a.json(t)
	if p["code"] != code || p["status"] != float64(status) || p["type"] != "/problems/"+code {
		t.Errorf("problem %s, want code %s", a.text, code)
	}
	if p["title"] == "" || p["title"] == nil || p["instance"] == nil {
		t.Errorf("title or instance is missing: %s", a.text)
	}
}
