package fulcrumtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// Rows that break a constraint fail alone, wherever they stand.
func (k *kit) badRows() {
	w := k.accounts("")
	k.exec("create unique index accounts_note on accounts (note)")
	k.rowError(k.apply(w, put("1", account(1, "alone", -1)))[0], "positive")
	k.rowError(k.apply(w, put("1", `{"name":null,"n":1,"note":null}`))[0], "")
	k.holds(w, map[store.Key]string{"1": ""})
	k.ok(k.apply(w, put("1", `{"name":"one","n":1,"note":"taken"}`)))
	var changes []store.Change
	bad := map[int]string{}
	for i := 2; i <= 100; i++ {
		key := store.Key(strconv.Itoa(i))
		switch {
		case i%10 == 0:
			bad[i-2], changes = "positive", append(changes, put(key, account(i, "negative", -i)))
		case i == 33:
			bad[i-2], changes = "", append(changes, put(key, `{"name":null,"n":1,"note":null}`))
		case i == 44:
			bad[i-2], changes = "", append(changes, insert(key, `{"name":"taken","note":"taken"}`))
		case i%7 == 0:
			changes = append(changes, insert(key, account(i, "fine", i)))
		default:
			changes = append(changes, put(key, account(i, "fine", i)))
		}
	}
	out := k.apply(w, changes...)
	for i, o := range out {
		key := changes[i].Key
		if constraint, isBad := bad[i]; isBad {
			k.rowError(o, constraint)
			k.holds(w, map[store.Key]string{key: ""})
			continue
		}
		k.ok([]outcome{o})
		k.holds(w, map[store.Key]string{key: account(i+2, "fine", i+2)})
	}
	// Of two rows that cannot both be there, one is made.
	out = k.apply(w, put("201", `{"name":"a","n":1,"note":"same"}`), put("202", `{"name":"b","n":1,"note":"same"}`), put("203", account(203, "c", 1)))
	if (out[0].err == nil) == (out[1].err == nil) || out[2].err != nil {
		k.Errorf("of two rows with one note: %v and %v; and beside them %v", out[0].err, out[1].err, out[2].err)
	}
}

func (k *kit) oneBadRow() {
	w := k.accounts("")
	for _, at := range []int{0, 499, 617, 999} {
		changes := make([]store.Change, 1000)
		for i := range changes {
			n := i + 1
			if i == at {
				n = -1
			}
			changes[i] = put(store.Key(strconv.Itoa(i)), account(i, fmt.Sprint("round ", at), n))
		}
		for i, o := range k.apply(w, changes...) {
			if i == at {
				k.rowError(o, "positive")
			} else if o.err != nil {
				k.Fatalf("row %d beside the bad row %d: %v", i, at, o.err)
			}
		}
		other := (at + 1) % 1000
		k.holds(w, map[store.Key]string{store.Key(strconv.Itoa(other)): account(other, fmt.Sprint("round ", at), other+1)})
	}
}

func (k *kit) wrongBodies() {
	w := k.accounts("version")
	for _, c := range []struct {
		change store.Change
		column string
	}{
		{put("1", ``), ""},
		{put("1", `[]`), ""},
		{put("1", `{"name":"x","n":1,"note":null}x`), ""},
		{put("1", `{"name":"x","n":1}`), "note"},
		{put("1", `{"name":"x","n":1,"note":null,"colour":"red"}`), "colour"},
		{put("1", `{"name":"x","name":"y","n":1,"note":null}`), "name"},
		{put("1", `{"name":5,"n":1,"note":null}`), "name"},
		{put("1", `{"name":["x"],"n":1,"note":null}`), "name"},
		{put("1", `{"name":"x","n":"many","note":null}`), "n"},
		{put("1", `{"name":"x","n":1.5,"note":null}`), "n"},
		{put("1", `{"name":"x","n":true,"note":null}`), "n"},
		{put("1", `{"name":"x","n":9223372036854775808,"note":null}`), "n"},
		{put("1", `{"id":2,"name":"x","n":1,"note":null}`), "id"},
		{put("1", `{"id":null,"name":"x","n":1,"note":null}`), "id"},
		{put("1", `{"name":"x","n":1,"note":"\ud800"}`), ""},
		{put("1", "{\"name\":\"\xff\",\"n\":1,\"note\":null}"), ""},
		{put("1", `{"name":"x","n":1,"note":null,"version":5}`), "version"},
		{patch("1", `{}`), ""},
		{patch("1", `{"id":1}`), ""},
		{patch("1", `{"id":2,"n":1}`), "id"},
		{patch("1", `{"version":5}`), "version"},
		{patch("", `{"n":1}`), ""},
		{insert("1", `{"name":[]}`), "name"},
		{store.Change{Op: store.Delete, Key: "1", Body: []byte(`{}`)}, ""},
		{ifAbsent(patch("1", `{"n":1}`)), ""},
		{ifAbsent(ifVersion("1", put("1", account(1, "x", 1)))), ""},
		{ifVersion("1", insert("1", account(1, "x", 1))), ""},
		{store.Change{Op: 9, Key: "1"}, ""},
	} {
		_, err := w.ParseChange(c.change)
		var wrong *store.BodyError
		if !errors.As(err, &wrong) || wrong.Column != c.column || wrong.Problem == "" {
			k.Errorf("%s %s: got %v; want a *BodyError of column %q", c.change.Op, c.change.Body, err, c.column)
		}
	}
	plain := k.plainAccounts()
	var wrong *store.BodyError
	if _, err := plain.ParseChange(ifVersion("1", remove("1"))); !errors.As(err, &wrong) {
		k.Errorf("a version asked for without a version column: %v", err)
	}
}

