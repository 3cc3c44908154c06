package fulcrumtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// TestKeeper tries every promise that package store makes for a store.Keeper: who asks
// again gets the first answer, a commit of a journal is made once, and what could not
// be made is kept.
func TestKeeper(t *testing.T, f Factory) {
	for _, c := range keeperChecks {
		t.Run(c.name, func(t *testing.T) { c.run(newKit(t, f)) })
	}
}

var keeperChecks = []check{
	{"own tables", (*kit).ownTables},
	{"asked again", (*kit).askedAgain},
	{"failed again", (*kit).failedAgain},
	{"asked twice in a commit", (*kit).askedTwice},
	{"asked by many at once", (*kit).askedByMany},
	{"positions", (*kit).positions},
	{"dead letters", (*kit).deadLetters},
	{"beacons", (*kit).beacons},
}

func (k *kit) keeper() store.Keeper {
	k.Helper()
	keeper, ok := k.db.Store.(store.Keeper)
	if !ok {
		k.Fatal("the store is not a store.Keeper")
	}
	return keeper
}

func (k *kit) initialised() store.Keeper {
	k.Helper()
	keeper := k.keeper()
	if err := keeper.Init(k.Context()); err != nil {
		k.Fatalf("Init: %v", err)
	}
	return keeper
}

// once gives a change an idempotency key. body stands for all that the change says.
func once(scope, key, body string, c store.Change) store.Change {
	c.Once = &store.Once{Scope: scope, Key: key, Body: sha256.Sum256([]byte(body))}
	return c
}

func (k *kit) commitAt(w store.Writable, at fulcrum.Position, changes ...store.Change) []outcome {
	k.Helper()
	for i, c := range changes {
		var err error
		if changes[i], err = w.ParseChange(c); err != nil {
			k.Fatalf("ParseChange: %v", err)
		}
		changes[i].Prepared = nil // it comes from a journal
	}
	out, err := commit(k.Context(), w, &at, changes)
	if err != nil {
		k.Fatalf("Apply: %v", err)
	}
	return out
}

func (k *kit) ownTables() {
	w := k.accounts("")
	keeper := k.keeper()
	if sql := keeper.InitSQL(); !strings.Contains(sql, "fulcrum_once") || !strings.Contains(sql, "fulcrum_positions") || !strings.Contains(sql, "fulcrum_dead_letters") || !strings.Contains(sql, "fulcrum_beacons") {
		k.Errorf("InitSQL does not make all tables: %s", sql)
	}
	wants := func(what string, err error) {
		k.Helper()
		var wrong *store.ConfigError
		if !errors.As(err, &wrong) || !strings.Contains(wrong.Problem, "init") {
			k.Errorf("%s without tables: got %v; want a *ConfigError that says what to do", what, err)
		}
	}
	out, err := k.tryApply(k.Context(), w, once("s", "k", "b", put("1", account(1, "one", 1))))
	wants("once", errors.Join(err, out[0].err))
	out, err = commit(k.Context(), w, &fulcrum.Position{Journal: "j"}, []store.Change{put("1", account(1, "one", 1))})
	wants("a position", errors.Join(err, out[0].err))
	_, err = keeper.Applied(k.Context(), "j")
	wants("Applied", err)
	_, err = keeper.DeadLetters(k.Context(), 0, 10)
	wants("DeadLetters", err)
	_, err = keeper.Discard(k.Context(), []int64{1})
	wants("Discard", err)
	_, err = keeper.Beacons(k.Context(), 1)
	wants("Beacons", err)
	_, err = keeper.ForgetBeacons(k.Context(), 1)
	wants("ForgetBeacons", err)
	k.holds(w, map[store.Key]string{"1": ""})
	for range 2 {
		if err := keeper.Init(k.Context()); err != nil {
			k.Errorf("Init: %v", err)
		}
	}
	k.ok(k.apply(w, once("s", "k", "b", put("1", account(1, "one", 1)))))
}

// sameWritten compares answers but for Replayed.
func sameWritten(a, b store.Written) bool {
	return a.Key == b.Key && a.Version == b.Version && a.Created == b.Created && bytes.Equal(a.Row, b.Row)
}

func (k *kit) again(w store.Writable, first outcome, c store.Change) {
	k.Helper()
	o := k.apply(w, c)[0]
	if o.err != nil || !o.Replayed || !sameWritten(o.Written, first.Written) {
		k.Errorf("asked again: got %+v, %v; the first answer was %+v", o.Written, o.err, first.Written)
	}
}

