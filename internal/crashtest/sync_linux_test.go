package crashtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// A process that is killed loses nothing that it wrote, synced or not: the kernel has it.
// So the system calls are looked at: between a write of a row and its acknowledgement
// there is a sync.
func TestAcknowledgedWritesAreSynced(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: make deps installs it")
	}
	for _, c := range []struct {
		name     string
		sync     string
		journal  bool
		unsynced bool
	}{
		{"committed", sqlite.SyncFull, false, false},
		{"committed, without syncs", sqlite.SyncOff, false, true},
		{"journaled", sqlite.SyncOff, true, false}, // the journal's own
	} {
		t.Run(c.name, func(t *testing.T) {
			o := order{Database: file(t).name, Callers: 1, Writes: 30, Sync: c.sync}
			if c.journal {
				o.Journal = filepath.Join(t.TempDir(), "j")
			}
			acknowledged, unsynced := traced(t, o)
			if acknowledged != o.Writes {
				t.Errorf("%d writes of %d were acknowledged", acknowledged, o.Writes)
			}
			if c.unsynced && unsynced == 0 || !c.unsynced && unsynced > 0 {
				t.Errorf("%d of %d acknowledgements came without a sync after their write", unsynced, acknowledged)
			}
		})
	}
}

// What the trace shows of a call: its name and its first argument's file.
var traceLine = regexp.MustCompile(`^\d+ +(?:<\.\.\. )?(pwrite64|write|fdatasync|fsync)(?:\(| resumed)(?:\d+<([^>]*)>)?(?:, "([^"]*)")?`)

// traced runs a child under strace and counts acknowledgements, and those before which
// the last write to a log was not followed by a sync that had ended. For journaled writes
// only the journal's log counts.
func traced(t *testing.T, o order) (acknowledged, unsynced int) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	c := exec.CommandContext(t.Context(), "strace", "-f", "-y", "-o", trace, "-e", "trace=pwrite64,write,fdatasync,fsync", os.Args[0])
	c.Env = append(os.Environ(), orderVariable+"="+string(text))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	log := "log.db-wal"
	if o.Journal != "" {
		log = "j-wal"
	}
	dirty := false
	for line := range strings.Lines(string(lines)) {
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch call, path := m[1], m[2]; {
		case call == "pwrite64" && strings.HasSuffix(path, log):
			dirty = true
		case strings.HasSuffix(call, "sync") && strings.HasSuffix(path, log) && strings.Contains(line, "= 0"):
			dirty = false
		case strings.HasSuffix(call, "sync") && path == "" && strings.Contains(line, "= 0"): // it was interrupted in the trace
			dirty = false
		case call == "write" && strings.HasPrefix(m[3], "0-"):
			acknowledged++
			if dirty {
				unsynced++
			}
		}
	}
	return acknowledged, unsynced
}
