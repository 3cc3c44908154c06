package fulcrumtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// checks are what TestStore tries, one after the other, each on a new database.
var checks = []check{
	{"found and missing", (*kit).foundAndMissing},
	{"the same key by many", (*kit).sameKey},
	{"1 to 10,000 keys", (*kit).sizes},
	{"committed changes are seen", (*kit).fresh},
	{"integer extremes", (*kit).extremes},
	{"text keys", (*kit).textKeys},
	{"uuid and bytes keys", (*kit).uuidAndBytes},
	{"composite keys", (*kit).composite},
	{"case", (*kit).noCase},
	{"padding", (*kit).padded},
	{"JSON types", (*kit).jsonTypes},
	{"lists with order and limit", (*kit).lists},
	{"wrong keys", (*kit).wrongKeys},
	{"wrong resources", (*kit).wrongResources},
	{"one bad row", (*kit).badRow},
	{"ended contexts", (*kit).ended},
	{"closed", (*kit).closed},
	{"batches equal single queries", (*kit).equalsSingle},
}

func (k *kit) foundAndMissing() {
	t := k.users(5)
	k.expect(t, map[store.Key]string{
		"1": `{"id":1,"name":"name 1"}`, "3": `{"id":3,"name":"name 3"}`, "5": `{"id":5,"name":"name 5"}`,
		"0": "", "6": "", "-1": "",
	})
	k.expect(t, map[store.Key]string{"7": "", "8": ""})
	k.expect(t, map[store.Key]string{"2": `{"id":2,"name":"name 2"}`})
	reversed := k.open(store.Resource{Table: "users", Key: []string{"id"}, Columns: []string{"name", "id"}})
	row, err := reversed.One(k.Context(), "1")
	if string(row) != `{"name":"name 1","id":1}` {
		k.Errorf("the row does not follow the columns of its resource: %s, %v", row, err)
	}
}

// Many callers for few keys: everybody gets the answer to its own key.
func (k *kit) sameKey() {
	t := k.users(3)
	var keys []store.Key
	for i := range 300 {
		keys = append(keys, store.Key(strconv.Itoa(i%5)))
	}
	for _, w := range ways {
		got := w.read(k.Context(), k, t, keys)
		for id := range 5 {
			want := ""
			if id >= 1 && id <= 3 {
				want = fmt.Sprintf(`{"id":%d,"name":"name %d"}`, id, id)
			}
			key := store.Key(strconv.Itoa(id))
			k.same(w.name, key, got[key], want)
		}
	}
}

func (k *kit) sizes() {
	const rows = 10_000
	t := k.users(rows)
	for _, n := range []int{1, 2, 3, 99, 1_000, rows} {
		keys := make([]store.Key, n)
		for i := range keys { // from the end, every fifth missing
			keys[i] = store.Key(strconv.Itoa(rows - i + i%5/4*rows))
		}
		got := readFetch(k.Context(), k, t, keys)
		for i, key := range keys {
			want := fmt.Sprintf(`{"id":%s,"name":"name %s"}`, key, key)
			if i%5 == 4 {
				want = ""
			}
			k.same(fmt.Sprintf("Fetch of %d", n), key, got[key], want)
		}
	}
}

func (k *kit) fresh() {
	t := k.users(2)
	k.expect(t, map[store.Key]string{"1": `{"id":1,"name":"name 1"}`, "3": ""})
	k.exec("update users set name = 'new' where id = 1")
	k.exec("delete from users where id = 2")
	k.exec("insert into users values (3, 'name 3')")
	k.expect(t, map[store.Key]string{"1": `{"id":1,"name":"new"}`, "2": "", "3": `{"id":3,"name":"name 3"}`})
}

func (k *kit) extremes() {
	t := k.users(0)
	want := map[store.Key]string{}
	for _, id := range []int64{math.MinInt64, math.MinInt64 + 1, -1 << 53, -1, 0, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<53 + 2, math.MaxInt64 - 1, math.MaxInt64} {
		k.insert("users", id, "x")
		shown := strconv.FormatInt(id, 10)
		if id > 1<<53 || id < -1<<53 {
			shown = strconv.Quote(shown)
		}
		want[store.Key(strconv.FormatInt(id, 10))] = `{"id":` + shown + `,"name":"x"}`
	}
	want[store.Key(strconv.Itoa(math.MaxInt64-2))] = ""
	k.expect(t, want)
}

