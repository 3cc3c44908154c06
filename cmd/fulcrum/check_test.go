package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	secretHash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // of "secret"

	usersPart = "  users: {table: users, key: id, columns: [id, name]}\n"
)

// shop is a folder with a database that configurations can name as shop.db.
func shop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"create table users (id integer primary key, name text not null)",
		"insert into users values (1, 'Ada'), (42, 'Grace')",
		"create table orders (id integer primary key, user_id integer not null, total text not null)",
		"create index orders_user_id on orders (user_id)",
		"insert into orders values (1, 42, '9.50'), (2, 42, '3.00')",
		"create table memberships (tenant text, user_id integer, role text, primary key (tenant, user_id))",
		"create table events (at text, what text)",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// write makes a configuration in dir; DIR in it becomes dir.
func write(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const wholeShop = `store: sqlite:DIR/shop.db
resources:
` + usersPart + `  orders_by_user: {table: orders, key: user_id, many: true, columns: [id, total], order: "id desc", limit: 20}
  memberships: {table: memberships, key: [tenant, user_id], columns: [role]}
`

func TestCheck(t *testing.T) {
	dir := shop(t)
	file := write(t, dir, wholeShop)
	code, stdout, stderr := try(t.Context(), "check", "-c", file)
	want := file + " on sqlite:" + dir + `/shop.db
  users           /v1/users/{id}                      id: an integer
  orders_by_user  /v1/orders_by_user/{user_id}        user_id: an integer
  memberships     /v1/memberships/{tenant}/{user_id}  tenant: text in UTF-8, user_id: an integer
  region default  balanced, batches up to 200, linger 2ms
tuner auto: 1 to 48 in flight, 2 reserved; up to 50 of 50 connections
OK
`
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if code != 0 || stderr != "" || squeeze(stdout) != squeeze(want) || strings.Count(stdout, "\n") != 7 {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}

	code, stdout, stderr = try(t.Context(), "check", "--json", "--config", file)
	var got checkJSON
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || stderr != "" {
		t.Fatalf("code %d: %v\n%s%s", code, err, stdout, stderr)
	}
	if !got.OK || len(got.Problems) != 0 || len(got.Resources) != 3 || *got.Pool != (poolJSON{50, 50}) || *got.Tuner != (tunerJSON{"auto", 1, 48, 2}) || got.Resources[2].Path != "/v1/memberships/{tenant}/{user_id}" || !strings.Contains(stdout, `"problems":[]`) {
		t.Error(stdout)
	}
}

// What is wrong with a configuration, word for word, and with its place.
func TestCheckRefuses(t *testing.T) {
	dir := shop(t)
	if err := os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("this is no database\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	const head = "store: sqlite:DIR/shop.db\nresources:\n"
	for _, c := range []struct {
		name, text string
		want       []string // lines; <f> is the file, DIR its folder
	}{
		{"typos", "stoer: x\nresources:\n  users: {table: users, key: id, colums: [id]}\n", []string{
			"<f>:1:1: stoer: unknown field; did you mean store?",
			"<f>:1:1: store: is missing: name a database: sqlite:FILE or postgres://…",
			"<f>:3:10: resources.users.columns: is missing: name those that a row shows",
			"<f>:3:34: resources.users.colums: unknown field; did you mean columns?",
		}},
		{"several wrong resources", head + "  a: {table: user, key: id, columns: [id]}\n  b: {table: users, key: nick, columns: [id]}\n  c: {table: users, key: id, columns: [id, email]}\n" +
			"  d: {table: events, key: at, columns: [what]}\n  e: {table: orders, key: user_id, columns: [id]}\n  f: {table: orders, key: user_id, many: true, columns: [id], order: when}\n", []string{
			`<f>:3:7: resources.a.table: "user" is not in DIR/shop.db`,
			`<f>:4:21: resources.b.key: users has no column "nick"; it has id, name`,
			`<f>:5:30: resources.c.columns: users has no column "email"; it has id, name`,
			`<f>:6:22: resources.d.key: several rows may have the same at: set many, or create unique index events_key on events (at)`,
			`<f>:7:22: resources.e.key: several rows may have the same user_id: set many, or create unique index orders_key on orders (user_id)`,
			`<f>:8:63: resources.f.order: orders has no column "when"; it has id, user_id, total`,
		}},
		{"SQL in a column", head + "  a: {table: users, key: id, columns: ['id, (select 1)']}\n", []string{`<f>:3:30: resources.a.columns: users has no column "id, (select 1)"; it has id, name`}},
		{"SQL in a table", head + "  a: {table: 'users; drop table users', key: id, columns: [id]}\n", []string{`<f>:3:7: resources.a.table: "users; drop table users" is not in DIR/shop.db`}},
		{"resource's name", head + "  a/b: {table: users, key: id, columns: [id]}\n", []string{`<f>:3:3: resources.a/b.name: want a letter, then up to 63 letters, digits, _ or -`}},
		{"pool too small", "pool: {max: 5}\ntuner: {kind: fixed, in_flight: 4, reserved: 2}\n" + head + usersPart, []string{
			"<f>:2:1: tuner: 4 batches in flight + 2 reserved need 6 connections, the database has 5: lower them or raise the pool",
		}},
		{"no addresses", "geoip: DIR/shop.db\n" + head + usersPart, nil},
		{"open to all", "listen: 0.0.0.0:8080\nadmin: :8081\n" + head + usersPart, []string{
			"<f>:1:1: listen: 0.0.0.0:8080 can be reached from other machines, and anybody could read everything: use 127.0.0.1, name tokens, or say insecure if that is meant",
			"<f>:2:1: admin: :8081 can be reached from other machines, and anybody could read figures and profiles: use 127.0.0.1, or say insecure if that is meant",
		}},
		{"no file", "store: sqlite:DIR/none.db\nresources:\n" + usersPart, []string{
			"<f>:1:1: store: sqlite: DIR/none.db does not exist: store: database unavailable (file does not exist)",
		}},
		{"no database", "store: sqlite:DIR/text.db\nresources:\n" + usersPart, []string{"<f>:1:1: store: sqlite: DIR/text.db: file is not a database; name a file that SQLite has written"}},
		{"no server", "store: postgres://u:hunter2@127.0.0.1:1/d\nresources:\n" + usersPart, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, dir, c.text)
			code, stdout, stderr := try(t.Context(), "check", "-c", file)
			if code != 1 || stdout != "" || strings.Contains(stderr, "hunter2") {
				t.Errorf("code %d\n%s%s", code, stdout, stderr)
			}
			wantLines := strings.NewReplacer("<f>", file, "DIR", dir).Replace(strings.Join(c.want, "\n"))
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if got := strings.Join(lines[:len(lines)-1], "\n"); c.want != nil && got != wantLines {
				t.Errorf("got\n%s\nwant\n%s", got, wantLines)
			}
			if last := lines[len(lines)-1]; last != count(len(lines)-1, "problem") {
				t.Errorf("last line %q", last)
			}
			code, stdout, stderr = try(t.Context(), "check", "-c", file, "--json")
			var got checkJSON
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 || stderr != "" || got.OK || len(got.Problems) != len(lines)-1 {
				t.Errorf("--json: code %d, %v\n%s%s", code, err, stdout, stderr)
			}
		})
	}
}

