package fulcrumtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

func (k *kit) puts() {
	w := k.accounts("")
	out := k.apply(w, put("1", account(1, "one", 1)), put("2", `{"name":"two","n":2,"note":"x"}`))
	k.ok(out)
	isCreated(k, out, true, true)
	out = k.apply(w, put("2", account(2, "zwei", 22)), put("3", account(3, "three", 3)))
	k.ok(out)
	isCreated(k, out, false, true)
	out = k.apply(w, put("3", `{"name":"drei","n":null,"note":""}`))
	k.ok(out)
	isCreated(k, out, false)
	k.holds(w, map[store.Key]string{
		"1": account(1, "one", 1), "2": account(2, "zwei", 22), "3": `{"id":3,"name":"drei","n":null,"note":""}`, "4": "",
	})
	k.putsUnasked(w)
}

// putsUnasked makes rows, or replaces them, without a word on which it was.
func (k *kit) putsUnasked(w store.Writable) {
	unasked := func(c store.Change) store.Change {
		c.AskCreated = false
		return c
	}
	for _, changes := range [][]store.Change{
		{unasked(put("5", account(5, "five", 5)))}, {unasked(put("5", account(5, "cinq", 55)))},
		{unasked(put("5", account(5, "fünf", 555))), unasked(put("6", account(6, "six", 6)))},
		{unasked(put("6", account(6, "sechs", 66))), put("7", account(7, "seven", 7))},
	} {
		out := k.apply(w, changes...)
		k.ok(out)
		isCreated(k, out, false, changes[len(changes)-1].AskCreated)
	}
	k.rowError(k.apply(w, unasked(put("8", account(8, "bad", -8))))[0], "positive")
	out := k.apply(w, unasked(put("8", account(8, "bad", -8))), unasked(put("7", account(7, "sept", 77))))
	k.rowError(out[0], "positive")
	k.ok(out[1:])
	k.holds(w, map[store.Key]string{
		"5": account(5, "fünf", 555), "6": account(6, "sechs", 66), "7": account(7, "sept", 77), "8": "",
	})
}

func (k *kit) patches() {
	w := k.accounts("")
	k.ok(k.apply(w, put("1", account(1, "one", 1)), put("2", account(2, "two", 2)), put("3", account(3, "three", 3))))
	out := k.apply(w, patch("1", `{"n":11}`), patch("2", `{"note":"x","name":"zwei"}`), patch("3", `{"n":33,"id":3}`), patch("4", `{"n":44}`))
	k.ok(out[:3])
	k.wants(out[3], fulcrum.ErrNotFound)
	k.wants(k.apply(w, patch("5", `{"n":null}`))[0], fulcrum.ErrNotFound)
	k.ok(k.apply(w, patch("1", `{"note":"alone"}`)))
	k.holds(w, map[store.Key]string{
		"1": `{"id":1,"name":"one","n":11,"note":"alone"}`, "2": `{"id":2,"name":"zwei","n":2,"note":"x"}`,
		"3": account(3, "three", 33), "4": "", "5": "",
	})
}

func (k *kit) deletes() {
	w := k.accounts("")
	k.ok(k.apply(w, put("1", account(1, "one", 1)), put("2", account(2, "two", 2)), put("3", account(3, "three", 3))))
	out := k.apply(w, remove("1"), remove("2"), remove("9"))
	k.ok(out[:2])
	k.wants(out[2], fulcrum.ErrNotFound)
	k.wants(k.apply(w, remove("1"))[0], fulcrum.ErrNotFound)
	k.ok(k.apply(w, remove("3")))
	k.holds(w, map[store.Key]string{"1": "", "2": "", "3": ""})
}

func (k *kit) inserts() {
	w := k.accounts("")
	out := k.apply(w, insert("1", account(1, "one", 1)), insert("2", `{"name":"default"}`), insert("", `{"id":3,"name":"by its body","n":3}`))
	k.ok(out)
	isCreated(k, out, true, true, true)
	if out[2].Key != "3" {
		k.Errorf("the key of an insert is %q, want 3", out[2].Key)
	}
	k.wants(k.apply(w, insert("1", account(1, "again", 1)))[0], store.ErrExists)
	out = k.apply(w, insert("2", `{"name":"again"}`), insert("4", `{"name":"four"}`), insert("3", account(3, "again", 1)))
	k.wants(out[0], store.ErrExists)
	k.ok(out[1:2])
	k.wants(out[2], store.ErrExists)
	k.holds(w, map[store.Key]string{
		"1": account(1, "one", 1), "2": account(2, "default", 7), "3": account(3, "by its body", 3), "4": account(4, "four", 7),
	})
}