// texts are keys that quoting, encoding or normalising would change.
var texts = []string{
	"", "a", "A", " a", "a ", "a/b", "a%2Fb", "..", ".", "+", "null", "42", "042", "4e1", "'", `"`, `\`, `\u0041`, `{"a":[1]}`, "a,b", "%", "_",
	"é", "e\u0301", "Ⓐ", "\U0001F600", "\U0001F468\u200d\U0001F469", "日本語", "\ufeffbom", "\u2028", "a\tb\nc\rd", "\x7f", strings.Repeat("long ", 30),
}

func (k *kit) textKeys() {
	k.exec("create table words (word " + k.f.Types.Text + " primary key, n " + k.f.Types.Int + ")")
	t := k.open(store.Resource{Table: "words", Key: []string{"word"}, Columns: []string{"n"}})
	want := map[store.Key]string{}
	for i, word := range texts {
		if i%4 == 3 {
			want[k.key(t, word)] = ""
			continue
		}
		k.insert("words", word, i)
		want[k.key(t, word)] = fmt.Sprintf(`{"n":%d}`, i)
	}
	k.expect(t, want)
}

func (k *kit) uuidAndBytes() {
	k.exec("create table blobs (b " + k.f.Types.Bytes + " primary key, n " + k.f.Types.Int + ")")
	t := k.open(store.Resource{Table: "blobs", Key: []string{"b"}, Columns: []string{"b", "n"}})
	k.insert("blobs", []byte{0, 1, 0xff}, 1)
	k.insert("blobs", []byte("text"), 2)
	k.insert("blobs", []byte{}, 3)
	k.expect(t, map[store.Key]string{
		"AAH_": `{"b":"AAH/","n":1}`, "dGV4dA": `{"b":"dGV4dA==","n":2}`, "": `{"b":"","n":3}`, "AA": "",
	})
	if !k.needs("uuid", k.f.Types.UUID) {
		return
	}
	k.exec("create table devices (id " + k.f.Types.UUID + " primary key, n " + k.f.Types.Int + ")")
	devices := k.open(store.Resource{Table: "devices", Key: []string{"id"}, Columns: []string{"id", "n"}})
	const id = "0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"
	k.insert("devices", id, 1)
	k.expect(devices, map[store.Key]string{
		k.key(devices, strings.ToUpper(id)):                    `{"id":"` + id + `","n":1}`,
		k.key(devices, "00000000-0000-0000-0000-000000000000"): "",
	})
}

func (k *kit) composite() {
	ty := k.f.Types
	k.exec("create table members (tenant " + ty.Text + " not null, id " + ty.Int + " not null, role " + ty.Text + ", primary key (tenant, id))")
	t := k.open(store.Resource{Table: "members", Key: []string{"tenant", "id"}, Columns: []string{"role"}})
	k.insert("members", "a", 1, "a1")
	k.insert("members", "a", 2, "a2")
	k.insert("members", "b", 1, "b1")
	k.insert("members", "a/1", 1, "slash")
	k.expect(t, map[store.Key]string{
		"a/1": `{"role":"a1"}`, "a/2": `{"role":"a2"}`, "b/1": `{"role":"b1"}`, "b/2": "", "c/1": "",
		k.key(t, "a/1", "1"): `{"role":"slash"}`,
	})
	swapped := k.open(store.Resource{Table: "members", Key: []string{"id", "tenant"}, Columns: []string{"role"}})
	k.expect(swapped, map[store.Key]string{"1/a": `{"role":"a1"}`, "1/b": `{"role":"b1"}`, "2/b": ""})
}

// Two keys that a column takes for the same are two keys with one row.
func (k *kit) noCase() {
	if k.needs("text that ignores case", k.f.Types.NoCase) {
		k.alike(k.f.Types.NoCase, "Alice", "alice", "ALICE", "aLiCe")
	}
}

func (k *kit) padded() {
	if k.needs("text that ignores padding", k.f.Types.Padded) {
		k.alike(k.f.Types.Padded, "a", "a ", "a   ")
	}
}

func (k *kit) alike(columnType string, words ...string) {
	k.exec("create table people (name " + columnType + " primary key, n " + k.f.Types.Int + ")")
	t := k.open(store.Resource{Table: "people", Key: []string{"name"}, Columns: []string{"n"}})
	k.insert("people", words[0], 1)
	k.insert("people", "other", 2)
	want := map[store.Key]string{k.key(t, "other"): `{"n":2}`, k.key(t, words[0]+"x"): ""}
	for _, word := range words {
		want[k.key(t, word)] = `{"n":1}`
	}
	k.expect(t, want)
}

// jsonTypes looks at each type with values that a careless writer would change.
func (k *kit) jsonTypes() {
	ty := k.f.Types
	for i, c := range []struct {
		columnType string
		value      any
		want       string
	}{
		{ty.Int, int64(1<<53 + 1), `"9007199254740993"`},
		{ty.Int, int64(-1 << 53), `-9007199254740992`},
		{ty.Int, nil, `null`},
		{ty.Text, "quote \" slash \\ line \n tab \t nul-free \x01 \u2028 \U0001F600 </script>", `"quote \" slash \\ line \n tab \t nul-free \u0001 \u2028 😀 </script>"`},
		{ty.Text, "", `""`},
		{ty.Text, nil, `null`},
		{ty.Bytes, []byte{0, 0xfb, 0xff}, `"APv/"`},
		{ty.Float, 0.1, `0.1`},
		{ty.Float, -1.5e300, `-1.5e+300`},
		{ty.Float, math.SmallestNonzeroFloat64, `5e-324`},
		{ty.Bool, true, `true`},
		{ty.Bool, false, `false`},
		{ty.JSON, `{"a": [1, "x", null], "b": {"c": 1e2}}`, ""},
		{ty.Time, "2026-01-02 03:04:05", ""},
	} {
		if c.columnType == "" {
			k.Logf("left out: this database has no type for %v", c.value)
			continue
		}
		table := fmt.Sprintf("typed%d", i)
		k.exec("create table " + table + " (id " + ty.Int + " primary key, v " + c.columnType + ")")
		k.insert(table, 1, c.value)
		t := k.open(store.Resource{Table: table, Key: []string{"id"}, Columns: []string{"v"}})
		if c.want != "" {
			k.expect(t, map[store.Key]string{"1": `{"v":` + c.want + `}`})
			continue
		}
		k.nested(t, c.columnType == ty.Time)
	}
}

// nested looks at values that each database writes in its own way.
func (k *kit) nested(t store.Table, isTime bool) {
	row, err := t.One(k.Context(), "1")
	if err != nil {
		k.Fatalf("One: %v", err)
	}
	v, err := decode(row)
	if err != nil {
		k.Fatalf("%s: %v", row, err)
	}
	v = v.(map[string]any)["v"]
	if !isTime {
		inner, ok := v.(map[string]any)
		if list, isList := inner["a"].([]any); !ok || !isList || len(list) != 3 || list[2] != nil {
			k.Errorf("JSON became %s", row)
		}
		return
	}
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); err != nil || !at.Equal(want) {
		k.Errorf("time became %s, want %s in RFC 3339", row, want)
	}
}

func (k *kit) lists() {
	ty := k.f.Types
	k.exec("create table orders (id " + ty.Int + " primary key, owner " + ty.Int + " not null, total " + ty.Int + " not null)")
	k.exec("create index orders_owner on orders (owner)")
	id := 0
	for owner, n := range map[int]int{1: 1, 2: 7, 3: 150} {
		for i := range n {
			id++
			k.insert("orders", id, owner, (i*37)%n)
		}
	}
	r := store.Resource{Table: "orders", Key: []string{"owner"}, Columns: []string{"total"}, Many: true, Order: "total desc", Limit: 3}
	k.expect(k.open(r), map[store.Key]string{
		"1": `[{"total":0}]`, "2": `[{"total":6},{"total":5},{"total":4}]`, "3": `[{"total":149},{"total":148},{"total":147}]`, "4": "",
	})
	r.Order = "owner, total"
	k.expect(k.open(r), map[store.Key]string{"2": `[{"total":0},{"total":1},{"total":2}]`, "4": ""})
	r.Limit = 0
	row, err := k.open(r).One(k.Context(), "3")
	if got := strings.Count(string(row), "total"); got != store.DefaultLimit {
		k.Errorf("without a limit: %d rows, %v; want %d", got, err, store.DefaultLimit)
	}
}

func (k *kit) wrongKeys() {
	t := k.users(1)
	for _, parts := range [][]string{nil, {"1", "2"}, {""}, {"x"}, {"042"}, {"+1"}, {" 1"}, {"1.0"}, {"1e3"}, {"9223372036854775808"}} {
		key, err := t.ParseKey(parts)
		var wrong *store.KeyError
		if !errors.As(err, &wrong) {
			k.Errorf("ParseKey(%q) = %q, %v; want a *KeyError", parts, key, err)
		}
	}
}

func (k *kit) wrongResources() {
	k.users(1)
	ty := k.f.Types
	k.exec("create table loose (id " + ty.Int + " primary key, n " + ty.Int + ", m " + ty.Int + ")")
	k.exec("create index loose_n on loose (n)")
	ok := store.Resource{Name: "r", Table: "users", Key: []string{"id"}, Columns: []string{"id"}}
	for name, c := range map[string]struct {
		field  string
		change func(*store.Resource)
	}{
		"no table":       {"table", func(r *store.Resource) { r.Table = "" }},
		"unknown table":  {"table", func(r *store.Resource) { r.Table = "nothing" }},
		"quoted table":   {"table", func(r *store.Resource) { r.Table = `users"; drop table users; --` }},
		"no key":         {"key", func(r *store.Resource) { r.Key = nil }},
		"unknown key":    {"key", func(r *store.Resource) { r.Key = []string{"nothing"} }},
		"key twice":      {"key", func(r *store.Resource) { r.Key = []string{"id", "id"} }},
		"no columns":     {"columns", func(r *store.Resource) { r.Columns = nil }},
		"unknown column": {"columns", func(r *store.Resource) { r.Columns = []string{"id", "1; drop table users"} }},
		"not unique":     {"key", func(r *store.Resource) { r.Table, r.Key = "loose", []string{"n"} }},
		"no index":       {"key", func(r *store.Resource) { r.Table, r.Key, r.Many = "loose", []string{"m"}, true }},
		"bad order":      {"order", func(r *store.Resource) { r.Many, r.Order = true, "id; drop table users" }},
		"unknown order":  {"order", func(r *store.Resource) { r.Many, r.Order = true, "nothing desc" }},
		"useless order":  {"order", func(r *store.Resource) { r.Order = "id" }},
		"useless limit":  {"limit", func(r *store.Resource) { r.Limit = 1 }},
		"negative limit": {"limit", func(r *store.Resource) { r.Many, r.Limit = true, -1 }},
	} {
		r := ok
		c.change(&r)
		_, err := k.db.Store.Open(k.Context(), r)
		var wrong *store.ConfigError
		if !errors.As(err, &wrong) || wrong.Field != c.field || wrong.Resource != "r" {
			k.Errorf("%s: got %v; want a *ConfigError of %s", name, err, c.field)
		}
	}
}