// plainAccounts opens the accounts without their version.
func (k *kit) plainAccounts() store.Writable {
	return k.openWritable(store.Resource{Table: "accounts", Key: []string{"id"}, Columns: []string{"id", "name", "n", "note"}})
}

// A change that ParseChange has not seen fails alone.
func (k *kit) forgedBodies() {
	w := k.accounts("")
	forged := []store.Change{
		put("1", account(1, "fine", 1)), put("2", `{"name"`), put("x", account(3, "no key", 3)), patch("4", `{"n":[]}`), put("5", account(5, "fine", 5)),
	}
	out, err := commit(k.Context(), w, nil, forged)
	if err != nil {
		k.Fatalf("Apply: %v", err)
	}
	for i, o := range out {
		var wrong *store.BodyError
		if forgery := i%4 != 0; forgery != errors.As(o.err, &wrong) || !forgery && o.err != nil {
			k.Errorf("change %d: %v", i, o.err)
		}
	}
	k.holds(w, map[store.Key]string{"1": account(1, "fine", 1), "2": "", "5": account(5, "fine", 5)})
}

// Commits that have no key in common do not get into each other's way.
func (k *kit) sideBySide() {
	w := k.accounts("version")
	const lanes, keys, turns = 4, 50, 20
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for turn := range turns {
				changes := make([]store.Change, keys)
				for i := range changes {
					id := i*lanes + lane
					changes[i] = put(store.Key(strconv.Itoa(id)), account(id, fmt.Sprint("turn ", turn), 1+turn))
				}
				out, err := k.tryApply(k.Context(), w, changes...)
				for _, o := range out {
					err = errors.Join(err, o.err)
				}
				if err != nil {
					k.Errorf("lane %d, turn %d: %v", lane, turn, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for id := range lanes * keys {
		k.holds(w, map[store.Key]string{store.Key(strconv.Itoa(id)): fmt.Sprintf(`{"id":%d,"name":"turn 19","n":20,"note":null,"version":20}`, id)})
	}
}

// followsModel makes random commits and compares each outcome, and what is there in
// the end, with what a map makes of them.
func (k *kit) followsModel() {
	w := k.accounts("version")
	rapid.Check(k, func(rt *rapid.T) {
		k.exec("delete from accounts")
		m := model{}
		for range rapid.IntRange(1, 6).Draw(rt, "commits") {
			var changes []store.Change
			for id := range 6 {
				if rapid.Bool().Draw(rt, "used") {
					changes = append(changes, drawChange(rt, id))
				}
			}
			if len(changes) == 0 {
				continue
			}
			out := k.apply(w, changes...)
			for i, c := range changes {
				if want := m.apply(c); !errors.Is(out[i].err, want) || want == nil && out[i].err != nil {
					rt.Fatalf("%s %q %s if version %q, if absent %t: got %v, want %v", c.Op, c.Key, c.Body, c.IfVersion, c.IfAbsent, out[i].err, want)
				}
			}
		}
		for id := range 6 {
			key := store.Key(strconv.Itoa(id))
			row, err := w.One(k.Context(), key)
			if want := m.row(key); want == "" && !errors.Is(err, fulcrum.ErrNotFound) || want != "" && !equalJSON(row, want) {
				rt.Fatalf("key %s: got %s, %v; want %s", key, row, err, want)
			}
		}
	})
}

func drawChange(rt *rapid.T, id int) store.Change {
	key := store.Key(strconv.Itoa(id))
	n := rapid.IntRange(1, 9).Draw(rt, "n")
	version := strconv.Itoa(rapid.IntRange(1, 3).Draw(rt, "version"))
	switch rapid.IntRange(0, 6).Draw(rt, "kind") {
	case 0:
		return patch(key, fmt.Sprintf(`{"n":%d}`, n))
	case 1:
		return remove(key)
	case 2:
		return insert(key, account(id, "inserted", n))
	case 3:
		return ifAbsent(put(key, account(id, "put if absent", n)))
	case 4:
		return ifVersion(version, patch(key, fmt.Sprintf(`{"n":%d}`, n)))
	case 5:
		return ifVersion(version, put(key, account(id, "put if of a version", n)))
	}
	return put(key, account(id, "put", n))
}

// model is what rows there are: their JSON but for the version, and the version.
type model map[store.Key]*modelRow

type modelRow struct {
	name       string
	n, version int
}

func (m model) row(key store.Key) string {
	r := m[key]
	if r == nil {
		return ""
	}
	return fmt.Sprintf(`{"id":%s,"name":%q,"n":%d,"note":null,"version":%d}`, key, r.name, r.n, r.version)
}

// apply makes a change, or says what stands in its way.
func (m model) apply(c store.Change) error {
	r := m[c.Key]
	switch {
	case c.IfVersion != "" && (r == nil || strconv.Itoa(r.version) != c.IfVersion):
		return store.ErrVersion
	case (c.IfAbsent || c.Op == store.Insert) && r != nil:
		return store.ErrExists
	case (c.Op == store.Patch || c.Op == store.Delete) && r == nil:
		return fulcrum.ErrNotFound
	case c.Op == store.Delete:
		delete(m, c.Key)
		return nil
	}
	if r == nil {
		r = &modelRow{}
		m[c.Key] = r
	}
	r.version++
	var fields map[string]any
	if v, err := decode(c.Body); err == nil {
		fields, _ = v.(map[string]any)
	}
	if name, ok := fields["name"].(string); ok {
		r.name = name
	}
	r.n, _ = strconv.Atoi(fmt.Sprint(fields["n"]))
	return nil
}

func (k *kit) unwritable() {
	ty := k.f.Types
	k.exec("create table things (id " + ty.Int + " primary key, owner " + ty.Int + ", name " + ty.Text + ")")
	k.exec("create index things_owner on things (owner)")
	k.exec("create view seen as select id, owner, name from things")
	for name, c := range map[string]struct {
		field string
		r     store.Resource
	}{
		"many":            {"writable", store.Resource{Table: "things", Key: []string{"owner"}, Columns: []string{"name"}, Many: true}},
		"view":            {"key", store.Resource{Table: "seen", Key: []string{"id"}, Columns: []string{"name"}}},
		"unknown version": {"version", store.Resource{Table: "things", Key: []string{"id"}, Columns: []string{"name"}, Version: "edition"}},
		"text version":    {"version", store.Resource{Table: "things", Key: []string{"id"}, Columns: []string{"name"}, Version: "name"}},
		"key as version":  {"version", store.Resource{Table: "things", Key: []string{"id"}, Columns: []string{"name"}, Version: "id"}},
	} {
		c.r.Name, c.r.Writable = "r", true
		_, err := k.db.Store.Open(k.Context(), c.r)
		var wrong *store.ConfigError
		if !errors.As(err, &wrong) || wrong.Field != c.field && !(name == "view" && wrong.Field == "writable") || wrong.Resource != "r" {
			k.Errorf("%s: got %v; want a *ConfigError of %s", name, err, c.field)
		}
	}
	if _, ok := k.open(store.Resource{Table: "things", Key: []string{"id"}, Columns: []string{"name"}}).(store.Writable); ok {
		k.Error("a resource that is not writable is a store.Writable")
	}
}

func (k *kit) endedWrites() {
	w := k.accounts("")
	cancelled, cancel := context.WithCancel(k.Context())
	cancel()
	late, cancel := context.WithDeadline(k.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for want, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: late} {
		if _, err := k.tryApply(ctx, w, put("1", account(1, "late", 1))); !errors.Is(err, want) || errors.Is(err, fulcrum.ErrAmbiguous) {
			k.Errorf("got %v; want %v", err, want)
		}
	}
	k.holds(w, map[store.Key]string{"1": ""})
	if fate, err := w.Resolve(k.Context(), "nonsense"); fate != fulcrum.FateUnknown || err == nil {
		k.Errorf("Resolve of nonsense: %d, %v", fate, err)
	}
}

func (k *kit) closedWrites() {
	w := k.accounts("")
	k.ok(k.apply(w, put("1", account(1, "one", 1))))
	if err := k.db.Store.Close(); err != nil {
		k.Errorf("close: %v", err)
	}
	ctx, cancel := context.WithTimeout(k.Context(), 10*time.Second)
	defer cancel()
	_, err := k.tryApply(ctx, w, put("1", account(1, strings.Repeat("x", 10), 1)))
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, fulcrum.ErrAmbiguous) {
		k.Errorf("Apply after Close: %v; want store.ErrUnavailable", err)
	}
}