func (k *kit) madeKeys() {
	if !k.needs("key that it makes by itself", k.f.Types.MadeKey) {
		return
	}
	ty := k.f.Types
	k.exec("create table notes (id " + ty.MadeKey + ", text " + ty.Text + ", n " + ty.Int + " default 7)")
	w := k.openWritable(store.Resource{Table: "notes", Key: []string{"id"}, Columns: []string{"text", "n"}})
	changes := []store.Change{insert("", `{"text":"alone"}`)}
	out := k.apply(w, changes...)
	for i := range 20 {
		body := fmt.Sprintf(`{"text":"note %d"}`, i)
		if i%3 == 0 {
			body = fmt.Sprintf(`{"text":"note %d","n":%d}`, i, i)
		}
		changes = append(changes, insert("", body))
	}
	out = append(out, k.apply(w, changes[1:]...)...)
	k.ok(out)
	seen := map[store.Key]bool{}
	for i, o := range out {
		var sent, got struct {
			Text string
			N    *int
		}
		row, err := w.One(k.Context(), o.Key)
		if err != nil || json.Unmarshal(row, &got) != nil || json.Unmarshal(changes[i].Body, &sent) != nil ||
			got.Text != sent.Text || got.N == nil || sent.N != nil && *got.N != *sent.N || sent.N == nil && *got.N != 7 {
			k.Errorf("insert %s has key %q, under which is %s, %v", changes[i].Body, o.Key, row, err)
		}
		if seen[o.Key] || !o.Created {
			k.Errorf("key %q: created %t, twice %t", o.Key, o.Created, seen[o.Key])
		}
		seen[o.Key] = true
	}
}

func (k *kit) mixed() {
	w := k.accounts("")
	var setup []store.Change
	for i := 1; i <= 40; i++ {
		setup = append(setup, put(store.Key(strconv.Itoa(i)), account(i, "old", i)))
	}
	k.ok(k.apply(w, setup...))
	var changes []store.Change
	want := map[store.Key]string{}
	for i := 1; i <= 40; i++ {
		key := store.Key(strconv.Itoa(i))
		switch i % 4 {
		case 0:
			changes, want[key] = append(changes, put(key, account(i, "put", i+1))), account(i, "put", i+1)
		case 1:
			changes, want[key] = append(changes, patch(key, `{"name":"patched"}`)), account(i, "patched", i)
		case 2:
			changes, want[key] = append(changes, remove(key)), ""
		case 3:
			changes, want[key] = append(changes, insert(key+"00", account(i*100, "new", i))), account(i, "old", i)
			want[key+"00"] = account(i*100, "new", i)
		}
	}
	k.ok(k.apply(w, changes...))
	k.holds(w, want)
}

func (k *kit) returned() {
	w := k.accounts("version")
	row := func(id int, name string, n, version int) string {
		return strings.TrimSuffix(account(id, name, n), "}") + fmt.Sprintf(`,"version":%d}`, version)
	}
	check := func(out []outcome, want ...string) {
		k.Helper()
		for i, o := range out {
			if o.err != nil || !equalJSON(o.Row, want[i]) {
				k.Errorf("change %d: got %s, %v; want %s", i, o.Row, o.err, want[i])
			}
		}
	}
	check(k.apply(w, returning(put("1", account(1, "one", 1)))), row(1, "one", 1, 1))
	check(k.apply(w, returning(put("1", account(1, "uno", 1))), returning(put("2", account(2, "two", 2)))), row(1, "uno", 1, 2), row(2, "two", 2, 1))
	check(k.apply(w, returning(insert("3", `{"name":"three"}`)), returning(insert("4", `{"name":"four"}`))), row(3, "three", 7, 1), row(4, "four", 7, 1))
	check(k.apply(w, returning(patch("1", `{"n":5}`)), returning(patch("3", `{"n":6}`))), row(1, "uno", 5, 3), row(3, "three", 6, 2))
	check(k.apply(w, returning(patch("3", `{"name":"drei"}`))), row(3, "drei", 6, 3))
	check(k.apply(w, returning(remove("1"))), row(1, "uno", 5, 3))
	check(k.apply(w, returning(remove("2")), returning(remove("3"))), row(2, "two", 2, 1), row(3, "drei", 6, 3))
	out := k.apply(w, put("5", account(5, "five", 5)), returning(patch("6", `{"n":1}`)))
	if out[0].Row != nil {
		k.Errorf("a row that was not asked for: %s", out[0].Row)
	}
	k.wants(out[1], fulcrum.ErrNotFound)
}

func (k *kit) ifAbsent() {
	w := k.accounts("")
	k.ok(k.apply(w, ifAbsent(put("1", account(1, "one", 1)))))
	k.wants(k.apply(w, ifAbsent(put("1", account(1, "two", 2))))[0], store.ErrExists)
	out := k.apply(w, ifAbsent(put("1", account(1, "two", 2))), ifAbsent(put("2", account(2, "two", 2))), ifAbsent(put("3", account(3, "three", 3))))
	k.wants(out[0], store.ErrExists)
	k.ok(out[1:])
	isCreated(k, out, false, true, true)
	k.holds(w, map[store.Key]string{"1": account(1, "one", 1), "2": account(2, "two", 2), "3": account(3, "three", 3)})
}

