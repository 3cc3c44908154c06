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
	const lost = "retval=0" // syncs that nobody makes: strace answers in the kernel's place
	for _, c := range []struct {
		name     string
		sync     string
		journal  bool
		inject   string // into syncs
		unsynced bool
		want     int // acknowledgements
	}{
		{"committed", sqlite.SyncFull, false, "", false, 30},
		{"committed, without syncs", sqlite.SyncOff, false, "", true, 30},
		{"committed, syncs are lost", sqlite.SyncFull, false, lost, true, 30},
		{"committed, syncs fail", sqlite.SyncFull, false, "error=EIO", false, 0},
		{"journaled", sqlite.SyncOff, true, "", false, 30}, // the journal's own
		{"journaled, syncs are lost", sqlite.SyncOff, true, lost, true, 30},
		{"journaled, syncs fail", sqlite.SyncOff, true, "error=EIO", false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := file(t)
			o := order{Database: s.name, Callers: 1, Writes: 30, Sync: c.sync}
			if c.journal {
				o.Journal = filepath.Join(t.TempDir(), "j")
				s.drain(t, o.Journal) // makes it
			}
			acknowledged, unsynced := traced(t, o, c.inject)
			if acknowledged != c.want {
				t.Errorf("%d writes were acknowledged, want %d", acknowledged, c.want)
			}
			if c.unsynced && unsynced == 0 || !c.unsynced && unsynced > 0 {
				t.Errorf("%d of %d acknowledgements came without a sync after their write", unsynced, acknowledged)
			}
		})
	}
}

// What the trace shows of a call: process, name, and the first argument's file, which a call
// that goes on after another has ended does not repeat.
var traceLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(pwrite64|write|fdatasync|fsync)(?:\(| resumed)(?:\d+<([^>]*)>)?(?:, "([^"]*)")?`)

// syncing follows a log through a trace.
type syncing struct {
	log                    string // how its name ends
	written                int    // writes
	synced                 int    // those before a sync began that has ended well
	begun                  map[string]int
	acknowledged, unsynced int
}

func (s *syncing) read(line string) {
	m := traceLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	switch process, call, path := m[1], m[2], m[3]; {
	case call == "pwrite64" && strings.HasSuffix(path, s.log):
		s.written++
	case call == "write" && strings.HasPrefix(m[4], "0-"):
		s.acknowledged++
		if s.synced < s.written {
			s.unsynced++
		}
	case strings.HasSuffix(call, "sync"):
		if path != "" {
			s.begun[process] = 0
			if strings.HasSuffix(path, s.log) {
				s.begun[process] = s.written
			}
		}
		if strings.Contains(line, "= 0") && !strings.Contains(line, "(INJECTED)") {
			s.synced = max(s.synced, s.begun[process])
		}
	}
}

// traced runs a child under strace and counts acknowledgements, and those before which
// the last write to a log was not followed by a sync that had ended. For journaled writes
// only the journal's log counts. What is injected happens to all syncs.
func traced(t *testing.T, o order, inject string) (acknowledged, unsynced int) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	args := []string{"-f", "-y", "-o", trace, "-e", "trace=pwrite64,write,fdatasync,fsync"}
	if inject != "" {
		args = append(args, "-e", "inject=fdatasync,fsync:"+inject)
	}
	c := exec.CommandContext(t.Context(), "strace", append(args, os.Args[0])...)
	c.Env = append(os.Environ(), orderVariable+"="+string(text))
	if out, err := c.CombinedOutput(); err != nil && inject == "" {
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
	seen := syncing{log: log, begun: make(map[string]int)}
	for line := range strings.Lines(string(lines)) {
		seen.read(line)
	}
	return seen.acknowledged, seen.unsynced
}
