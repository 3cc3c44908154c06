package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// A full disk refuses a commit whole and says so; reading goes on, and so does writing
// once there is room.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	path, ballast := filepath.Join(dir, "db"), filepath.Join(dir, "ballast")
	plain, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Exec("create table notes (id integer primary key, n text)"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(plain.Close(), os.WriteFile(ballast, make([]byte, 300<<10), 0o600)); err != nil {
		t.Fatal(err)
	}
	db := open(t, sqlite.Config{Path: path})
	defer db.Close() // before the file system goes
	w := openWritable(t, db, store.Resource{Table: "notes", Columns: []string{"n"}})
	long := fmt.Sprintf(`{"n":%q}`, strings.Repeat("x", 5000))
	made, refused := 0, error(nil)
	for refused == nil && made < 1000 {
		if _, refused = try(t.Context(), w, put(made, long), put(made+1, long), put(made+2, long)); refused == nil {
			made += 3
		}
	}
	if !errors.Is(refused, store.ErrUnavailable) || errors.Is(refused, fulcrum.ErrAmbiguous) || !strings.Contains(refused.Error(), "make room on the disk") {
		t.Fatalf("after %d rows: %v", made, refused)
	}
	if n := len(ids(t, w, made+10)); n != made {
		t.Errorf("%d rows can be read, %d were made", n, made)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	becomes(t, w, []store.Change{put(made, long)}, "made")
	if n := len(ids(t, w, made+10)); n != made+1 {
		t.Errorf("%d rows, want %d", n, made+1)
	}
}
