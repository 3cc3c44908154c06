package fulcrumtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// rapid is not to keep files of failures that are wanted, nor to take long over them.
// Its seed is fixed: whether the kit sees a fault must not be a matter of luck here.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "1ms", "rapid.seed": "1"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// recorder takes failures instead of reporting them.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) Error(args ...any)                 { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); r.FailNow() }
func (r *recorder) Fatal(args ...any)                 { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fail()                             { r.Errorf("failed") }
func (r *recorder) FailNow()                          { r.Fail(); runtime.Goexit() }
func (r *recorder) Logf(string, ...any)               {}
func (r *recorder) Log(...any)                        {}
func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

// failing runs one check, or all if only is empty, and returns the names of those
// that failed.
func failing(t *testing.T, f Factory, only string) []string {
	t.Helper()
	return failingOf(t, checks, f, only)
}

func failingOf(t *testing.T, checks []check, f Factory, only string) []string {
	t.Helper()
	var names []string
	for _, c := range checks {
		if only != "" && c.name != only {
			continue
		}
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() { // ends where a check says Fatal
			defer close(done)
			c.run(newKit(r, f))
		}()
		<-done
		if r.Failed() {
			names = append(names, c.name)
			t.Logf("%s: %s", c.name, strings.SplitN(r.failures[0], "\n", 2)[0])
		}
	}
	return names
}

// A fault is a bug that somebody could write: it wraps the tables of a good store.
type fault func(store.Resource, store.Table) store.Table

func factory(wrap fault) Factory {
	return Factory{
		Types: Types{Int: "integer", Text: "text", Bytes: "blob", Float: "real", NoCase: "text collate nocase"},
		New: func(t testing.TB) Database {
			path := filepath.Join(t.TempDir(), "test.db")
			writer, err := sql.Open("sqlite", path+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)")
			if err == nil {
				_, err = writer.Exec("create table placeholder (x); drop table placeholder")
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = writer.Close() })
			db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return Database{Store: faulty{db, wrap}, Exec: func(sql string, args ...any) error {
				_, err := writer.Exec(sql, args...)
				return err
			}}
		},
	}
}

type faulty struct {
	store.DB
	wrap fault
}

func (f faulty) Open(ctx context.Context, r store.Resource) (store.Table, error) {
	t, err := f.DB.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	return f.wrap(r, t), nil
}

// table replaces a good table's Fetch.
type table struct {
	store.Table
	fetch func(context.Context, *fulcrum.Batch[store.Key, []byte]) error
}

func (t table) Fetch(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
	return t.fetch(ctx, b)
}

// all reads every key of a batch with single queries.
func all(ctx context.Context, t store.Table, keys []store.Key, each func(i int, row []byte)) error {
	for i, key := range keys {
		row, err := t.One(ctx, key)
		if err == nil {
			each(i, row)
		} else if !errors.Is(err, fulcrum.ErrNotFound) {
			return err
		}
	}
	return nil
}

// byValue finds the key of a row by comparing its first column, as many loaders do.
func byValue(_ store.Resource, t store.Table) store.Table {
	return table{t, func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		return all(ctx, t, b.Keys(), func(i int, row []byte) {
			var values map[string]any
			_ = json.Unmarshal(row, &values)
			if word, ok := values["word"]; ok && !strings.HasPrefix(string(b.Keys()[i]), string(store.JoinKey(fmt.Sprint(word)))) {
				return
			}
			b.SetAt(i, row)
		})
	}}
}

// byPlace takes the rows to come in the order of the keys, and all of them.
func byPlace(_ store.Resource, t store.Table) store.Table {
	return table{t, func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		next := 0
		return all(ctx, t, b.Keys(), func(_ int, row []byte) {
			b.SetAt(next, row)
			next++
		})
	}}
}

// foldedKeys asks once for keys that differ in case alone, and answers the last.
func foldedKeys(_ store.Resource, t store.Table) store.Table {
	return table{t, func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		last := map[string]int{}
		for i, key := range b.Keys() {
			last[strings.ToLower(string(key))] = i
		}
		return all(ctx, t, b.Keys(), func(i int, row []byte) {
			if last[strings.ToLower(string(b.Keys()[i]))] == i {
				b.SetAt(i, row)
			}
		})
	}}
}

// reversedLists loses the order of lists.
func reversedLists(r store.Resource, t store.Table) store.Table {
	return table{t, func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		return all(ctx, t, b.Keys(), func(i int, row []byte) {
			var list []json.RawMessage
			if r.Many && json.Unmarshal(row, &list) == nil {
				for a, z := 0, len(list)-1; a < z; a, z = a+1, z-1 {
					list[a], list[z] = list[z], list[a]
				}
				row, _ = json.Marshal(list)
			}
			b.SetAt(i, row)
		})
	}}
}

// cut forgets keys beyond the thousandth.
func cut(_ store.Resource, t store.Table) store.Table {
	return table{t, func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		return all(ctx, t, b.Keys()[:min(b.Len(), 1000)], b.SetAt)
	}}
}

// deaf does not look at its context.
func deaf(_ store.Resource, t store.Table) store.Table {
	return table{t, func(_ context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		return all(context.Background(), t, b.Keys(), b.SetAt)
	}}
}

// stale keeps what it has read.
func stale(_ store.Resource, t store.Table) store.Table {
	var mu sync.Mutex
	kept := map[store.Key][]byte{}
	return table{t, func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
		mu.Lock()
		defer mu.Unlock()
		return all(ctx, t, b.Keys(), func(i int, row []byte) {
			key := b.Keys()[i]
			if kept[key] == nil {
				kept[key] = row
			}
			b.SetAt(i, kept[key])
		})
	}}
}

// A kit that passes everything shows nothing: each fault must fail its check.
func TestKitSeesFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault fault
		check string
	}{
		"rows by value":      {byValue, "batches equal single queries"},
		"rows by place":      {byPlace, "found and missing"},
		"keys folded":        {foldedKeys, "case"},
		"lists reversed":     {reversedLists, "lists with order and limit"},
		"large batches cut":  {cut, "1 to 10,000 keys"},
		"context not looked": {deaf, "ended contexts"},
		"answers kept":       {stale, "committed changes are seen"},
	} {
		t.Run(name, func(t *testing.T) {
			if failing(t, factory(c.fault), c.check) == nil {
				t.Errorf("check %q did not see it", c.check)
			}
		})
	}
}

func TestKitPassesGoodStore(t *testing.T) {
	good := func(_ store.Resource, t store.Table) store.Table { return t }
	if names := failing(t, factory(good), ""); names != nil {
		t.Errorf("a good store failed %q", names)
	}
}
