package fulcrumtest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// writtenTypes writes values that a careless writer would change, alone and together,
// and reads them back.
func (k *kit) writtenTypes() {
	ty := k.f.Types
	for i, c := range []struct {
		columnType string
		values     []string // as they are read; as they are written if that differs, behind an arrow
	}{
		{ty.Int, []string{"0", "-1", "9007199254740992", `"9007199254740993"`, `"9223372036854775807"`, `"-9223372036854775808"`, `"9007199254740993" <- 9007199254740993`, `5 <- "5"`, "null"}},
		{ty.Text, []string{`""`, `"quote \" slash \\ line \n tab \t \u0001 \u2028 😀"`, `"\ud83d\ude00"`, `"null"`, `"{a,b}"`, `"NULL"`, `"'; drop table x; --"`, "null"}},
		{ty.Bytes, []string{`""`, `"APv/"`, `"AA=="`, "null"}},
		{ty.Float, []string{"0.1", "-1.5e+300", "5e-324", "0.5", "null"}},
		{ty.Bool, []string{"true", "false", "null"}},
		{ty.UUID, []string{`"0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"`, "null"}},
		{ty.Time, []string{`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.123456Z"`, `"2026-01-02T03:04:05Z" <- "2026-01-02T05:04:05+02:00"`, "null"}},
		{ty.JSON, []string{`{"a":[1,"x",null],"b":{}}`, `[]`, `"text"`, "12", "true", "null"}},
	} {
		if c.columnType == "" {
			k.Logf("left out: this database has no type for %s", c.values[0])
			continue
		}
		table := fmt.Sprintf("kept%d", i)
		k.exec("create table " + table + " (id " + ty.Int + " primary key, v " + c.columnType + ")")
		w := k.openWritable(store.Resource{Table: table, Key: []string{"id"}, Columns: []string{"v"}})
		var together []store.Change
		want := map[store.Key]string{}
		for n, value := range c.values {
			read, written, differs := strings.Cut(value, " <- ")
			if !differs {
				written = read
			}
			alone, key := store.Key(strconv.Itoa(n)), store.Key(strconv.Itoa(1000+n))
			k.ok(k.apply(w, put(alone, `{"v":`+written+`}`)))
			together = append(together, put(key, `{"v":`+written+`}`))
			want[alone], want[key] = `{"v":`+read+`}`, `{"v":`+read+`}`
		}
		k.ok(k.apply(w, together...))
		k.holds(w, want)
		for i, c := range together {
			together[i].Op, together[i].Body = store.Patch, c.Body
		}
		k.ok(k.apply(w, together...))
		k.holds(w, want)
	}
}

// writtenTexts writes keys and values that quoting, encoding or normalising would change.
func (k *kit) writtenTexts() {
	ty := k.f.Types
	k.exec("create table words (word " + ty.Text + " primary key, v " + ty.Text + ")")
	w := k.openWritable(store.Resource{Table: "words", Key: []string{"word"}, Columns: []string{"word", "v"}})
	var changes []store.Change
	want := map[store.Key]string{}
	for _, word := range texts {
		quoted, _ := json.Marshal(word)
		key := k.key(w, word)
		body := fmt.Sprintf(`{"word":%s,"v":%s}`, quoted, quoted)
		changes, want[key] = append(changes, put(key, body)), body
	}
	k.ok(k.apply(w, changes...))
	k.holds(w, want)
	for key := range want {
		k.ok(k.apply(w, patch(key, `{"v":"new"}`)))
		k.ok(k.apply(w, remove(key)))
	}
	k.exec("create table blobs (b " + ty.Bytes + " primary key, v " + ty.Bytes + ")")
	blobs := k.openWritable(store.Resource{Table: "blobs", Key: []string{"b"}, Columns: []string{"b", "v"}})
	k.ok(k.apply(blobs, put("AAH_", `{"v":"AAH/"}`), put("", `{"b":"","v":""}`), insert("", `{"b":"/w==","v":null}`)))
	k.holds(blobs, map[store.Key]string{"AAH_": `{"b":"AAH/","v":"AAH/"}`, "": `{"b":"","v":""}`, "_w": `{"b":"/w==","v":null}`})
}

