package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// wants checks an error's text, in part, and whether it is store.ErrUnavailable.
func wants(t *testing.T, err error, text string, unavailable bool) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || errors.Is(err, store.ErrUnavailable) != unavailable {
		t.Errorf("got %v (unavailable: %t)\nwant %s (%t)", err, errors.Is(err, store.ErrUnavailable), text, unavailable)
	}
}

func TestConfigRefusals(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	ok, _ := newFile(t)
	for _, c := range []struct {
		cfg         sqlite.Config
		want        string
		unavailable bool
	}{
		{sqlite.Config{}, "sqlite: Config.Path is missing: name the database's file", false},
		{sqlite.Config{Path: ":memory:"}, "a database in memory is another one for each connection; name a file", false},
		{sqlite.Config{Path: "file:x.db"}, `"file:x.db" is a URI; give the path alone`, false},
		{sqlite.Config{Path: "a\x00b"}, "Config.Path holds a NUL", false},
		{sqlite.Config{Path: ok, Conns: -1}, "Config.Conns: -1 is not between 1 and 1000", false},
		{sqlite.Config{Path: ok, Conns: 1001}, "Config.Conns: 1001 is not between 1 and 1000", false},
		{sqlite.Config{Path: ok, BusyTimeout: -2}, "Config.BusyTimeout: -2ns is negative; -1 means not to wait", false},
		{sqlite.Config{Path: ok, MapBytes: -2}, "Config.MapBytes: -2 is not between 1 and 2147418112; -1 means none", false},
		{sqlite.Config{Path: dir}, "is no regular file", false},
		{sqlite.Config{Path: dir + "/none.db"}, "none.db does not exist", true},
		{sqlite.Config{Path: text + "/x"}, "not a directory", true},
		{sqlite.Config{Path: text}, "file is not a database; name a file that SQLite has written", true},
		{sqlite.Config{Path: text, ReadOnly: true}, "file is not a database; name a file that SQLite has written", true},
	} {
		db, err := sqlite.Open(t.Context(), c.cfg)
		wants(t, err, c.want, c.unavailable)
		if db != nil {
			t.Errorf("%+v: got a DB with the error", c.cfg)
		}
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: dir + "/none.db"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(dir + "/none.db"); err == nil {
		t.Error("the missing file was made")
	}
}

func TestResourceRefusals(t *testing.T) {
	path, writer := newFile(t)
	if _, err := writer.Exec(`
		create table users (id integer primary key, email text, nick text collate nocase, score real, loose);
		create unique index users_nick on users (nick collate binary);
		create unique index users_some on users (email) where id > 5;
		create unique index users_lower on users (lower(email));
		create unique index users_score on users (score);
		create view people as select id, email from users`); err != nil {
		t.Fatal(err)
	}
	db := open(t, sqlite.Config{Path: path})
	for _, c := range []struct {
		change func(*store.Resource)
		want   string
	}{
		{func(r *store.Resource) { r.Table = "" }, `resource "r": table: is missing: name a table or view`},
		{func(r *store.Resource) { r.Table = "none" }, `resource "r": table: "none" is not in ` + path},
		{func(r *store.Resource) { r.Table = "temp.users" }, `resource "r": table: "temp.users" is not in ` + path},
		{func(r *store.Resource) { r.Key = nil }, `resource "r": key: is missing: name the columns that a request gives`},
		{func(r *store.Resource) { r.Key = []string{"x"} }, `resource "r": key: users has no column "x"; it has id, email, nick, score, loose`},
		{func(r *store.Resource) { r.Key = []string{"id", "id"} }, `resource "r": key: names "id" twice`},
		{func(r *store.Resource) { r.Key = []string{"score"} }, `resource "r": key: column "score" is declared as "real": a key is an integer, text, a uuid or a blob`},
		{func(r *store.Resource) { r.Key = []string{"loose"} }, `resource "r": key: column "loose" is declared as "": a key is an integer, text, a uuid or a blob`},
		{func(r *store.Resource) { r.Key = []string{"email"} }, `resource "r": key: several rows may have the same email: set many, or create unique index users_key on users (email)`},
		{func(r *store.Resource) { r.Key = []string{"nick"} }, `resource "r": key: several rows may have the same nick: set many, or create unique index users_key on users (nick)`},
		{func(r *store.Resource) { r.Key, r.Many = []string{"nick"}, true }, `resource "r": key: every request would read the whole table (scan main.users using covering index users_nick): create index users_nick on users (nick)`},
		{func(r *store.Resource) { r.Table = "people" }, `resource "r": key: people is a view, which has no unique key: name its table, or set many`},
		{func(r *store.Resource) { r.Columns = nil }, `resource "r": columns: are missing: name at least one`},
		{func(r *store.Resource) { r.Columns = []string{`id" from users; --`} }, `resource "r": columns: users has no column "id\" from users; --"; it has id, email, nick, score, loose`},
		{func(r *store.Resource) { r.Columns = []string{"id", "id"} }, `resource "r": columns: name "id" twice`},
		{func(r *store.Resource) { r.Order = "id" }, `resource "r": order: only a many resource has one`},
		{func(r *store.Resource) { r.Limit = 5 }, `resource "r": limit: only a many resource has one`},
		{func(r *store.Resource) { r.Many, r.Limit = true, -5 }, `resource "r": limit: -5 is negative`},
		{func(r *store.Resource) { r.Many, r.Order = true, "id down" }, `resource "r": order: "id down" is not a column, or a column and desc`},
		{func(r *store.Resource) { r.Many, r.Order = true, "id,,email" }, `resource "r": order: "" is not a column, or a column and desc`},
		{func(r *store.Resource) { r.Many, r.Order = true, "x desc" }, `resource "r": order: users has no column "x"; it has id, email, nick, score, loose`},
	} {
		r := store.Resource{Name: "r", Table: "users", Key: []string{"id"}, Columns: []string{"id"}}
		c.change(&r)
		_, err := db.Open(t.Context(), r)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestQueryRefusals(t *testing.T) {
	path, writer := newFile(t)
	if _, err := writer.Exec(`create table pairs (a integer, b text, v, primary key (a, b)); insert into pairs values (1, 'x', 'text')`); err != nil {
		t.Fatal(err)
	}
	db := open(t, sqlite.Config{Path: path})
	type pair struct {
		a int64
		b string
	}
	scan := func(r sqlite.Row) (int64, error) { return r.Int(0), nil }
	parts := func(p pair) []any { return []any{p.a, p.b} }
	for want, q := range map[string]sqlite.Query[pair, int64]{
		`resource "pairs": scan: is missing: give the function that makes a value of a row`:                   {Table: "pairs"},
		`resource "pairs": parts: is missing: the key has several columns`:                                    {Table: "pairs", Key: []string{"a", "b"}, Scan: scan},
		`resource "pairs": parts: is missing: sqlite_test.pair is no integer, float or string`:                {Table: "pairs", Key: []string{"a"}, Scan: scan},
		`resource "n": columns: are missing: name at least one`:                                               {Name: "n", Table: "pairs", Key: []string{"a", "b"}, Scan: scan, Parts: parts},
		`resource "pairs": key: several rows may have the same a: set many, or create unique index pairs_key`: {Table: "pairs", Key: []string{"a"}, Columns: []string{"v"}, Scan: scan, Parts: parts},
	} {
		_, err := sqlite.ReaderConfig(t.Context(), db, q)
		wants(t, err, want, false)
	}
	for want, q := range map[string]sqlite.Query[pair, int64]{
		"sqlite: column v holds text; Scan asked for an integer":                         {Scan: scan, Parts: parts},
		"sqlite: column v holds text; Scan asked for a blob":                             {Scan: func(r sqlite.Row) (int64, error) { return int64(len(r.Bytes(0))), nil }, Parts: parts},
		"sqlite: column v holds text; Scan asked for a number":                           {Scan: func(r sqlite.Row) (int64, error) { return int64(r.Float(0)), nil }, Parts: parts},
		"sqlite: column v holds text; Scan asked for a time":                             {Scan: func(r sqlite.Row) (int64, error) { return r.Time(0).Unix(), nil }, Parts: parts},
		"sqlite: Scan asked for column 1 of 1":                                           {Scan: func(r sqlite.Row) (int64, error) { return r.Int(1), nil }, Parts: parts},
		"mine":                                                                           {Scan: func(sqlite.Row) (int64, error) { return 0, errors.New("mine") }, Parts: parts},
		`sqlite: query "pairs": Parts gave 1 values for 2 key columns`:                   {Scan: scan, Parts: func(p pair) []any { return []any{p.a} }},
		"sqlite: a key part cannot be a bool: use int64, float64, string, []byte or nil": {Scan: scan, Parts: func(p pair) []any { return []any{true, p.b} }},
	} {
		q.Table, q.Key, q.Columns = "pairs", []string{"a", "b"}, []string{"v"}
		cfg, err := sqlite.ReaderConfig(t.Context(), db, q)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cfg.One(t.Context(), pair{1, "x"})
		wants(t, err, want, false)
		_, err = fulcrumtest.Together(t.Context(), []pair{{1, "x"}, {2, "x"}}, cfg.Fetch)
		wants(t, err, want, false)
	}
}

type level string

func TestQueryKeysAndValues(t *testing.T) {
	path, writer := newFile(t)
	if _, err := writer.Exec(`create table everything (name text primary key collate nocase, i, f, b, n, at, yes);
		insert into everything values ('high', -5, 2.5, x'00ff', null, '2026-01-02 03:04:05', 1)`); err != nil {
		t.Fatal(err)
	}
	db := open(t, sqlite.Config{Path: path})
	cfg, err := sqlite.ReaderConfig(t.Context(), db, sqlite.Query[level, []any]{
		Table: "main.everything", Key: []string{"name"}, Columns: []string{"name", "i", "f", "b", "n", "at", "yes"},
		Scan: func(r sqlite.Row) ([]any, error) {
			return []any{r.Text(0), r.Int(1), r.Float(2), r.Float(1), r.Bytes(3)[1], r.Null(4), r.Time(5).Unix(), r.Bool(6)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := fulcrumtest.Together(t.Context(), []level{"HIGH", "high", "low"}, cfg.Fetch)
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %v, %v", rows, err)
	}
	want := []any{"high", int64(-5), 2.5, -5.0, byte(255), true, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix(), true}
	for i := range want {
		if rows["HIGH"][i] != want[i] {
			t.Errorf("value %d: got %v, want %v", i, rows["HIGH"][i], want[i])
		}
	}
}

// users makes a file with one user and opens it.
func users(t *testing.T, cfg sqlite.Config) (*sqlite.DB, store.Table, string) {
	t.Helper()
	path, writer := newFile(t)
	if _, err := writer.Exec("create table users (id integer primary key, name text); insert into users values (1, 'Ada')"); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Exec("pragma wal_checkpoint(truncate)"); err != nil {
		t.Fatal(err)
	}
	cfg.Path = path
	db := open(t, cfg)
	table, err := db.Open(t.Context(), store.Resource{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"name"}})
	if err != nil {
		t.Fatal(err)
	}
	return db, table, path
}

// The file vanishes or changes under an open DB.
func TestPingSeesTheFile(t *testing.T) {
	db, table, path := users(t, sqlite.Config{})
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	wants(t, db.Ping(t.Context()), "was removed while it is open", true)
	if row, err := table.One(t.Context(), "1"); string(row) != `{"name":"Ada"}` {
		t.Errorf("open handles cannot be read on: %s, %v", row, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, db.Ping(t.Context()), "was replaced by another file while it is open", true)
}

// A mapped file that is cut off raises a fault where its memory is read: it must
// become an error, not the end of the process.
func TestFileCutOff(t *testing.T) {
	for name, cfg := range map[string]sqlite.Config{"mapped": {}, "not mapped": {MapBytes: -1}} {
		t.Run(name, func(t *testing.T) {
			path, writer := newFile(t)
			if _, err := writer.Exec(`create table users (id integer primary key, name text);
				with recursive n(i) as (select 1 union all select i+1 from n where i < 20000) insert into users select i, 'somebody' from n;
				pragma wal_checkpoint(truncate)`); err != nil {
				t.Fatal(err)
			}
			cfg.Path = path
			db := open(t, cfg)
			table, err := db.Open(t.Context(), store.Resource{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"name"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := table.One(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := table.One(t.Context(), "19999"); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got %v, want store.ErrUnavailable", err)
				}
			}
		})
	}
}

// A connection that is taken must be waited for, but not longer than the caller
// wants, and a long query ends by its deadline.
func TestLongQueryAndTakenConnection(t *testing.T) {
	path, writer := newFile(t)
	if _, err := writer.Exec(`create table users (id integer primary key, v text);
		insert into users values (1, 'x');
		create view endless as with recursive c(i) as (select 1 union all select i+1 from c)
			select u.id as id, (select max(i) from c) as v from users u`); err != nil {
		t.Fatal(err)
	}
	db := open(t, sqlite.Config{Path: path, Conns: 1})
	endless, err := db.Open(t.Context(), store.Resource{Name: "e", Table: "endless", Key: []string{"id"}, Columns: []string{"v"}, Many: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := make(chan error, 1)
	go func() {
		_, err := endless.One(ctx, "1")
		began <- err
	}()
	late, cancelLate := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelLate()
	_, err = endless.One(late, "1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := <-began; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("the connection is not usable afterwards: %v", err)
	}
	closedUnder := make(chan error, 1)
	go func() {
		_, err := endless.One(context.Background(), "1")
		closedUnder <- err
	}()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	wants(t, <-closedUnder, "is closed", true)
}

// A panic in Scan leaves the connection usable.
func TestPanicInScan(t *testing.T) {
	db, table, _ := users(t, sqlite.Config{Conns: 1})
	cfg, err := sqlite.ReaderConfig(t.Context(), db, sqlite.Query[int64, string]{
		Table: "users", Key: []string{"id"}, Columns: []string{"name"},
		Scan: func(sqlite.Row) (string, error) { panic("mine") },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := fulcrum.NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var p *fulcrum.PanicError
	if _, err := r.Get(t.Context(), 1); !errors.As(err, &p) || p.Value != "mine" || !strings.Contains(string(p.Stack), "TestPanicInScan") {
		t.Errorf("got %v", err)
	}
	if _, err := fulcrumtest.Together(t.Context(), []int64{1, 2}, func(ctx context.Context, b *fulcrum.Batch[int64, string]) error {
		return cfg.Fetch(ctx, b)
	}); err == nil {
		t.Error("no error")
	}
	if row, err := table.One(t.Context(), "1"); err != nil {
		t.Errorf("afterwards: %s, %v", row, err)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Values that do not fit their column's type are shown as what they are.
func TestLooseValues(t *testing.T) {
	path, writer := newFile(t)
	if _, err := writer.Exec(`create table loose (id integer primary key, b boolean, j json, d datetime, n integer);
		insert into loose values (1, 7, '{broken', 'yesterday', 'many'), (2, 'yes', x'01', 1700000000, 9e999), (3, 1, ' [1, 2] ', '2026-01-02T03:04:05+02:00', 1)`); err != nil {
		t.Fatal(err)
	}
	table, err := open(t, sqlite.Config{Path: path}).Open(t.Context(),
		store.Resource{Name: "loose", Table: "LOOSE", Key: []string{"ID"}, Columns: []string{"b", "j", "d", "n"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[store.Key]string{
		"1": `{"b":7,"j":"{broken","d":"yesterday","n":"many"}`,
		"2": `{"b":"yes","j":"AQ==","d":1700000000,"n":"Infinity"}`,
		"3": `{"b":true,"j":[1,2],"d":"2026-01-02T03:04:05+02:00","n":1}`,
	} {
		if got, err := table.One(t.Context(), key); string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

// A NUL is a character of a key like any other.
func TestNulInKeys(t *testing.T) {
	path, writer := newFile(t)
	if _, err := writer.Exec("create table words (word text primary key, n integer)"); err != nil {
		t.Fatal(err)
	}
	for i, word := range []string{"a\x00b", "a", "\x00"} {
		if _, err := writer.Exec("insert into words values (?, ?)", word, i); err != nil {
			t.Fatal(err)
		}
	}
	table, err := open(t, sqlite.Config{Path: path}).Open(t.Context(), store.Resource{Name: "w", Table: "words", Key: []string{"word"}, Columns: []string{"n"}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := fulcrumtest.Together(t.Context(), []store.Key{"a%00b", "a", "%00", "a%00"}, table.Fetch)
	if err != nil || len(rows) != 3 || string(rows["a%00b"]) != `{"n":0}` || string(rows["a"]) != `{"n":1}` || string(rows["%00"]) != `{"n":2}` {
		t.Errorf("got %q, %v", rows, err)
	}
}
