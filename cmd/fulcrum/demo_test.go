package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demoArgs are for a demo that disturbs nobody.
func demoArgs(more ...string) []string {
	return append([]string{"demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--profiles", "1050", "--rate", "3000"}, more...)
}

// emptyTemp makes a temporary folder for the demo and checks that it leaves nothing there.
func emptyTemp(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}

func TestDemo(t *testing.T) {
	emptyTemp(t)
	code, stdout, stderr := try(t.Context(), demoArgs("--for", "2100ms")...)
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{
		`^making 1,050 profiles … \d\.\d s\n`,
		`data   http://127\.0\.0\.1:\d+\n`,
		`try    curl -i http://127\.0\.0\.1:\d+/v1/users/42\n`,
		`\n  1s +[\d,]+ +[\d,]+ +0 +\d+\.\d +\d+\.\d% `,
		`\n  2s `,
		`\nsummary of \d\.\d s\n`,
		`\nerrors      0\n`,
		`\nnormal +[\d,]+ +~?[\d.]+ +~?[\d.]+ +[\d,]+\n`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(stdout, "offered/s"); n != 1 {
		t.Errorf("%d headers", n)
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("colours in a pipe")
	}
	checkAligned(t, stdout)
	if t.Failed() {
		t.Log(stdout)
	}
}

// checkAligned sees to it that each row is as wide as the header.
func checkAligned(t *testing.T, stdout string) {
	t.Helper()
	header := 0
	for line := range strings.Lines(stdout) {
		if strings.HasPrefix(line, "time ") {
			header = len(line)
		} else if regexp.MustCompile(`^ +\d+s `).MatchString(line) && len(line) != header {
			t.Errorf("a row of %d bytes under a header of %d", len(line), header)
		}
	}
}

func TestDemoJSON(t *testing.T) {
	emptyTemp(t)
	code, stdout, stderr := try(t.Context(), demoArgs("--for", "1s", "--json", "--rate", "8000")...)
	var s summary
	if err := json.Unmarshal([]byte(stdout), &s); code != 0 || err != nil {
		t.Fatalf("code %d: %v\n%s\n%s", code, err, stdout, stderr)
	}
	if s.Requests == 0 || s.Answered != s.Requests || s.Errors != 0 || len(s.FirstErrors) != 0 {
		t.Errorf("not all answered: %s", stdout)
	}
	if s.MeanBatch <= 1 || s.SavedRatio <= 0 || s.Saved+s.Queries > s.Answered {
		t.Errorf("nothing shared: %s", stdout)
	}
	for _, class := range []string{"urgent", "normal", "bulk"} {
		c := s.Classes[class]
		if c.Answered == 0 || c.Response.Samples == 0 || c.Response.P99 < c.Response.P50 || c.Response.P50 <= 0 {
			t.Errorf("%s: %+v", class, c)
		}
	}
	if b := s.Classes["bulk"]; b.Requests != bulkKeys*b.Response.Samples {
		t.Errorf("bulk: %+v", b)
	}
}

// A file that demo made is used again, and the same seed makes the same profiles.
func TestDemoKeepsItsDatabase(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a ?%20#.db"), filepath.Join(dir, "b.db")
	for _, c := range []struct{ file, seed, says string }{
		{first, "7", "making 1,050 profiles"}, {first, "7", "using the profiles in "}, {second, "7", "making"},
	} {
		code, stdout, stderr := try(t.Context(), demoArgs("--for", "50ms", "--db", c.file, "--seed", c.seed)...)
		if code != 0 || !strings.HasPrefix(stdout, c.says) || !strings.Contains(stdout, "errors      0\n") {
			t.Fatalf("%s: code %d\n%s%s", c.file, code, stdout, stderr)
		}
	}
	if a, b := allProfiles(t, first), allProfiles(t, second); a != b || strings.Count(a, "\n") != 1050 {
		t.Error("the same seed makes other profiles")
	} else if mean := len(a) / 1050; mean < 280 || mean > 400 {
		t.Errorf("a profile has %d bytes", mean)
	}
	if left, _ := filepath.Glob(dir + "/*.making*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func allProfiles(t *testing.T, path string) string {
	t.Helper()
	db, err := open(path, "mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "select id || name || email || bio || city || country || plan || created_at || updated_at from users order by id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all.WriteString(s + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestDemoRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	makeTable(t, foreign, "create table pets (id integer primary key)")
	other := filepath.Join(dir, "other.db")
	makeTable(t, other, "create table users (id integer primary key, nick text)")
	empty := filepath.Join(dir, "empty.db")
	makeTable(t, empty, usersTable)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"port in use", []string{"--listen", taken.Addr().String()}, []string{"data listener", taken.Addr().String(), "the port is in use", "--listen"}},
		{"admin port in use", []string{"--admin", taken.Addr().String()}, []string{"admin listener", "the port is in use", "--admin"}},
		{"open to all", []string{"--listen", "0.0.0.0:0"}, []string{"can be reached from other machines"}},
		{"folder", []string{"--db", dir}, []string{dir + " is a folder"}},
		{"no folder", []string{"--db", dir + "/none/a.db"}, []string{"cannot make " + dir + "/none/a.db", "no such file or directory"}},
		{"not a database", []string{"--db", text}, []string{text, "not a database"}},
		{"foreign database", []string{"--db", foreign}, []string{foreign, "not made by demo", "users", "does not exist yet"}},
		{"other users", []string{"--db", other}, []string{other, "not made by demo"}},
		{"no users", []string{"--db", empty}, []string{empty, "has no users"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			emptyTemp(t)
			code, _, stderr := try(t.Context(), demoArgs(append(c.args, "--for", "1s")...)...)
			if code != 1 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, stderr %q", code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q: no %q", stderr, want)
				}
			}
		})
	}
}

func makeTable(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// Ctrl-C before the database is complete leaves nothing behind.
func TestDemoInterruptedWhileMaking(t *testing.T) {
	emptyTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "profiles.db")
	for _, args := range [][]string{nil, {"--db", file}} {
		if code, _, stderr := try(ctx, demoArgs(args...)...); code != 0 || stderr != "" {
			t.Errorf("code %d, stderr %q", code, stderr)
		}
	}
	if left, _ := filepath.Glob(file + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The real program: it serves while it runs, and Ctrl-C ends it with its summary.
func TestDemoInterrupted(t *testing.T) {
	emptyTemp(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], demoArgs()...)
	cmd.Env = append(os.Environ(), "FULCRUM_TEST_AS_PROGRAM=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()

	var seen strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(&seen, lines.Text())
		if _, url, ok := strings.Cut(lines.Text(), "curl -i "); ok {
			checkServed(t, url)
		}
		if strings.HasPrefix(lines.Text(), "  1s ") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(seen.String(), "errors      0\n") {
		t.Errorf("%v\n%s", err, seen.String())
	}
}

func checkServed(t *testing.T, url string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !strings.HasPrefix(string(body), `{"id":42,"name":"`) || !json.Valid(body) {
		t.Errorf("%s: %d %s %v", url, res.StatusCode, body, err)
	}
	if !strings.HasPrefix(res.Header.Get("Server-Timing"), "lane;desc=normal, queue;dur=") {
		t.Errorf("Server-Timing %q", res.Header.Get("Server-Timing"))
	}
}
