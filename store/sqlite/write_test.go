package sqlite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

type commit = fulcrum.Commit[store.Change, store.Written]

func openWritable(t testing.TB, db *sqlite.DB, r store.Resource) store.Writable {
	t.Helper()
	r.Name, r.Key, r.Writable = r.Table, []string{"id"}, true
	opened, err := db.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return opened.(store.Writable)
}

func put(id int, body string) store.Change {
	return store.Change{Op: store.Put, Key: store.Key(fmt.Sprint(id)), Body: []byte(body)}
}

// try makes changes, and says what became of each: "made", or its error.
func try(ctx context.Context, w store.Writable, changes ...store.Change) ([]string, error) {
	c := fulcrum.NewCommit[store.Change, store.Written](changes, nil)
	if err := w.Apply(ctx, c); err != nil {
		return nil, err
	}
	all := make([]string, len(changes))
	for i := range changes {
		all[i] = "made"
		if _, err := c.Result(i); err != nil {
			all[i] = err.Error()
		}
	}
	return all, nil
}

// becomes makes changes and compares what became of them with the beginnings of texts.
func becomes(t *testing.T, w store.Writable, changes []store.Change, want ...string) {
	t.Helper()
	got, err := try(t.Context(), w, changes...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("change %d: %s\nwant %s", i, got[i], want[i])
		}
	}
}

func ids(t *testing.T, w store.Writable, upTo int) (found []int) {
	t.Helper()
	for id := range upTo {
		if _, err := w.One(t.Context(), store.Key(fmt.Sprint(id))); err == nil {
			found = append(found, id)
		}
	}
	return found
}

// Constraints that are checked at the end keep off those alone who break them.
func TestDeferredConstraints(t *testing.T) {
	path, plain := newFile(t)
	if _, err := plain.Exec(`create table parts (id integer primary key, n integer check (n > 0),
		whole integer references parts (id) deferrable initially deferred)`); err != nil {
		t.Fatal(err)
	}
	w := openWritable(t, open(t, sqlite.Config{Path: path}), store.Resource{Table: "parts", Columns: []string{"n", "whole"}})
	becomes(t, w, []store.Change{put(1, `{"n":1,"whole":2}`), put(2, `{"n":1,"whole":1}`)}, "made", "made")
	const broken = "store: the row breaks constraint foreign key"
	becomes(t, w, []store.Change{put(3, `{"n":1,"whole":1}`), put(4, `{"n":1,"whole":404}`), put(5, `{"n":1,"whole":null}`), put(6, `{"n":1,"whole":404}`)},
		"made", broken, "made", broken)
	becomes(t, w, []store.Change{put(7, `{"n":1,"whole":404}`)}, broken)
	becomes(t, w, []store.Change{put(8, `{"n":1,"whole":9}`), put(9, `{"n":1,"whole":8}`), put(10, `{"n":-1,"whole":8}`)}, "made", "made", "store: the row breaks constraint n > 0")
	becomes(t, w, []store.Change{{Op: store.Delete, Key: "3"}, {Op: store.Delete, Key: "1"}}, "made", broken)
	if got := fmt.Sprint(ids(t, w, 12)); got != "[1 2 5 8 9]" {
		t.Errorf("rows %s", got)
	}
}

// A trigger may refuse a row, which then fails alone; one that rolls back everything
// fails the commit, and says what to do.
func TestTriggers(t *testing.T) {
	path, plain := newFile(t)
	if _, err := plain.Exec(`create table guarded (id integer primary key, n integer);
		create trigger unlucky before insert on guarded when new.n = 13 begin select raise(abort, 'unlucky'); end;
		create trigger halfway after insert on guarded when new.n = 14 begin select raise(fail, 'halfway'); end;
		create table seen (n integer check (n <> 16));
		create trigger also after insert on guarded begin insert or fail into seen values (new.n); end;
		create trigger fatal before insert on guarded when new.n = 15 begin select raise(rollback, 'fatal'); end;`); err != nil {
		t.Fatal(err)
	}
	w := openWritable(t, open(t, sqlite.Config{Path: path}), store.Resource{Table: "guarded", Columns: []string{"n"}})
	becomes(t, w, []store.Change{put(1, `{"n":1}`), put(2, `{"n":13}`), put(3, `{"n":14}`), put(4, `{"n":4}`), put(5, `{"n":16}`)},
		"made", "store: the row does not fit: unlucky", "store: the row does not fit: halfway", "made", "store: the row breaks constraint n <> 16")
	if got := fmt.Sprint(ids(t, w, 10)); got != "[1 4]" {
		t.Errorf("rows %s", got)
	}
	if _, err := try(t.Context(), w, put(5, `{"n":5}`), put(6, `{"n":15}`), put(7, `{"n":7}`)); err == nil || !strings.Contains(err.Error(), "use abort there") {
		t.Errorf("got %v", err)
	}
	becomes(t, w, []store.Change{put(8, `{"n":8}`)}, "made")
	if got := fmt.Sprint(ids(t, w, 10)); got != "[1 4 8]" {
		t.Errorf("rows %s", got)
	}
}