func (k *kit) askedAgain() {
	k.initialised()
	w := k.accounts("version")
	c := once("s", "k1", "one", returning(put("1", account(1, "one", 1))))
	first := k.apply(w, c)[0]
	if first.err != nil || first.Replayed || !first.Created {
		k.Fatalf("at first: %+v, %v", first.Written, first.err)
	}
	k.ok(k.apply(w, put("1", account(1, "changed since", 2))))
	k.again(w, first, c)
	k.holds(w, map[store.Key]string{"1": `{"id":1,"name":"changed since","n":2,"note":null,"version":2}`})
	k.wants(k.apply(w, once("s", "k1", "other", put("1", account(1, "other", 1))))[0], store.ErrOnceReused)
	out := k.apply(w, once("other scope", "k1", "other", put("2", account(2, "two", 2))), c, once("s", "k2", "three", put("3", account(3, "three", 3))), put("4", account(4, "four", 4)))
	k.ok(out)
	if out[0].Replayed || !out[1].Replayed || out[2].Replayed || out[3].Replayed {
		k.Errorf("replayed: %t %t %t %t", out[0].Replayed, out[1].Replayed, out[2].Replayed, out[3].Replayed)
	}
	gone := once("s", "k3", "remove", remove("2"))
	first = k.apply(w, gone)[0]
	k.ok([]outcome{first})
	k.again(w, first, gone)
	if k.f.Types.MadeKey == "" {
		return
	}
	k.exec("create table notes (id " + k.f.Types.MadeKey + ", text " + k.f.Types.Text + ")")
	notes := k.openWritable(store.Resource{Table: "notes", Key: []string{"id"}, Columns: []string{"text"}})
	note := once("s", "note", "note", insert("", `{"text":"once"}`))
	first = k.apply(notes, note)[0]
	k.again(notes, first, note)
	if next := k.apply(notes, once("s", "note 2", "note", insert("", `{"text":"twice"}`)))[0]; next.err != nil || next.Key == first.Key || next.Key == "" {
		k.Errorf("another insert: key %q, %v; the first had %q", next.Key, next.err, first.Key)
	}
}

// What has failed for good fails in the same way again, even if it would not now.
func (k *kit) failedAgain() {
	k.initialised()
	w := k.accounts("version")
	k.ok(k.apply(w, put("1", account(1, "one", 1))))
	changes := []store.Change{
		once("s", "bad", "1", put("5", account(5, "bad", -5))),
		once("s", "missing", "2", patch("6", `{"n":6}`)),
		once("s", "there", "3", insert("1", account(1, "again", 1))),
		once("s", "version", "4", ifVersion("7", put("1", account(1, "again", 1)))),
		once("s", "good", "5", put("7", account(7, "good", 7))),
	}
	first := k.apply(w, changes...)
	k.exec("update accounts set version = 7 where id = 1")
	k.ok(k.apply(w, put("6", account(6, "six", 1))))
	for i, c := range changes {
		o := k.apply(w, c)[0]
		if fmt.Sprint(o.err) != fmt.Sprint(first[i].err) || (first[i].err == nil) != (i == 4) {
			k.Errorf("%s: at first %v, then %v", c.Once.Key, first[i].err, o.err)
		}
	}
	k.rowError(k.apply(w, changes[0])[0], "positive")
	k.holds(w, map[store.Key]string{"5": "", "6": `{"id":6,"name":"six","n":1,"note":null,"version":1}`})
}

// askedTwice brings one key twice in a commit, as a Writer brings it only for an insert
// whose key the database makes.
func (k *kit) askedTwice() {
	k.initialised()
	w := k.accounts("version")
	out := k.apply(w,
		once("s", "k", "same", put("1", account(1, "first", 1))), once("s", "k", "same", put("1", account(1, "first", 1))),
		once("s", "k", "other", put("2", account(2, "other", 2))), put("3", account(3, "three", 3)),
		once("s", "bad", "same", put("4", account(4, "bad", -4))), once("s", "bad", "same", put("4", account(4, "bad", -4))))
	k.ok(out[:2])
	if out[0].Replayed == out[1].Replayed || !sameWritten(out[0].Written, out[1].Written) {
		k.Errorf("got %+v and %+v", out[0].Written, out[1].Written)
	}
	k.wants(out[2], store.ErrOnceReused)
	k.ok(out[3:4])
	k.rowError(out[4], "positive")
	k.rowError(out[5], "positive")
	k.holds(w, map[store.Key]string{"1": `{"id":1,"name":"first","n":1,"note":null,"version":1}`, "2": "", "4": ""})
}

