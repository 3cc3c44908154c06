package journal

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

func pack(entries ...entry) *bundle {
	b := &bundle{first: 7, last: 6}
	for _, e := range entries {
		if !b.add(e) {
			return nil
		}
	}
	return b
}

func TestABundleHoldsSoMuch(t *testing.T) {
	b := pack(entry{"s", "k", []byte("d"), nil})
	for b.add(entry{"s", "k", nil, nil}) {
	}
	if all, ok := b.records(); !ok || len(all) != mostBundled || all[0].Offset != 7 || all[len(all)-1].Offset != b.last {
		t.Errorf("%d records, %t", len(all), ok)
	}
	b = pack(entry{"", "large", make([]byte, mostPacked), nil})
	if b.add(entry{"", "small", nil, nil}) {
		t.Error("a full row takes one more")
	}
	if all, ok := b.records(); !ok || len(all[0].Data) != mostPacked {
		t.Error("a large record is lost")
	}
}

// Whatever is in a row, it is read as what was written, or refused.
func FuzzBundle(f *testing.F) {
	b := pack(entry{"scope", "key", []byte("data"), nil}, entry{"", "", nil, nil})
	f.Add(b.packed, uint8(2))
	f.Add(b.packed[:5], uint8(2))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, packed []byte, n uint8) {
		b := bundle{first: 7, last: 6 + int64(n), packed: packed}
		all, ok := b.records()
		if !ok {
			return
		}
		again := bundle{first: 7, last: 6}
		for _, r := range all {
			if !again.add(entry{r.Scope, r.Key, r.Data, nil}) && len(again.packed) < mostPacked {
				t.Fatalf("record %d has no room", r.Offset)
			}
		}
		if back, ok := again.records(); len(again.packed) < mostPacked && (!ok || len(back) != len(all)) {
			t.Errorf("%d records became %d", len(all), len(back))
		}
	})
}

// past changes a closed journal's file past it.
func past(t *testing.T, path, sqlText string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(sqlText); err != nil {
		t.Fatal(err)
	}
}

// What SQLite cannot know to be wrong, the journal does.
func TestRowsThatAreNotAsTheyWere(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		read int // records that are sound before it
	}{
		"a changed text":     {"update bundles set packed = replace(packed, 'data 3', 'data 8') where first = 4", 3},
		"a changed offset":   {"update bundles set first = 40, last = 40 where first = 10", 9},
		"a row is gone":      {"delete from bundles where first = 5", 4},
		"the first are gone": {"delete from bundles where first <= 3", 0},
		"a wrong end":        {"update bundles set last = 6 where first = 5", 4},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j")
			j := openIn(t, path, nil)
			for i := range 10 {
				if _, err := j.Append(t.Context(), "", "k", fmt.Append(nil, "data ", i), nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := j.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			past(t, path, c.sql)
			records, err := openIn(t, path, nil).Read(t.Context(), 0, 0, 100)
			if !errors.Is(err, ErrDamaged) || len(records) != c.read {
				t.Errorf("read %d records, %v; want %d and ErrDamaged", len(records), err, c.read)
			}
		})
	}
}

// A limit may fall within a row, and so may the place to begin at.
func TestReadInParts(t *testing.T) {
	for _, shards := range []int{1, 3} {
		j := openIn(t, filepath.Join(t.TempDir(), "j"), func(c *Config) { c.Shards = shards })
		var all []entry
		for i := range 500 {
			all = append(all, entry{"", fmt.Sprint(i), bytes.Repeat([]byte{'x'}, i), nil})
		}
		if err := j.commit(t.Context(), fulcrum.NewCommit[entry, fulcrum.JournalRecord](all, nil)); err != nil {
			t.Fatal(err)
		}
		n := 0
		for shard := range shards {
			after := int64(0)
			for {
				records, err := j.Read(t.Context(), shard, after, 7)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					if r.Offset <= after || len(r.Data) != len(all[number(t, r.Key)].data) || j.shardOf("", r.Key) != shard {
						t.Fatalf("offset %d after %d, key %s with %d bytes", r.Offset, after, r.Key, len(r.Data))
					}
					after = r.Offset
				}
				n += len(records)
				if len(records) < 7 {
					break
				}
			}
		}
		if n != len(all) {
			t.Errorf("%d shards: %d records, want %d", shards, n, len(all))
		}
	}
}

func number(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An older copy of the file would give offsets again that were applied, and what was
// accepted under them would never be.
func TestAnOlderCopyTakesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	write := func(n int) (last fulcrum.JournalRecord) {
		j := openIn(t, path, nil)
		for range n {
			var err error
			if last, err = j.Append(t.Context(), "", "k", []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return last
	}
	write(5)
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	applied := write(5)
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	j := openIn(t, path, nil)
	j.Trim(0, applied.Offset) // as a Writer does at its start
	_, err = j.Append(t.Context(), "", "k", []byte("x"), nil)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "applied up to 10, but the file ends at 5") {
		t.Errorf("got %v", err)
	}
	if n := len(readAll(t, j, 0)); n != 5 {
		t.Errorf("%d records can be read, want 5", n)
	}
}

// What is written to a file that nobody can find any more is lost.
func TestAFileThatIsMovedTakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := openIn(t, path, nil)
	for _, away := range []bool{false, true, false} {
		from, to := path, path+"2"
		if !away {
			from, to = to, from
		}
		if _, err := os.Stat(from); err == nil {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := j.Append(t.Context(), "", "k", nil, nil); errors.Is(err, ErrDamaged) != away || err == nil == away {
			t.Errorf("away %t: %v", away, err)
		}
	}
	if n := len(readAll(t, j, 0)); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

func TestAnyFileName(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a?b", "a%20b", "a#b", "ä b", "mode=memory&x"} {
		j := openIn(t, filepath.Join(dir, name), nil)
		if _, err := j.Append(t.Context(), "", "k", nil, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, name+"-wal")); err != nil {
			t.Error(err)
		}
	}
}

type coded int

func (c coded) Error() string { return fmt.Sprintf("code %d", int(c)) }
func (c coded) Code() int     { return int(c) }

// A sync that has failed leaves behind what may be there after a crash.
func TestWhatAFailedCommitSays(t *testing.T) {
	j := &Journal{cfg: Config{Path: "j"}}
	for code, ambiguous := range map[coded]bool{10 | 4<<8: true, 10 | 3<<8: false, 13: false} {
		err := j.uncertain(code)
		if errors.Is(err, fulcrum.ErrAmbiguous) != ambiguous || !errors.Is(err, fulcrum.ErrUnavailable) || !errors.Is(err, code) {
			t.Errorf("%v: %v", code, err)
		}
	}
	if err := j.uncertain(context.Canceled); errors.Is(err, fulcrum.ErrAmbiguous) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
