package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver that makes the database

	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// realDB is a database file with the tables users and notes.
func realDB(t *testing.T) store.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "real.db")
	file, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, statement := range []string{
		"create table users (id integer primary key, name text, secret text)", "insert into users values (1, 'Ada', 'hush')",
		"create table notes (name text primary key, body text)", "insert into notes values ('a/b', 'slash'), ('..', 'dots')",
	} {
		if _, err := file.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func realConfig(t *testing.T) Config {
	cfg := testConfig(&memory{})
	cfg.DB = realDB(t)
	cfg.Resources = []store.Resource{
		{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"id", "name"}},
		{Name: "notes", Table: "notes", Key: []string{"name"}, Columns: []string{"name", "body"}},
	}
	return cfg
}

// speak sends raw text to an address and returns status and body of the answer.
func speak(t *testing.T, address, text string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, text) // the gateway may hang up before the end
	}()
	defer func() { _ = conn.Close(); <-sent }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		return 0, ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func request(method, target, body string, headers ...string) string {
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: x", fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// What hostile requests get, as they come through a socket, from a gateway on a
// real database file.
func TestHostileRequests(t *testing.T) {
	g, _ := start(t, realConfig(t))
	const batch = "/v1/users:batchGet"
	post := func(body string) string { return request("POST", batch, body) }
	get := func(target string) string { return request("GET", target, "") }
	manyKeys := `{"keys":[1` + strings.Repeat(",1", 99_999) + `]}`
	for _, c := range []struct {
		name, request string
		status        int
		code          string
	}{
		{"header of 10 MB", "GET /v1/users/1 HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 10<<20) + "\r\n\r\n", 431, ""},
		{"10,000 headers", "GET /v1/users/1 HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\n", 431, ""},
		{"path of 1 MB", get("/v1/users/" + strings.Repeat("1", 1<<20)), 431, ""},
		{"path of 10 KB", get("/v1/users/" + strings.Repeat("1", 10<<10)), 400, "bad_key"},
		{"many segments", get("/v1/users" + strings.Repeat("/1", 5000)), 400, "bad_key"},
		{"body of 2 MB", post(strings.Repeat(" ", 2<<20)), 413, "body_too_large"},
		{"100,000 keys", post(manyKeys), 413, "too_many_keys"},
		{"deep arrays", post(`{"keys":` + strings.Repeat("[", 100_000)), 400, "bad_json"},
		{"deep arrays that end", post(`{"keys":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "}"), 400, "bad_json"},
		{"deep key", post(`{"keys":[` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + "]}"), 400, "bad_key"},
		{"deep objects", post(strings.Repeat(`{"keys":`, 50_000)), 400, "bad_json"},
		{"field twice", post(`{"keys":[1],"keys":[2]}`), 400, "duplicate_field"},
		{"field twice, escaped", post(`{"keys":[1],"\u006beys":[1] } `), 400, "duplicate_field"},
		{"field twice, null", post(`{"keys":[1],"keys":null}`), 400, "duplicate_field"},
		{"escaped field", post(` { "\u006beys" : [ 1 ] } `), 200, ""},
		{"trailing garbage", post(`{"keys":[1]} x`), 400, "bad_json"},
		{"trailing value", post(`{"keys":[1]}{"keys":[2]}`), 400, "bad_json"},
		{"byte order mark", post("\xef\xbb\xbf{\"keys\":[1]}"), 400, "bad_json"},
		{"dots", get("/v1/users/../notes/x"), 400, "bad_path"},
		{"encoded dots are a key", get("/v1/notes/%2e%2e"), 200, ""},
		{"encoded dots before a name", get("/v1/%2e%2e/users/1"), 404, "unknown_resource"},
		{"encoded slash is a key", get("/v1/notes/a%2Fb"), 200, ""},
		{"slash encoded twice", get("/v1/notes/a%252Fb"), 404, "not_found"},
		{"slash in a name", get("/v1%2Fusers/1"), 404, "unknown_path"},
		{"double slashes", get("//v1//users//1"), 400, "bad_path"},
		{"other host's path", get("http://evil.example/v1/users/../1"), 400, "bad_path"},
		{"NUL in a key", get("/v1/notes/a%00b"), 404, "not_found"},
		{"NUL in a number", get("/v1/users/1%00"), 400, "bad_key"},
		{"half an escape", get("/v1/users/%4"), 400, ""},
		{"SQL in a number", get("/v1/users/1%20or%201=1"), 400, "bad_key"},
		{"SQL in a text", get("/v1/notes/'%20or%20'1'='1"), 404, "not_found"},
		{"SQL in a batch", post(`{"keys":["1; drop table users"]}`), 200, ""},
		{"SQL in a name", get("/v1/users;drop%20table%20users/1"), 404, "unknown_resource"},
		{"table that is no resource", get("/v1/sqlite_schema/1"), 404, "unknown_resource"},
		{"column by query", get("/v1/users/1?columns=secret"), 200, ""},
		{"column by body", post(`{"keys":[1],"columns":["secret"]}`), 400, "unknown_field"},
		{"number in other digits", get("/v1/users/%D9%A1"), 400, "bad_key"},
		{"number with a sign", get("/v1/users/+1"), 400, "bad_key"},
		{"header in a header", get("/v1/users/1%0d%0aX-Evil:%201"), 400, "bad_key"},
		{"two lengths", "POST " + batch + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 12\r\n\r\n{}", 400, ""},
		{"length and chunks", "POST " + batch + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\n{}", 501, ""},
		{"no host", "GET /v1/users/1 HTTP/1.1\r\n\r\n", 400, ""},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, ""},
		{"unknown method", request("BREW", "/v1/users/1", ""), 405, "method_not_allowed"},
		{"connect", request("CONNECT", "db:5432", ""), 404, "unknown_path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := speak(t, g.Addr(), c.request)
			if status == 0 && c.status == 431 {
				return // hung up on: the answer may be lost when the rest arrives after it
			}
			if status != c.status || c.code != "" && !strings.Contains(body, `"code":"`+c.code+`"`) {
				t.Errorf("%d %.300s, want %d %s", status, body, c.status, c.code)
			}
			if strings.Contains(body, "hush") || strings.Contains(body, "SQL logic") || strings.Contains(body, "X-Evil: 1\r\n") {
				t.Errorf("said too much: %.300s", body)
			}
		})
	}
	if status, body := speak(t, g.Addr(), get("/v1/users/1")); status != 200 || body != `{"id":1,"name":"Ada"}` {
		t.Errorf("after all that: %d %s", status, body)
	}
	if s := g.Reader("users").Stats(); s.Queued+s.InFlight != 0 {
		t.Errorf("left over: %+v", s)
	}
}

// Without a token, nothing is read of the body, and nothing told of resources.
func TestHostileRequestsWithoutToken(t *testing.T) {
	cfg := realConfig(t)
	cfg.Tokens = []Token{{Name: "a", SHA256: sha256.Sum256([]byte("secret")), Allow: []string{"users:read"}}}
	g, _ := start(t, cfg)
	right := "Authorization: Bearer secret"
	for _, c := range []struct {
		request string
		status  int
		code    string
	}{
		{request("GET", "/v1/users/1", ""), 401, "unauthorized"},
		{request("GET", "/v1/users/1", "", "Authorization: Bearer wrong"), 401, "unauthorized"},
		{request("GET", "/v1/nothing/1", "", "Authorization: Bearer wrong"), 401, "unauthorized"},
		{request("GET", "/v1/users/1", "", right, right), 401, "unauthorized"},
		{request("GET", "/v1/notes/x", "", right), 403, "forbidden"},
		{request("POST", "/v1/notes:batchGet", `{"keys":["x"]}`, right), 403, "forbidden"},
		{request("GET", "/v1/nothing/1", "", right), 404, "unknown_resource"},
		{request("GET", "/v1/users/1", "", right), 200, ""},
		{"POST /v1/users:batchGet HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 401, "unauthorized"}, // no body follows
		{"POST /v1/users:batchGet HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 401, "unauthorized"},
		{"GET /v1/users/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + right + "\r\n\r\n", 200, ""},
	} {
		if status, body := speak(t, g.Addr(), c.request); status != c.status || !strings.Contains(body, c.code) {
			t.Errorf("%.60q: %d %s, want %d %s", c.request, status, body, c.status, c.code)
		}
	}
}

// A body that trickles in is waited for no longer than the request may take.
func TestSlowBody(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Timeout = 50 * time.Millisecond
	g, _ := start(t, cfg)
	begin := time.Now()
	status, body := speak(t, g.Addr(), "POST /v1/users:batchGet HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"keys\":")
	if status != 408 || !strings.Contains(body, `"code":"slow_body"`) || !strings.Contains(body, "there were 8 bytes after 50ms") {
		t.Errorf("%d %s", status, body)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("after %s", took)
	}
}

// The time in which a body must arrive does not end a request whose body is there.
func TestSlowAnswerAfterABody(t *testing.T) {
	g, _ := start(t, testConfig(&memory{fetch: func(ctx context.Context, _ []store.Key) error {
		<-ctx.Done()
		return ctx.Err()
	}}))
	status, body := speak(t, g.Addr(), request("POST", "/v1/users:batchGet", `{"keys":[1]}`, "Fulcrum-Timeout-Ms: 150"))
	if status != 504 {
		t.Errorf("%d %s", status, body)
	}
}

// A database that is too busy with requests to answer a ping is ready.
func TestReadyWhileBusy(t *testing.T) {
	db := &memory{}
	g := newGateway(t, testConfig(db))
	slow := fmt.Errorf("all connections are in use: %w", context.DeadlineExceeded)
	db.ping.Store(&slow)
	ask(t, g.Data(), "POST", "/v1/users:batchGet", `{"keys":[1,2]}`)
	if a := ask(t, g.Admin(), "GET", "/readyz", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	g.read.Store(int64(-time.Hour))
	wantProblem(t, ask(t, g.Admin(), "GET", "/readyz", ""), 503, "unavailable")
	gone := store.ErrUnavailable
	db.ping.Store(&gone)
	ask(t, g.Data(), "POST", "/v1/users:batchGet", `{"keys":[1,2]}`)
	wantProblem(t, ask(t, g.Admin(), "GET", "/readyz", ""), 503, "unavailable")
}
