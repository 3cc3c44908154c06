package fulcrumtest

import (
	"bytes"
	"errors"
	"fmt"

	"pgregory.net/rapid"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// equalsSingle reads random keys of random rows in a batch, through a Reader, and
// one by one: the three must agree. Few letters make keys that are nearly the same.
func (k *kit) equalsSingle() {
	columnType := k.f.Types.NoCase
	if columnType == "" {
		columnType = k.f.Types.Text
	}
	k.exec("create table pairs (word " + columnType + " not null, n " + k.f.Types.Int + " not null, v " + k.f.Types.Text + ", primary key (word, n))")
	t := k.open(store.Resource{Table: "pairs", Key: []string{"word", "n"}, Columns: []string{"word", "n", "v"}})
	lists := k.open(store.Resource{Table: "pairs", Key: []string{"word"}, Columns: []string{"n", "v"}, Many: true, Order: "n desc", Limit: 2})
	word := rapid.StringOfN(rapid.SampledFrom([]rune("aAäÄ /%'")), 0, 2, -1)
	number := rapid.IntRange(-2, 2)
	rapid.Check(k, func(rt *rapid.T) {
		k.exec("delete from pairs")
		for i := range rapid.IntRange(0, 10).Draw(rt, "rows") {
			// a row may be there already, for this column: then it stays as it is
			_ = k.db.Exec(fmt.Sprintf("insert into pairs values (%s, %s, %s)", k.f.Placeholder(1), k.f.Placeholder(2), k.f.Placeholder(3)),
				word.Draw(rt, "word"), number.Draw(rt, "n"), fmt.Sprint("row ", i))
		}
		var keys, words []store.Key
		for range rapid.IntRange(1, 20).Draw(rt, "keys") {
			w := word.Draw(rt, "asked word")
			keys = append(keys, store.JoinKey(w, fmt.Sprint(number.Draw(rt, "asked n"))))
			words = append(words, store.JoinKey(w))
		}
		k.agree(rt, t, keys)
		k.agree(rt, lists, words)
	})
}

func (k *kit) agree(rt *rapid.T, t store.Table, keys []store.Key) {
	single := readOne(k.Context(), k, t, keys)
	for _, w := range ways[1:] {
		for key, got := range w.read(k.Context(), k, t, keys) {
			want := single[key]
			if !bytes.Equal(got.row, want.row) || !sameError(got.err, want.err) {
				rt.Fatalf("%s: key %q: got %s, %v; the single query says %s, %v", w.name, key, got.row, got.err, want.row, want.err)
			}
		}
	}
}

// sameError allows for found and not found alone.
func sameError(a, b error) bool {
	return a == nil && b == nil || errors.Is(a, fulcrum.ErrNotFound) && errors.Is(b, fulcrum.ErrNotFound)
}