func (k *kit) askedByMany() {
	k.initialised()
	w := k.accounts("version")
	const many = 8
	type answer struct {
		outcome
		failed error
	}
	for round := range 5 {
		key := strconv.Itoa(round)
		answers := make(chan answer, many)
		for range many {
			go func() {
				out, err := k.tryApply(k.Context(), w, once("s", "k"+key, "same", patchOrPut(round)))
				answers <- answer{out[0], err}
			}()
		}
		replayed := 0
		var first *answer
		for range many {
			a := <-answers
			if a.failed != nil || a.err != nil {
				k.Fatalf("round %d: %v, %v", round, a.failed, a.err)
			}
			if first == nil {
				first = &a
			}
			if a.Replayed {
				replayed++
			}
			if !sameWritten(first.Written, a.Written) {
				k.Errorf("two got %+v and %+v", first.Written, a.Written)
			}
		}
		if replayed != many-1 {
			k.Errorf("round %d: %d of %d were told the first answer, want all but one", round, replayed, many)
		}
	}
	k.holds(w, map[store.Key]string{"1": `{"id":1,"name":"one","n":4,"note":null,"version":5}`})
}

// patchOrPut makes the row in the first round and changes it in the others, so that its
// version counts them.
func patchOrPut(round int) store.Change {
	if round == 0 {
		return put("1", account(1, "one", 7))
	}
	return patch("1", fmt.Sprintf(`{"n":%d}`, round))
}

func (k *kit) positions() {
	keeper := k.initialised()
	w := k.accounts("version")
	applied := func(journal string, want map[int]int64) {
		k.Helper()
		got, err := keeper.Applied(k.Context(), journal)
		if err != nil || !maps.Equal(got, want) {
			k.Errorf("Applied(%q): %v, %v; want %v", journal, got, err, want)
		}
	}
	applied("a", map[int]int64{})
	k.ok(k.commitAt(w, fulcrum.Position{Journal: "a", Offset: 10}, put("1", account(1, "one", 1)), put("2", account(2, "two", 2))))
	k.ok(k.commitAt(w, fulcrum.Position{Journal: "a", Shard: 3, Offset: 5}, put("3", account(3, "three", 3))))
	k.ok(k.commitAt(w, fulcrum.Position{Journal: "b", Offset: 1}, put("4", account(4, "four", 4))))
	applied("a", map[int]int64{0: 10, 3: 5})
	applied("b", map[int]int64{0: 1})
	for _, offset := range []int64{10, 9} { // after a crash it comes again
		k.ok(k.commitAt(w, fulcrum.Position{Journal: "a", Offset: offset}, put("1", account(1, "again", 1)), put("9", account(9, "again", 9))))
	}
	applied("a", map[int]int64{0: 10, 3: 5})
	k.ok(k.commitAt(w, fulcrum.Position{Journal: "a", After: 10, Offset: 11}, put("2", account(2, "zwei", 2))))
	applied("a", map[int]int64{0: 11, 3: 5})
	for _, after := range []int64{0, 10, 12} { // somebody has moved it
		if _, err := commit(k.Context(), w, &fulcrum.Position{Journal: "a", After: after, Offset: 13}, []store.Change{put("2", account(2, "twice", 3))}); !errors.Is(err, fulcrum.ErrPosition) {
			k.Errorf("a position after %d, where 11 is stored: %v; want ErrPosition", after, err)
		}
	}
	applied("a", map[int]int64{0: 11, 3: 5})
	cancelled, cancel := context.WithCancel(k.Context())
	cancel()
	if _, err := commit(cancelled, w, &fulcrum.Position{Journal: "a", After: 11, Offset: 12}, []store.Change{put("1", account(1, "late", 1))}); err == nil {
		k.Error("an ended context: no error")
	}
	applied("a", map[int]int64{0: 11, 3: 5})
	k.holds(w, map[store.Key]string{
		"1": `{"id":1,"name":"one","n":1,"note":null,"version":1}`, "2": `{"id":2,"name":"zwei","n":2,"note":null,"version":2}`, "9": "",
	})
}

