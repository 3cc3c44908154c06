package fulcrumtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// TestWrites tries every promise that package store makes for a store.Writable: what
// was written is what is read, each change has its own outcome whatever becomes of its
// neighbours, and a condition holds at the moment of the change.
func TestWrites(t *testing.T, f Factory) {
	for _, c := range writeChecks {
		t.Run(c.name, func(t *testing.T) { c.run(newKit(t, f)) })
	}
}

// writeChecks are what TestWrites tries, one after the other, each on a new database.
var writeChecks = []check{
	{"put", (*kit).puts},
	{"patch", (*kit).patches},
	{"delete", (*kit).deletes},
	{"insert", (*kit).inserts},
	{"keys that the database makes", (*kit).madeKeys},
	{"all kinds in one commit", (*kit).mixed},
	{"returned rows", (*kit).returned},
	{"values of every type", (*kit).writtenTypes},
	{"text and bytes", (*kit).writtenTexts},
	{"composite keys written", (*kit).writtenComposite},
	{"only if absent", (*kit).ifAbsent},
	{"only if of a version", (*kit).ifVersion},
	{"versions that are times", (*kit).timeVersions},
	{"a version asked for twice", (*kit).sameVersion},
	{"keys that are alike", (*kit).writtenAlike},
	{"rows that break constraints", (*kit).badRows},
	{"one bad row among 1,000", (*kit).oneBadRow},
	{"1 to 10,000 rows", (*kit).writtenSizes},
	{"wrong bodies", (*kit).wrongBodies},
	{"bodies that were not parsed", (*kit).forgedBodies},
	{"commits side by side", (*kit).sideBySide},
	{"random changes", (*kit).followsModel},
	{"resources that cannot be written", (*kit).unwritable},
	{"ended contexts of writes", (*kit).endedWrites},
	{"closed to writes", (*kit).closedWrites},
}

// openWritable opens a resource whose name is its table's, to be written.
func (k *kit) openWritable(r store.Resource) store.Writable {
	k.Helper()
	r.Writable = true
	w, ok := k.open(r).(store.Writable)
	if !ok {
		k.Fatalf("open %s: a writable resource is not a store.Writable", r.Table)
	}
	return w
}

// accounts makes the table most checks write: accounts(id, name, n, note) whose name is
// required, whose n is positive, 7 by default, and unlike any other. A version column
// is there if asked for.
func (k *kit) accounts(version string) store.Writable {
	k.Helper()
	ty := k.f.Types
	column := ""
	r := store.Resource{Table: "accounts", Key: []string{"id"}, Columns: []string{"id", "name", "n", "note"}, Version: version}
	if version != "" {
		column = ", " + version + " " + ty.Int
		r.Columns = append(r.Columns, version)
	}
	k.exec("create table accounts (id " + ty.Int + " primary key, name " + ty.Text + " not null, n " + ty.Int +
		" default 7 constraint positive check (n > 0), note " + ty.Text + column + ")")
	return k.openWritable(r)
}

func put(key store.Key, body string) store.Change {
	return store.Change{Op: store.Put, Key: key, Body: []byte(body), AskCreated: true}
}

func patch(key store.Key, body string) store.Change {
	return store.Change{Op: store.Patch, Key: key, Body: []byte(body)}
}

func remove(key store.Key) store.Change { return store.Change{Op: store.Delete, Key: key} }

func insert(key store.Key, body string) store.Change {
	return store.Change{Op: store.Insert, Key: key, Body: []byte(body)}
}

func ifVersion(version string, c store.Change) store.Change {
	c.IfVersion = version
	return c
}

func ifAbsent(c store.Change) store.Change {
	c.IfAbsent = true
	return c
}

func returning(c store.Change) store.Change {
	c.Return = true
	return c
}

// outcome is what a change came to.
type outcome struct {
	store.Written
	err error
}

// apply makes changes in one commit and returns their outcomes in the order in which
// they were given.
func (k *kit) apply(w store.Writable, changes ...store.Change) []outcome {
	k.Helper()
	out, err := k.tryApply(k.Context(), w, changes...)
	if err != nil {
		k.Fatalf("Apply: %v", err)
	}
	return out
}

func (k *kit) tryApply(ctx context.Context, w store.Writable, changes ...store.Change) ([]outcome, error) {
	k.Helper()
	parsed := make([]store.Change, len(changes))
	for i, c := range changes {
		var err error
		if parsed[i], err = w.ParseChange(c); err != nil {
			k.Fatalf("ParseChange of %s %q %s: %v", c.Op, c.Key, c.Body, err)
		}
	}
	return commit(ctx, w, nil, parsed)
}

// commit applies changes as a Writer would: sorted by their keys.
func commit(ctx context.Context, w store.Writable, at *fulcrum.Position, changes []store.Change) ([]outcome, error) {
	order := make([]int, len(changes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(string(changes[a].Key), string(changes[b].Key)) })
	items := make([]store.Change, len(changes))
	for i, from := range order {
		items[i] = changes[from]
	}
	c := fulcrum.NewCommit[store.Change, store.Written](items, at)
	err := w.Apply(ctx, c)
	out := make([]outcome, len(changes))
	for i, from := range order {
		out[from].Written, out[from].err = c.Result(i)
	}
	return out, err
}

// ok demands that changes were made.
func (k *kit) ok(out []outcome) {
	k.Helper()
	for i, o := range out {
		if o.err != nil {
			k.Errorf("change %d: %v", i, o.err)
		}
	}
}

// wants demands an error of one change.
func (k *kit) wants(o outcome, want error) {
	k.Helper()
	if !errors.Is(o.err, want) {
		k.Errorf("got %+v, %v; want %v", o.Written, o.err, want)
	}
}

// rowError demands that the database has something against one change.
func (k *kit) rowError(o outcome, constraint string) {
	k.Helper()
	var wrong *store.RowError
	switch {
	case !errors.As(o.err, &wrong):
		k.Errorf("got %+v, %v; want a *RowError", o.Written, o.err)
	case wrong.Code == "" || wrong.Message == "":
		k.Errorf("%#v does not say what is wrong", wrong)
	case constraint != "" && wrong.Constraint != constraint:
		k.Errorf("%#v does not name the constraint %s", wrong, constraint)
	}
}

// holds reads rows. An empty text means that there is none.
func (k *kit) holds(t store.Table, want map[store.Key]string) {
	k.Helper()
	for key, row := range want {
		got, err := t.One(k.Context(), key)
		k.same("afterwards", key, result{got, err}, row)
	}
}

func account(id int, name string, n int) string {
	return fmt.Sprintf(`{"id":%d,"name":%q,"n":%d,"note":null}`, id, name, n)
}

func isCreated(t testing.TB, out []outcome, want ...bool) {
	t.Helper()
	for i, o := range out {
		if o.err == nil && o.Created != want[i] {
			t.Errorf("change %d: created %t, want %t", i, o.Created, want[i])
		}
	}
}