// A lock of another process is waited for, within BusyTimeout and the context.
func TestAnotherProcessWrites(t *testing.T) {
	path, plain := newFile(t)
	if _, err := plain.Exec("create table notes (id integer primary key, n integer)"); err != nil {
		t.Fatal(err)
	}
	notes := store.Resource{Table: "notes", Columns: []string{"n"}}
	hasty := openWritable(t, open(t, sqlite.Config{Path: path, BusyTimeout: -1}), notes)
	patient := openWritable(t, open(t, sqlite.Config{Path: path, BusyTimeout: time.Hour}), notes)
	becomes(t, patient, []store.Change{put(1, `{"n":1}`)}, "made")
	if _, err := plain.Exec("begin immediate"); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t.Context(), hasty, put(2, `{"n":2}`)); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "another process holds its lock") {
		t.Errorf("without patience: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := try(ctx, patient, put(2, `{"n":2}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("until the deadline: %v", err)
	}
	if row, err := patient.One(t.Context(), "1"); err != nil || string(row) != `{"n":1}` {
		t.Errorf("meanwhile one reads %s, %v", row, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := try(t.Context(), patient, put(2, `{"n":2}`))
		done <- err
	}()
	if _, err := plain.Exec("commit"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("with patience: %v", err)
	}
	if got := fmt.Sprint(ids(t, hasty, 5)); got != "[1 2]" {
		t.Errorf("rows %s", got)
	}
}

// A file that is opened ReadOnly takes nothing, and says so.
func TestReadOnlyTakesNothing(t *testing.T) {
	path, plain := newFile(t)
	if _, err := plain.Exec("create table notes (id integer primary key, n integer)"); err != nil {
		t.Fatal(err)
	}
	db := open(t, sqlite.Config{Path: path, ReadOnly: true})
	opened, err := db.Open(t.Context(), store.Resource{Name: "notes", Table: "notes", Key: []string{"id"}, Columns: []string{"n"}, Writable: true})
	if err == nil {
		_, err = try(t.Context(), opened.(store.Writable), put(1, `{"n":1}`))
	}
	if err == nil || !strings.Contains(err.Error(), "ReadOnly") {
		t.Errorf("got %v", err)
	}
}

// Whatever a body says: it is refused as a body, or the row fails, or the row is there
// and shows the same however it was made.
func FuzzParseChange(f *testing.F) {
	path, plain := newFile(f)
	if _, err := plain.Exec(`create table fuzzed (id integer primary key, t text, i integer, f real, b blob, ok boolean, j json, at timestamp, d date, n numeric, any, v varchar(3) check (length(v) < 4))`); err != nil {
		f.Fatal(err)
	}
	w := openWritable(f, open(f, sqlite.Config{Path: path, Synchronous: sqlite.SyncOff}),
		store.Resource{Table: "fuzzed", Columns: []string{"t", "i", "f", "b", "ok", "j", "at", "d", "n", "any", "v"}})
	for _, body := range []string{
		`{"t":"x","i":9223372036854775807,"f":1e-20,"b":"AP8=","ok":true,"j":{"a":[1]},"at":"2024-02-29T12:30:00.5+02:00","d":"2024-02-29","n":"12.50","any":[],"v":"abc"}`,
		`{"id":1,"i":"9223372036854775808","f":"Infinity","at":"24:00","v":"abcd"}`, `{"id":2}`, `{"t":"\u0000","j":"\u0000","n":1e999}`, `{"any":"1"}`, `{"n":"x"}`, `{"b":"="}`, `{"any":18446744073709551616}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := w.ParseChange(store.Change{Op: store.Insert, Key: "1", Body: body, Return: true})
		if err != nil {
			var wrong *store.BodyError
			if !errors.As(err, &wrong) {
				t.Fatalf("%q: ParseChange: %v", body, err)
			}
			return
		}
		unparsed := c
		unparsed.Prepared = nil // as it comes from a journal
		all := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{c, {Op: store.Delete, Key: "1"}, unparsed, {Op: store.Delete, Key: "1"}}, nil)
		if err := w.Apply(t.Context(), all); err != nil {
			t.Fatalf("%q: Apply: %v", body, err)
		}
		checkFuzzed(t, all, body)
	})
}

func checkFuzzed(t *testing.T, all *commit, body []byte) {
	t.Helper()
	one, err := all.Result(0)
	other, again := all.Result(2)
	if fmt.Sprint(err) != fmt.Sprint(again) || !bytes.Equal(one.Row, other.Row) {
		t.Fatalf("%q: one way %s, %v, the other %s, %v", body, one.Row, err, other.Row, again)
	}
	if err != nil {
		var row *store.RowError
		if !errors.As(err, &row) {
			t.Fatalf("%q: got %v", body, err)
		}
		return
	}
	var sent, shown map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatalf("%q: taken, but %v", body, err)
	}
	if err := json.Unmarshal(one.Row, &shown); err != nil {
		t.Fatalf("%q: shown as %q: %v", body, one.Row, err)
	}
	if text, ok := sent["t"]; ok {
		var want, got *string
		if json.Unmarshal(text, &want) != nil || json.Unmarshal(shown["t"], &got) != nil || (want == nil) != (got == nil) || want != nil && *want != *got {
			t.Errorf("%q: text %s is shown as %s", body, text, shown["t"])
		}
	}
}