func TestCheckWithoutFile(t *testing.T) {
	code, stdout, stderr := try(t.Context(), "check", "-c", "/nowhere/f.yaml")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "/nowhere/f.yaml: no such file or directory") {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
	for _, command := range []string{"check", "serve"} {
		if code, _, stderr := try(t.Context(), command); code != 2 || !strings.Contains(stderr, "--config=FILE") {
			t.Errorf("code %d\n%s", code, stderr)
		}
	}
}

// The example fits a database like the one it speaks of.
// What is kept is told, and what a change of another resource does to it.
func TestCheckTellsOfCaches(t *testing.T) {
	dir := shop(t)
	file := write(t, dir, "store: sqlite:DIR/shop.db\ncache: {entries: 20000}\nresources:\n"+
		"  users: {table: users, key: id, columns: [id], cache: {bytes: 1MiB, ttl: 5s}}\n"+
		"  orders: {table: orders, key: id, columns: [total, user_id], writable: true, cache: false}\n"+
		"  orders_by_user: {table: orders, key: user_id, many: true, columns: [id, total]}\n")
	code, stdout, stderr := try(t.Context(), "check", "-c", file)
	for _, want := range []string{"cache 1048576 bytes, for 5s\n", "cache 20000 entries, for 1m0s; each change of orders empties it, since it does not name user_id\n"} {
		if code != 0 || !strings.Contains(regexp.MustCompile(" +").ReplaceAllString(stdout, " "), want) {
			t.Errorf("code %d\n%s%s\nwant %s", code, stdout, stderr, want)
		}
	}
	if strings.Count(stdout, "cache") != 2 {
		t.Errorf("want two caches:\n%s", stdout)
	}
}

