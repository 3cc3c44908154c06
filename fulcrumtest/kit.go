package fulcrumtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// Factory makes the databases that TestStore tries, and says how they spell what
// every database spells differently.
type Factory struct {
	// New makes an empty database and a store on it, and has t clean up. Required.
	New func(t testing.TB) Database
	// Placeholder is the i-th parameter of a statement, from 1. Default "?".
	Placeholder func(i int) string
	// Types of columns, as create table takes them.
	Types Types
}

// Types are names of column types. Where a field is empty, what needs it is left
// out, and the test's log says so.
type Types struct {
	Int, Text, Bytes, Float string // required; Text and Bytes must do as primary keys
	MadeKey                 string // column definition of an integer primary key that the database makes, for TestWrites
	UUID                    string
	Bool                    string
	Time                    string // a point in time
	JSON                    string
	NoCase                  string // text that takes 'a' and 'A' for the same
	Padded                  string // text that takes 'a' and 'a  ' for the same
	// Failing is an integer column computed from the text column doc. It cannot be
	// read where doc is "broken", and is 1 where doc is "1".
	Failing string
}

// Database is one database: the store on it, and a way past the store.
type Database struct {
	Store store.DB
	Exec  func(sql string, args ...any) error
}

// TestStore tries every promise that package store makes for a store: each row
// goes to the key that found it, alone or in a batch of up to 10,000 keys,
// whatever the column takes for equal.
func TestStore(t *testing.T, f Factory) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(newKit(t, f)) })
	}
}

type check struct {
	name string
	run  func(*kit)
}

// kit is what a check works with.
type kit struct {
	testing.TB
	f  Factory
	db Database
}

func newKit(t testing.TB, f Factory) *kit {
	t.Helper()
	if f.Placeholder == nil {
		f.Placeholder = func(int) string { return "?" }
	}
	return &kit{TB: t, f: f, db: f.New(t)}
}

// needs says whether the database has a type; if not, the log says what is left out.
func (k *kit) needs(what, name string) bool {
	if name == "" {
		k.Logf("left out: this database has no %s", what)
	}
	return name != ""
}

func (k *kit) exec(sql string, args ...any) {
	k.Helper()
	if err := k.db.Exec(sql, args...); err != nil {
		k.Fatalf("%s: %v", sql, err)
	}
}

// insert adds a row.
func (k *kit) insert(table string, values ...any) {
	k.Helper()
	marks := make([]string, len(values))
	for i := range values {
		marks[i] = k.f.Placeholder(i + 1)
	}
	k.exec("insert into "+table+" values ("+strings.Join(marks, ", ")+")", values...)
}

// open opens a resource whose name is its table's.
func (k *kit) open(r store.Resource) store.Table {
	k.Helper()
	r.Name = r.Table
	t, err := k.db.Store.Open(k.Context(), r)
	if err != nil {
		k.Fatalf("open %s: %v", r.Table, err)
	}
	return t
}

// users makes the table most checks read: users(id, name) with ids 1 to n.
func (k *kit) users(n int) store.Table {
	k.Helper()
	k.exec("create table users (id " + k.f.Types.Int + " primary key, name " + k.f.Types.Text + " not null)")
	const rows = 100 // in one statement
	for from := 1; from <= n; from += rows {
		var values []string
		for id := from; id < from+rows && id <= n; id++ {
			values = append(values, fmt.Sprintf("(%d, 'name %d')", id, id))
		}
		k.exec("insert into users values " + strings.Join(values, ", "))
	}
	return k.open(store.Resource{Table: "users", Key: []string{"id"}, Columns: []string{"id", "name"}})
}

func (k *kit) key(t store.Table, parts ...string) store.Key {
	k.Helper()
	key, err := t.ParseKey(parts)
	if err != nil {
		k.Fatalf("ParseKey(%q): %v", parts, err)
	}
	return key
}

// result is what a key came to. Not found is an error.
type result struct {
	row []byte
	err error
}