// A row that cannot be read fails its own key and no other.
func (k *kit) badRow() {
	if !k.needs("column that fails to be read", k.f.Types.Failing) {
		return
	}
	ty := k.f.Types
	k.exec("create table docs (id " + ty.Int + " primary key, doc " + ty.Text + ")")
	for id, doc := range []string{"1", "broken", "1", "1", "broken"} {
		k.exec(fmt.Sprintf("insert into docs (id, doc) values (%d, '%s')", id, doc))
	}
	k.exec("alter table docs add column v " + ty.Failing)
	t := k.open(store.Resource{Table: "docs", Key: []string{"id"}, Columns: []string{"id", "v"}})
	keys := []store.Key{"0", "1", "2", "3", "4", "5"}
	for _, w := range ways {
		got := w.read(k.Context(), k, t, keys)
		for _, key := range []store.Key{"1", "4"} {
			if err := got[key].err; err == nil || errors.Is(err, fulcrum.ErrNotFound) || errors.Is(err, store.ErrUnavailable) {
				k.Errorf("%s: key %s, whose row cannot be read: got %s, %v", w.name, key, got[key].row, err)
			}
		}
		for _, key := range []store.Key{"0", "2", "3"} {
			k.same(w.name, key, got[key], `{"id":`+string(key)+`,"v":1}`)
		}
		k.same(w.name, "5", got["5"], "")
	}
}

