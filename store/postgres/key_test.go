package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// Each type of key: parts that are right with their canonical form, and wrong ones.
var keyTypes = []struct {
	typ   string
	value string // of a row that the first part finds
	right map[string]string
	wrong []string
}{
	{"smallint", "7", map[string]string{"7": "7"}, []string{"32768", "x", ""}},
	{"integer", "-7", map[string]string{"-7": "-7"}, []string{"2147483648", "1.0"}},
	{"varchar(3)", "'abc'", map[string]string{"abc": "abc", "abcd": ""}, []string{"a\x00b", "a\xff"}},
	{"char(3)", "'ab'", map[string]string{"ab": "ab", "ab ": "ab%20", "ab    ": "ab%20%20%20%20", "abcd": ""}, []string{"\x00"}},
	{"name", "'abc'", map[string]string{"abc": "abc"}, nil},
	{"uuid", "'0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d'", map[string]string{"0B14DC08-9c4e-4f0f-8d3a-3a0f0a1c2b3d": "0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"}, []string{"0b14dc089c4e4f0f8d3a3a0f0a1c2b3d"}},
	{"bytea", `'\x00ff'`, map[string]string{"AP8": "AP8"}, []string{"AP8="}},
	{"boolean", "true", map[string]string{"true": "true"}, []string{"t", "1", ""}},
	{"date", "'2024-02-29'", map[string]string{"2024-02-29": "2024-02-29"}, []string{"2023-02-29", "today", "infinity"}},
	{"timestamptz", "'2024-02-29 12:30:00.5Z'", map[string]string{"2024-02-29T14:30:00.5+02:00": "2024-02-29T12:30:00.5Z"}, []string{"now", "2024-02-29 12:30:00Z", "2024-02-29T12:30:00.0000001Z"}},
	{"timestamp", "'2024-02-29 12:30:00'", map[string]string{"2024-02-29T12:30:00": "2024-02-29T12:30:00Z", "2024-02-29T12:30:00Z": "2024-02-29T12:30:00Z"}, []string{"now"}},
	{"numeric", "12.5", map[string]string{"12.50": "12.50", "12.5": "12.5"}, []string{"NaN", "1e3", "", ".", "0x1"}},
	{"real", "1.5", map[string]string{"1.5": "1.5", "15e-1": "15e-1"}, []string{"x", "1e99", "0x1p3", "inf", "1_0"}},
	{"double precision", "'NaN'", map[string]string{"NaN": "NaN"}, []string{"nan", "1e999"}},
	{"inet", "'192.0.2.1'", map[string]string{"192.0.2.1": "192.0.2.1"}, []string{"192.0.2", "localhost", "fe80::1%eth0"}},
	{"cidr", "'192.0.2.0/24'", map[string]string{"192.0.2.0/24": "192.0.2.0%2F24"}, []string{"192.0.2.1/24"}},
	{"mood", `'it''s "ok"'`, map[string]string{`it's "ok"`: "it%27s%20%22ok%22"}, []string{"happy", ""}},
	{"positive", "7", map[string]string{"7": "7", "-7": ""}, []string{"x"}},
	{"citext", "'Ab'", map[string]string{"aB": "aB", "AB": "AB"}, []string{"\x00"}},
}

func TestKeyTypes(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, typesSQL)
	db := open(t, postgres.Config{DSN: dsn})
	for i, c := range keyTypes {
		t.Run(c.typ, func(t *testing.T) {
			name := fmt.Sprintf("k%d", i)
			exec(t, plain, "create table "+name+" (k "+c.typ+" primary key, n integer)")
			exec(t, plain, "insert into "+name+" values ("+c.value+", 1)")
			table := openTable(t, db, store.Resource{Name: name, Table: name, Key: []string{"k"}, Columns: []string{"n"}})
			var keys []store.Key
			for part, canonical := range c.right {
				key, err := table.ParseKey([]string{part})
				if err != nil || canonical != "" && !strings.EqualFold(string(key), canonical) {
					t.Errorf("ParseKey(%q) = %q, %v; want %q", part, key, err, canonical)
				}
				row, err := table.One(t.Context(), key)
				if found := canonical != ""; found != (string(row) == `{"n":1}`) || !found && !errors.Is(err, fulcrum.ErrNotFound) {
					t.Errorf("One(%q): %s, %v", key, row, err)
				}
				keys = append(keys, key)
			}
			rows, err := fulcrumtest.Together(t.Context(), keys, table.Fetch)
			for _, key := range keys {
				row, _ := table.One(t.Context(), key)
				if err != nil || !bytes.Equal(row, rows[key]) {
					t.Errorf("key %q: Fetch %s, %v; One %s", key, rows[key], err, row)
				}
			}
			for _, part := range c.wrong {
				var wrong *store.KeyError
				if key, err := table.ParseKey([]string{part}); !errors.As(err, &wrong) || wrong.Column != "k" {
					t.Errorf("ParseKey(%q) = %q, %v; want a *store.KeyError", part, key, err)
				}
			}
		})
	}
}