// way is one of the ways to read keys.
type way struct {
	name string
	read func(ctx context.Context, k *kit, t store.Table, keys []store.Key) map[store.Key]result
}

var ways = []way{
	{"One", readOne}, {"Fetch", readFetch}, {"Reader", readReader},
}

// readOne asks for one key after the other.
func readOne(ctx context.Context, _ *kit, t store.Table, keys []store.Key) map[store.Key]result {
	got := map[store.Key]result{}
	for _, key := range keys {
		row, err := t.One(ctx, key)
		got[key] = result{row, err}
	}
	return got
}

// mostKeys is the largest batch that a Reader may make.
const mostKeys = 100_000

// readFetch asks for all keys with one Fetch.
func readFetch(ctx context.Context, _ *kit, t store.Table, keys []store.Key) map[store.Key]result {
	rows, err := Together(ctx, keys, t.Fetch)
	var errs fulcrum.KeyErrors[store.Key]
	errors.As(err, &errs)
	got := map[store.Key]result{}
	for _, key := range keys {
		row, ok := rows[key]
		switch {
		case ok:
			got[key] = result{row: row}
		case err == nil || errs != nil && errs[key] == nil:
			got[key] = result{err: fulcrum.ErrNotFound}
		case errs != nil:
			got[key] = result{err: errs[key]}
		default:
			got[key] = result{err: err}
		}
	}
	return got
}

// readReader asks for each key on a goroutine of its own, through a Reader as the
// gateway has it.
func readReader(ctx context.Context, k *kit, t store.Table, keys []store.Key) map[store.Key]result {
	r := k.reader(fulcrum.ReaderConfig[store.Key, []byte]{Fetch: t.Fetch, One: t.One})
	type answer struct {
		key store.Key
		result
	}
	answers := make(chan answer)
	for _, key := range keys {
		go func() {
			row, err := r.Get(ctx, key)
			answers <- answer{key, result{row, err}}
		}()
	}
	got := map[store.Key]result{}
	for range keys {
		a := <-answers
		if old, twice := got[a.key]; twice && !bytes.Equal(old.row, a.row) {
			k.Errorf("key %q: two callers got %s and %s", a.key, old.row, a.row)
		}
		got[a.key] = a.result
	}
	return got
}

// shutdownTime is how long a Reader may take to answer what it has.
const shutdownTime = 10 * time.Second

func (k *kit) reader(cfg fulcrum.ReaderConfig[store.Key, []byte]) *fulcrum.Reader[store.Key, []byte] {
	k.Helper()
	r, err := fulcrum.NewReader(cfg)
	if err != nil {
		k.Fatalf("reader: %v", err)
	}
	k.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			k.Errorf("shutdown: %v", err)
		}
	})
	return r
}

// expect reads the keys of want in every way. An empty text means not found.
func (k *kit) expect(t store.Table, want map[store.Key]string) {
	k.Helper()
	keys := make([]store.Key, 0, len(want))
	for key := range want {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, w := range ways {
		got := w.read(k.Context(), k, t, keys)
		for _, key := range keys {
			k.same(w.name, key, got[key], want[key])
		}
	}
}

func (k *kit) same(way string, key store.Key, got result, want string) {
	k.Helper()
	switch {
	case want == "" && !errors.Is(got.err, fulcrum.ErrNotFound):
		k.Errorf("%s: key %q: got %s, %v; want not found", way, key, got.row, got.err)
	case want != "" && got.err != nil:
		k.Errorf("%s: key %q: %v", way, key, got.err)
	case want != "" && !equalJSON(got.row, want):
		k.Errorf("%s: key %q: got %s, want %s", way, key, got.row, want)
	}
}

// equalJSON compares two values, numbers digit by digit.
func equalJSON(got []byte, want string) bool {
	a, err := decode(got)
	if err != nil {
		return false
	}
	b, err := decode([]byte(want))
	return err == nil && fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	return v, err
}