func TestCheckExample(t *testing.T) {
	text, err := os.ReadFile("../../fulcrum.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, statement := range []string{
		"create table users (id integer primary key, name text, email text, bio text, updated_at text)",
		"create table orders (id integer primary key, user_id integer, total text, created_at text)", "create index o on orders (user_id)",
		"create table memberships (tenant text, user_id integer, role text, primary key (tenant, user_id))",
	} {
		makeTable(t, filepath.Join(dir, "fulcrum.db"), statement)
	}
	t.Setenv("SHOP_TOKEN_SHA256", secretHash)
	t.Setenv("REPORTS_TOKEN_SHA256", strings.Repeat("ab", 32))
	file := write(t, dir, strings.Replace(string(text), "sqlite:fulcrum.db", "sqlite:DIR/fulcrum.db", 1))
	if code, stdout, stderr := try(t.Context(), "check", "-c", file); code != 0 || !strings.HasSuffix(stdout, "\nOK\n") {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}

// Which policy a request gets, and why.
func TestCheckExplains(t *testing.T) {
	dir := shop(t)
	file := write(t, dir, "regions: {europe: {mode: throughput, max_batch: 50, slo: p99=50ms}, us-west: {mode: latency, max_batch: 10}}\ntrusted_proxies: [192.0.2.7]\n"+wholeShop)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--explain", ""}, "such a request gets: balanced, batches up to 200, linger 2ms\n  because: region=default by default"},
		{[]string{"--explain", "Fulcrum-Region: us-west"}, `gets: latency, batches up to 10` + "\n" + `  because: region=us-west by Fulcrum-Region "us-west"`},
		{[]string{"--explain", "CF-IPCountry: DE", "--from", "192.0.2.7"}, `gets: throughput, batches up to 50, linger 2ms, SLO p99=50ms` + "\n" + `  because: region=europe by CF-IPCountry "DE"`},
		{[]string{"--explain", "CF-IPCountry: DE", "--explain=X-A: b, c"}, `ignored CF-IPCountry "DE": it does not come from a trusted proxy`},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"check", "-c", file}, c.args...)...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, c.want) {
			t.Errorf("%q: code %d\n%s%s\nwant %s", c.args, code, stdout, stderr, c.want)
		}
	}
	_, stdout, _ := try(t.Context(), "check", "--json", "-c", file, "--explain", "Fulcrum-Region: europe")
	var got checkJSON
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Explained == nil || got.Explained.Region != "europe" || len(got.Regions) != 3 || got.Regions[0].SLO != "p99=50ms" {
		t.Errorf("%v: %s", err, stdout)
	}
	for _, args := range [][]string{{"--explain", "no header"}, {"--explain", ": x"}, {"--from", "here"}} {
		if code, _, stderr := try(t.Context(), append([]string{"check", "-c", file}, args...)...); code != 2 || !strings.Contains(stderr, "want") {
			t.Errorf("%q: code %d %s", args, code, stderr)
		}
	}
}