func (k *kit) ifVersion() {
	w := k.accounts("version")
	version := func(o outcome, want string) {
		k.Helper()
		if o.err != nil || o.Version != want {
			k.Errorf("got version %q, %v; want %s", o.Version, o.err, want)
		}
	}
	version(k.apply(w, put("1", account(1, "one", 1)))[0], "1")
	version(k.apply(w, ifVersion("1", put("1", account(1, "uno", 1))))[0], "2")
	k.wants(k.apply(w, ifVersion("1", put("1", account(1, "eins", 1))))[0], store.ErrVersion)
	k.wants(k.apply(w, ifVersion("1", put("2", account(2, "absent", 1))))[0], store.ErrVersion)
	out := k.apply(w, ifVersion("2", patch("1", `{"n":5}`)), ifVersion("1", patch("2", `{"n":5}`)), insert("3", account(3, "three", 3)), put("4", account(4, "four", 4)))
	version(out[0], "3")
	k.wants(out[1], store.ErrVersion)
	version(out[2], "1")
	version(out[3], "1")
	out = k.apply(w, ifVersion("1", remove("1")), ifVersion("1", remove("3")), ifVersion("nonsense", remove("4")), ifVersion("99999999999999999999", put("5", account(5, "", 1))))
	k.wants(out[0], store.ErrVersion)
	k.ok(out[1:2])
	k.wants(out[2], store.ErrVersion)
	k.wants(out[3], store.ErrVersion)
	if out[1].Version != "" {
		k.Errorf("a row that is gone has version %q", out[1].Version)
	}
	k.holds(w, map[store.Key]string{"1": `{"id":1,"name":"uno","n":5,"note":null,"version":3}`, "2": "", "3": "", "5": ""})
	k.exec("insert into accounts (id, name) values (9, 'past us')") // without a version
	k.wants(k.apply(w, ifVersion("1", patch("9", `{"n":1}`)))[0], store.ErrVersion)
	version(k.apply(w, patch("9", `{"n":1}`))[0], "1")
}

func (k *kit) timeVersions() {
	if !k.needs("type for a point in time", k.f.Types.Time) {
		return
	}
	ty := k.f.Types
	k.exec("create table docs (id " + ty.Int + " primary key, n " + ty.Int + ", changed " + ty.Time + ")")
	w := k.openWritable(store.Resource{Table: "docs", Key: []string{"id"}, Columns: []string{"n", "changed"}, Version: "changed"})
	last := ""
	for i := range 20 {
		c := returning(put("1", fmt.Sprintf(`{"n":%d}`, i)))
		if i > 0 {
			c = ifVersion(last, c)
		}
		o := k.apply(w, c)[0]
		if o.err != nil || o.Version == "" || o.Version == last || !equalJSON(o.Row, fmt.Sprintf(`{"n":%d,"changed":%q}`, i, o.Version)) {
			k.Fatalf("change %d of version %q: got %+v, %v", i, last, o.Written, o.err)
		}
		if i > 0 {
			k.wants(k.apply(w, ifVersion(last, remove("1")))[0], store.ErrVersion)
		}
		last = o.Version
	}
	k.wants(k.apply(w, ifVersion("yesterday", remove("1")))[0], store.ErrVersion)
}

// Of two who ask for one version, one gets it.
func (k *kit) sameVersion() {
	w := k.accounts("version")
	k.ok(k.apply(w, put("1", account(1, "one", 1))))
	const many = 8
	errs := make(chan error, many)
	for i := range many {
		go func() {
			out, err := k.tryApply(k.Context(), w, ifVersion("1", put("1", account(1, "racer", i+1))))
			errs <- errors.Join(err, out[0].err)
		}()
	}
	won := 0
	for range many {
		err := <-errs
		if err == nil {
			won++
		} else if !errors.Is(err, store.ErrVersion) {
			k.Errorf("got %v; want ErrVersion", err)
		}
	}
	if won != 1 {
		k.Errorf("%d of %d got the version, want 1", won, many)
	}
	if !k.needs("text that ignores case", k.f.Types.NoCase) {
		return
	}
	k.exec("create table people (name " + k.f.Types.NoCase + " primary key, n " + k.f.Types.Int + ", version " + k.f.Types.Int + ")")
	people := k.openWritable(store.Resource{Table: "people", Key: []string{"name"}, Columns: []string{"n"}, Version: "version"})
	k.ok(k.apply(people, put("ann", `{"n":0}`)))
	out := k.apply(people, ifVersion("1", put("ANN", `{"n":1}`)), ifVersion("1", patch("Ann", `{"n":2}`)), ifVersion("1", put("ann", `{"n":3}`)))
	won = 0
	for _, o := range out {
		if o.err == nil {
			won++
		} else {
			k.wants(o, store.ErrVersion)
		}
	}
	if won != 1 {
		k.Errorf("in one commit %d of 3 got the version, want 1", won)
	}
}