func (k *kit) writtenComposite() {
	ty := k.f.Types
	k.exec("create table members (tenant " + ty.Text + " not null, id " + ty.Int + " not null, role " + ty.Text + ", primary key (tenant, id))")
	w := k.openWritable(store.Resource{Table: "members", Key: []string{"tenant", "id"}, Columns: []string{"role"}})
	k.ok(k.apply(w, put("a/1", `{"role":"a1"}`), put("a/2", `{"role":"a2"}`), put("b/1", `{"role":"b1","tenant":"b"}`),
		put(k.key(w, "a/1", "1"), `{"role":"slash"}`), insert("", `{"tenant":"c","id":3,"role":"c3"}`)))
	k.ok(k.apply(w, patch("a/1", `{"role":"new"}`), remove("a/2"), put("b/1", `{"role":null}`)))
	k.holds(w, map[store.Key]string{
		"a/1": `{"role":"new"}`, "a/2": "", "b/1": `{"role":null}`, "c/3": `{"role":"c3"}`, k.key(w, "a/1", "1"): `{"role":"slash"}`,
	})
}

// Keys that a column takes for the same are one row, also within a commit.
func (k *kit) writtenAlike() {
	for i, c := range []struct {
		what, columnType string
		words            []string
	}{
		{"text that ignores case", k.f.Types.NoCase, []string{"Alice", "alice", "ALICE"}},
		{"text that ignores padding", k.f.Types.Padded, []string{"a", "a ", "a   "}},
	} {
		if !k.needs(c.what, c.columnType) {
			continue
		}
		table := fmt.Sprintf("alike%d", i)
		k.exec("create table " + table + " (name " + c.columnType + " primary key, n " + k.f.Types.Int + ")")
		w := k.openWritable(store.Resource{Table: table, Key: []string{"name"}, Columns: []string{"n"}})
		changes := []store.Change{put(k.key(w, "zed"), `{"n":9}`)}
		for _, word := range c.words {
			changes = append(changes, put(k.key(w, word), `{"n":1}`))
		}
		out := k.apply(w, changes...)
		k.ok(out)
		created := 0
		for _, o := range out[1:] {
			if o.Created {
				created++
			}
		}
		if created != 1 {
			k.Errorf("%s: %d of %q were created, want 1", c.what, created, c.words)
		}
		changes = nil
		for _, word := range c.words {
			changes = append(changes, patch(k.key(w, word), `{"n":2}`))
		}
		k.ok(k.apply(w, changes...))
		k.holds(w, map[store.Key]string{k.key(w, c.words[1]): `{"n":2}`, k.key(w, "zed"): `{"n":9}`})
		out = k.apply(w, remove(k.key(w, c.words[0])), remove(k.key(w, c.words[1])), remove(k.key(w, "zed")))
		gone := 0
		for _, o := range out[:2] {
			if o.err == nil {
				gone++
			} else {
				k.wants(o, fulcrum.ErrNotFound)
			}
		}
		if gone != 1 || out[2].err != nil {
			k.Errorf("%s: %d of 2 were taken away, want 1; %v", c.what, gone, out[2].err)
		}
	}
}

func (k *kit) writtenSizes() {
	w := k.accounts("")
	total := 0
	for _, n := range []int{1, 2, 3, 99, 1_000, 10_000} {
		changes := make([]store.Change, n)
		for i := range changes {
			changes[i] = put(store.Key(strconv.Itoa(i)), account(i, fmt.Sprint("of ", n), n+i))
		}
		out := k.apply(w, changes...)
		k.ok(out)
		for i, o := range out {
			if o.Created != (i >= total) {
				k.Fatalf("row %d of %d: created %t", i, n, o.Created)
			}
		}
		total = n
		for _, i := range []int{0, n / 2, n - 1} {
			k.holds(w, map[store.Key]string{store.Key(strconv.Itoa(i)): account(i, fmt.Sprint("of ", n), n+i)})
		}
	}
	changes := make([]store.Change, total)
	for i := range changes {
		changes[i] = remove(store.Key(strconv.Itoa(2 * i)))
	}
	for i, o := range k.apply(w, changes...) {
		if found := 2*i < total; found != (o.err == nil) {
			k.Fatalf("delete of %d: %v", 2*i, o.err)
		}
	}
	k.holds(w, map[store.Key]string{"0": "", "1": account(1, "of 10000", 10_001), "9998": "", "9999": account(9999, "of 10000", 19_999)})
}
