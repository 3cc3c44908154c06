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
	"sync"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

func openIn(t testing.TB, path string, with func(*Config)) *Journal {
	t.Helper()
	cfg := Config{Path: path, synchronous: "off"}
	if with != nil {
		with(&cfg)
	}
	j, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return j
}

func readAll(t *testing.T, j *Journal, after int64) (all []string) {
	t.Helper()
	for shard := range j.Shards() {
		records, err := j.Read(t.Context(), shard, after, 1_000_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			all = append(all, fmt.Sprintf("%s/%s=%s", r.Scope, r.Key, r.Data))
		}
	}
	return all
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	for _, shards := range []int{1, 8} {
		path := filepath.Join(t.TempDir(), "j")
		j := openIn(t, path, func(c *Config) { c.Shards = shards })
		var wg sync.WaitGroup
		const callers, each = 16, 50
		for i := range callers {
			wg.Go(func() {
				last := int64(0)
				for n := range each {
					r, err := j.Append(t.Context(), "s", fmt.Sprint(i), fmt.Append(nil, n), nil)
					if err != nil || r.Offset <= last {
						t.Errorf("caller %d: offset %d after %d, %v", i, r.Offset, last, err)
					}
					last = r.Offset
				}
			})
		}
		wg.Wait()
		name := j.Name()
		if err := j.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		j = openIn(t, path, nil)
		if j.Name() != name || j.Shards() != shards {
			t.Errorf("name %s, want %s; %d shards, want %d", j.Name(), name, j.Shards(), shards)
		}
		all := readAll(t, j, 0)
		next := make(map[string]int)
		for _, r := range all {
			key, n, _ := strings.Cut(r, "=")
			if n != fmt.Sprint(next[key]) {
				t.Fatalf("%s comes where %d should", r, next[key])
			}
			next[key]++
		}
		if len(all) != callers*each || len(next) != callers {
			t.Errorf("%d records of %d keys", len(all), len(next))
		}
	}
}

// What was trimmed goes, its room is used again, and offsets never come again.
func TestTrim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := openIn(t, path, nil)
	last := fulcrum.JournalRecord{}
	for i := range 100 {
		var err error
		if last, err = j.Append(t.Context(), "", "k", bytes.Repeat([]byte{byte(i)}, 1000), nil); err != nil {
			t.Fatal(err)
		}
	}
	if j.Bytes() != 100*1001 {
		t.Errorf("%d bytes", j.Bytes())
	}
	j.Trim(0, last.Offset)
	next, err := j.Append(t.Context(), "", "k", nil, nil)
	if err != nil || next.Offset != last.Offset+1 {
		t.Errorf("offset %d after %d, %v", next.Offset, last.Offset, err)
	}
	if n := len(readAll(t, j, 0)); n != 1 || j.Bytes() != 1 {
		t.Errorf("%d records, %d bytes are left, want the last", n, j.Bytes())
	}
	j.Trim(0, next.Offset)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	j = openIn(t, path, nil)
	again, err := j.Append(t.Context(), "", "k", nil, nil)
	if err != nil || again.Offset != next.Offset+1 {
		t.Errorf("offset %d after a restart, want %d, %v", again.Offset, next.Offset+1, err)
	}
}

func TestJournalsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	openIn(t, in("held"), nil)
	_ = openIn(t, in("two"), func(c *Config) { c.Shards = 2 }).Close(t.Context())
	if err := os.WriteFile(in("text"), []byte(strings.Repeat("this is no journal\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", in("other"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec("create table t (x)"); err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "journal: Config.Path is missing: name a file"},
		{Config{Path: in("x"), Shards: 65}, "journal: Config.Shards: 65 is not between 1 and 64"},
		{Config{Path: in("x"), MaxBytes: -1}, "journal: Config.MaxBytes: -1 is negative"},
		{Config{Path: in("held")}, "is held by process " + fmt.Sprint(os.Getpid()) + ": stop that one, or name another file"},
		{Config{Path: in("two"), Shards: 3}, "journal: Config.Shards is 3, but " + in("two") + " has 2"},
		{Config{Path: in("text")}, "journal: the file is damaged: " + in("text")},
		{Config{Path: in("other")}, "is no journal"},
		{Config{Path: in("none/x")}, "make its folder writable, or name another file"},
	} {
		j, err := Open(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if j != nil {
			t.Errorf("%+v: a Journal came with the error", c.cfg)
		}
	}
}

// Wherever a closed file is changed, either nothing is noticed because nothing of ours
// was hit, or somebody is told. No record is ever read as another.
func TestDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	j := openIn(t, path, nil)
	want := make(map[int64]string)
	for i := range 200 {
		data := fmt.Sprintf("record %d %s", i, strings.Repeat("x", 100))
		r, err := j.Append(t.Context(), "", fmt.Sprint(i), []byte(data), nil)
		if err != nil {
			t.Fatal(err)
		}
		want[r.Offset] = data
	}
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for i := range 60 {
		broken := bytes.Clone(whole)
		if i%3 == 0 {
			broken = broken[:len(broken)*i/60]
		} else {
			copy(broken[(len(broken)-64)*i/60:], bytes.Repeat([]byte{0x5a}, 16))
		}
		if damaged(t, filepath.Join(dir, fmt.Sprint("broken", i)), broken, want) {
			noticed++
		}
	}
	if noticed < 40 {
		t.Errorf("damage was noticed in %d of 60 files", noticed)
	}
}

// damaged opens a file and reads it; true if that says that it is damaged. What it reads
// before that must be right.
func damaged(t *testing.T, path string, content []byte, want map[int64]string) bool {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(t.Context(), Config{Path: path, synchronous: "off"})
	if err != nil {
		return true
	}
	defer j.Close(t.Context())
	records, err := j.Read(t.Context(), 0, 0, 1000)
	for _, r := range records {
		if string(r.Data) != want[r.Offset] {
			t.Errorf("record %d reads %.40q", r.Offset, r.Data)
		}
	}
	if err == nil && len(records) < len(want) && len(content) > 0 { // an empty file is a new journal
		t.Errorf("%d records of %d are gone, and nobody says so", len(want)-len(records), len(want))
	}
	return err != nil || len(content) == 0
}

func TestAFullJournalSheds(t *testing.T) {
	j := openIn(t, filepath.Join(t.TempDir(), "j"), func(c *Config) { c.MaxBytes = 1000 })
	if _, err := j.Append(t.Context(), "", "k", make([]byte, 900), nil); err != nil {
		t.Fatal(err)
	}
	_, err := j.Append(t.Context(), "", "k", make([]byte, 200), nil)
	var shed *fulcrum.ShedError
	if !errors.As(err, &shed) || shed.Reason != fulcrum.ShedBytes {
		t.Errorf("got %v", err)
	}
	if n := len(readAll(t, j, 0)); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestAppendAfterClose(t *testing.T) {
	j := openIn(t, filepath.Join(t.TempDir(), "j"), nil)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), "", "k", nil, nil); !errors.Is(err, fulcrum.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Whoever wants to know is told what became of a record, before Append returns or after
// its caller has left; but not of what was not begun.
func TestWhatBecameOfARecordIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := openIn(t, path, nil)
	var told []string
	settled := func(r fulcrum.JournalRecord, err error) {
		told = append(told, fmt.Sprint(r.Offset, errors.Is(err, ErrDamaged)))
	}
	if _, err := j.Append(t.Context(), "", "k", nil, settled); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ctx, "", "k", nil, settled); !errors.Is(err, context.Canceled) || errors.Is(err, fulcrum.ErrAmbiguous) {
		t.Errorf("not begun: %v", err)
	}
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), "", "k", nil, settled); !errors.Is(err, ErrDamaged) {
		t.Errorf("without its file: %v", err)
	}
	if got := fmt.Sprint(told); got != "[1 false 0 true]" {
		t.Errorf("told %s", got)
	}
}