func (k *kit) deadLetters() {
	keeper := k.initialised()
	w := k.accounts("version")
	list := func(after int64, limit, want int) []store.DeadLetter {
		k.Helper()
		all, err := keeper.DeadLetters(k.Context(), after, limit)
		if err != nil || len(all) != want {
			k.Fatalf("DeadLetters(%d, %d): %d of them, %v; want %d", after, limit, len(all), err, want)
		}
		return all
	}
	k.rowError(k.apply(w, put("1", account(1, "not of a journal", -1)))[0], "positive")
	list(0, 10, 0)
	out := k.commitAt(w, fulcrum.Position{Journal: "a", Offset: 1},
		put("1", account(1, "one", 1)), put("2", account(2, "bad", -2)), patch("3", `{"n":3}`), put("4", account(4, "four", 4)))
	k.ok([]outcome{out[0], out[3]})
	k.rowError(out[1], "positive")
	k.wants(out[2], fulcrum.ErrNotFound)
	k.commitAt(w, fulcrum.Position{Journal: "a", Offset: 1}, put("2", account(2, "bad", -2))) // again: nothing happens
	k.commitAt(w, fulcrum.Position{Journal: "a", After: 1, Offset: 2}, ifVersion("9", remove("1")))
	all := list(0, 10, 3)
	for i, want := range []store.Change{put("2", account(2, "bad", -2)), patch("3", `{"n":3}`), ifVersion("9", remove("1"))} {
		d := all[i]
		if d.Resource != "accounts" || d.Error == "" || d.At.IsZero() || d.Change.Op != want.Op || d.Change.Key != want.Key ||
			!bytes.Equal(d.Change.Body, want.Body) || d.Change.IfVersion != want.IfVersion || i > 0 && d.ID <= all[i-1].ID {
			k.Errorf("dead letter %d: %+v; want %+v", i, d, want)
		}
	}
	if !strings.Contains(all[0].Error, "positive") {
		k.Errorf("the error %q does not say why", all[0].Error)
	}
	list(0, 2, 2)
	if next := list(all[0].ID, 1, 1); next[0].ID != all[1].ID {
		k.Errorf("after the first comes %d, want %d", next[0].ID, all[1].ID)
	}
	n, err := keeper.Discard(k.Context(), []int64{all[0].ID, all[2].ID, 1 << 40})
	if err != nil || n != 2 {
		k.Errorf("Discard: %d, %v; want 2", n, err)
	}
	list(0, 10, 1)
	k.holds(w, map[store.Key]string{"1": `{"id":1,"name":"one","n":1,"note":null,"version":1}`, "2": "", "3": ""})
}

// Beacons are written like rows of any resource, a later one of the same view in place of
// the earlier, and are read and forgotten by their time.
func (k *kit) beacons() {
	keeper := k.initialised()
	t, err := k.db.Store.Open(k.Context(), store.BeaconTable)
	if err != nil {
		k.Fatal(err)
	}
	w := t.(store.Writable)
	view := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
	tell := func(n int, at int64, body string) store.Change {
		text, err := json.Marshal(store.Beacon{At: at, Body: body})
		if err != nil {
			k.Fatal(err)
		}
		return put(store.JoinKey(view(n)), string(text))
	}
	k.ok(k.apply(w, tell(1, 10, `{"a":"\u00e9"}`), tell(2, 30, "two"), tell(3, 20, "three")))
	k.ok(k.apply(w, tell(2, 40, "two again")))
	list := func(limit int, want ...store.Beacon) {
		k.Helper()
		got, err := keeper.Beacons(k.Context(), limit)
		if err != nil || !slices.Equal(got, want) {
			k.Errorf("Beacons(%d): %v, %v; want %v", limit, got, err, want)
		}
	}
	one, two, three := store.Beacon{View: view(1), At: 10, Body: `{"a":"\u00e9"}`}, store.Beacon{View: view(2), At: 40, Body: "two again"}, store.Beacon{View: view(3), At: 20, Body: "three"}
	list(10, one, three, two)
	list(2, three, two)
	for _, c := range []struct{ keep, want int }{{3, 0}, {2, 1}, {2, 0}} {
		if n, err := keeper.ForgetBeacons(k.Context(), c.keep); err != nil || n != c.want {
			k.Errorf("ForgetBeacons(%d): %d, %v; want %d", c.keep, n, err, c.want)
		}
	}
	list(10, three, two)
}
