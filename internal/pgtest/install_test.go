//go:build unix

package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMissingServerNamesTheRemedy(t *testing.T) {
	if !strings.Contains(errNoPostgres.Error(), "make deps") {
		t.Errorf("%v: does not say what to do", errNoPostgres)
	}
	if complete(t.TempDir()) {
		t.Error("an empty folder counts as PostgreSQL")
	}
}

func TestSettingsAreQuoted(t *testing.T) {
	var b strings.Builder
	setting(&b, "archive_command", "echo 'x'")
	if got, want := b.String(), "archive_command = 'echo ''x'''\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBaseFolderMustBeOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a folder of somebody else's")
	}
	t.Setenv("TMPDIR", t.TempDir())
	base, err := baseFolder(false)
	must(t, err)
	must(t, os.Chown(base, 12345, -1))
	if _, err := baseFolder(false); err == nil {
		t.Errorf("%s belongs to another account and was accepted", filepath.Base(base))
	}
}

// BenchmarkStart is the time from nothing to a server that answers.
func BenchmarkStart(b *testing.B) {
	Start(b) // makes the template
	for b.Loop() {
		s, err := Launch(b.Context(), Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
