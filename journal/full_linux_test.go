package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

// small is a file system of 1 MiB, on which a disk can be full and read-only.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// A full disk refuses, says so, and loses nothing; once there is room it goes on.
func TestAFullDisk(t *testing.T) {
	dir := small(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	j := openIn(t, filepath.Join(dir, "j"), func(c *Config) { c.synchronous = "full" })
	accepted := 0
	var refused error
	for refused == nil && accepted < 10_000 {
		if _, refused = j.Append(t.Context(), "", "k", make([]byte, 1000), nil); refused == nil {
			accepted++
		}
	}
	if !errors.Is(refused, fulcrum.ErrUnavailable) || !strings.Contains(refused.Error(), "the disk is full: make room") || errors.Is(refused, fulcrum.ErrAmbiguous) {
		t.Fatalf("after %d records: %v", accepted, refused)
	}
	if n := len(readAll(t, j, 0)); n != accepted {
		t.Errorf("%d records can be read, %d were accepted", n, accepted)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), "", "k", []byte("again"), nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if n := len(readAll(t, j, 0)); n != accepted+1 {
		t.Errorf("%d records, want %d", n, accepted+1)
	}
	if err := j.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Where nothing can be written a journal is refused.
func TestAReadOnlyDisk(t *testing.T) {
	dir := small(t)
	path := filepath.Join(dir, "j")
	_ = openIn(t, path, nil).Close(t.Context())
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Path: path}); err == nil || !strings.Contains(err.Error(), "read-only file system: make its folder writable") {
		t.Errorf("got %v", err)
	}
}