func (k *kit) ended() {
	t := k.users(3)
	cancelled, cancel := context.WithCancel(k.Context())
	cancel()
	late, cancel := context.WithDeadline(k.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, w := range ways {
		for want, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: late} {
			for key, got := range w.read(ctx, k, t, []store.Key{"1", "2", "3", "4"}) {
				if !errors.Is(got.err, want) {
					k.Errorf("%s: key %s: got %s, %v; want %v", w.name, key, got.row, got.err, want)
				}
			}
		}
	}
	k.expect(t, map[store.Key]string{"1": `{"id":1,"name":"name 1"}`})
}

func (k *kit) closed() {
	t := k.users(3)
	db := k.db.Store
	if err := db.Ping(k.Context()); err != nil {
		k.Errorf("ping: %v", err)
	}
	if db.Conns() < 1 {
		k.Errorf("%d connections", db.Conns())
	}
	if err := db.Close(); err != nil {
		k.Errorf("close: %v", err)
	}
	for _, w := range ways {
		for key, got := range w.read(k.Context(), k, t, []store.Key{"1", "2"}) {
			if !errors.Is(got.err, store.ErrUnavailable) {
				k.Errorf("%s after Close: key %s: got %s, %v; want store.ErrUnavailable", w.name, key, got.row, got.err)
			}
		}
	}
	if err := db.Ping(k.Context()); !errors.Is(err, store.ErrUnavailable) {
		k.Errorf("Ping after Close: %v; want store.ErrUnavailable", err)
	}
	if _, err := db.Open(k.Context(), store.Resource{Table: "users", Key: []string{"id"}, Columns: []string{"id"}}); err == nil {
		k.Error("Open after Close: no error")
	}
	_ = db.Close()
}