// Whatever text a key column takes for equal, a batch and the plain query agree
// with the database's own where.
func TestFetchFindsWhatTheDatabaseFinds(t *testing.T) {
	dsn, plain := schema(t)
	db := open(t, postgres.Config{DSN: dsn})
	for i, typ := range []string{"citext", "char(3)", "text collate nocase", "char(3) collate nocase", "varchar(3)", `text collate "C"`} {
		t.Run(typ, func(t *testing.T) {
			name := fmt.Sprintf("w%d", i)
			exec(t, plain, "create table "+name+" (k "+typ+" primary key, n text)")
			table := openTable(t, db, store.Resource{Name: name, Table: name, Key: []string{"k"}, Columns: []string{"n"}})
			letters := rapid.SampledFrom([]rune("aAäÄß b"))
			short, word := rapid.StringOfN(letters, 0, 3, -1), rapid.StringOfN(letters, 0, 4, -1)
			rapid.Check(t, func(rt *rapid.T) {
				exec(t, plain, "truncate "+name)
				for range rapid.IntRange(0, 8).Draw(rt, "rows") {
					w := short.Draw(rt, "row")
					exec(t, plain, "insert into "+name+" values ($1, $2) on conflict do nothing", w, w)
				}
				var keys []store.Key
				for range rapid.IntRange(1, 10).Draw(rt, "keys") {
					keys = append(keys, store.JoinKey(word.Draw(rt, "key")))
				}
				rows, err := fulcrumtest.Together(t.Context(), keys, table.Fetch)
				if err != nil {
					rt.Fatal(err)
				}
				for _, key := range keys {
					parts, _ := store.SplitKey(key, 1)
					var want *string
					err := plain.QueryRow(t.Context(), "select min(n) from "+name+" where k = $1", parts[0]).Scan(&want)
					one, oneErr := table.One(t.Context(), key)
					switch found := `{"n":"` + deref(want) + `"}`; {
					case err != nil:
						rt.Fatal(err)
					case want == nil && (rows[key] != nil || !errors.Is(oneErr, fulcrum.ErrNotFound)):
						rt.Fatalf("key %q: Fetch %s, One %s; nothing is there", key, rows[key], one)
					case want != nil && (string(rows[key]) != found || string(one) != found):
						rt.Fatalf("key %q: Fetch %s, One %s; the database says %s", key, rows[key], one, found)
					}
				}
			})
		})
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// A key that ParseKey did not make fails alone.
func TestForgedKeys(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, "create table u (a integer, b uuid, primary key (a, b)); create table i (id integer primary key)")
	exec(t, plain, "insert into u values (1, '0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d')")
	exec(t, plain, "insert into i values (1)")
	db := open(t, postgres.Config{DSN: dsn})
	for _, c := range []struct {
		table string
		key   []string
		good  store.Key
		bad   []store.Key
	}{
		{"u", []string{"a", "b"}, "1/0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d", []store.Key{"", "1", "x/y", "1/y", "1/2/3", "%/%"}},
		{"i", []string{"id"}, "1", []store.Key{"", "x", "1/2", "99999999999"}},
	} {
		table := openTable(t, db, store.Resource{Name: c.table, Table: c.table, Key: c.key, Columns: c.key})
		rows, err := fulcrumtest.Together(t.Context(), append(c.bad, c.good), table.Fetch)
		var errs fulcrum.KeyErrors[store.Key]
		if !errors.As(err, &errs) || len(errs) != len(c.bad) || rows[c.good] == nil {
			t.Errorf("%s: got %s, %v", c.table, rows, err)
		}
		for _, key := range c.bad {
			if _, err := table.One(context.Background(), key); err == nil || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: One(%q): %v", c.table, key, err)
			}
		}
	}
}
