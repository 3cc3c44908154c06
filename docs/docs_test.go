// Package docs_test runs what the documents tell a reader to type.
package docs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// blocks are the fenced blocks of a document in one language, in order.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of %q", file, language)
	}
	return found
}

// command builds the program once for a test.
func command(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fulcrum")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/fulcrum").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// ports replaces the documented ports by free ones.
func ports(t *testing.T) *strings.Replacer {
	t.Helper()
	var free []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		free = append(free, port)
	}
	return strings.NewReplacer("8080", free[0], "8081", free[1])
}

// start runs a command until the test ends; then it must end well on SIGTERM.
func start(t *testing.T, name string, args ...string) io.Reader {
	t.Helper()
	cmd := exec.Command(name, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s %v: %v", filepath.Base(name), args, err)
		}
	})
	return stdout
}

// answering waits until the admin listener says that all is ready.
func answering(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for exec.CommandContext(ctx, "curl", "-sf", address+"/readyz").Run() != nil {
		if ctx.Err() != nil {
			t.Fatalf("%s is not ready after 30 s", address)
		}
	}
}

// curl runs a line as it is typed.
func curl(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestTheGuideToPostgreSQLWorksAsTyped(t *testing.T) {
	const guide = "guide/postgresql.md"
	server := pgtest.Start(t)
	for _, sql := range blocks(t, guide, "sql") {
		if err := server.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DATABASE_URL", server.DSN())
	port := ports(t)
	file := filepath.Join(t.TempDir(), "fulcrum.yaml")
	if err := os.WriteFile(file, []byte(port.Replace(blocks(t, guide, "yaml")[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	fulcrum := command(t)
	if out, err := exec.Command(fulcrum, "check", "-c", file).CombinedOutput(); err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	start(t, fulcrum, "serve", "-c", file)
	answering(t, port.Replace("localhost:8081"))

	wants := map[string]string{
		"curl -i":        "Server-Timing: lane;desc=normal",
		"orders_by_user": `"total":`,
		"batchGet":       `"missing":["999999"]`,
		"Fulcrum-Class":  `"name":"user 42"`,
		"api/v1/stats":   `"users"`,
	}
	lines := 0
	for _, block := range blocks(t, guide, "sh") {
		for line := range strings.Lines(block) {
			if !strings.HasPrefix(line, "curl ") {
				continue
			}
			lines++
			out := curl(t, port.Replace(line))
			for part, want := range wants {
				if strings.Contains(line, part) && !strings.Contains(out, want) {
					t.Errorf("%sanswered without %q:\n%s", line, want, out)
				}
			}
			if !strings.Contains(line, "-i") && strings.Contains(line, "/v1/") && !json.Valid([]byte(out)) {
				t.Errorf("%sanswered no JSON:\n%s", line, out)
			}
		}
	}
	if lines != 6 {
		t.Errorf("ran %d curl lines, the guide should have 6", lines)
	}
}

func TestTheGuideToSteeringWorksAsTyped(t *testing.T) {
	const guide = "guide/steering.md"
	server := pgtest.Start(t)
	for _, sql := range blocks(t, "guide/postgresql.md", "sql") {
		if err := server.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DATABASE_URL", server.DSN())
	port := ports(t)
	regions, _, _ := strings.Cut(blocks(t, guide, "yaml")[0], "geoip:") // such a file cannot be had here
	dir := t.TempDir()
	text := port.Replace(blocks(t, "guide/postgresql.md", "yaml")[0]) + regions
	if err := os.WriteFile(filepath.Join(dir, "fulcrum.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := blocks(t, guide, "sh")
	program := command(t)
	t.Setenv("PATH", filepath.Dir(program)+":"+os.Getenv("PATH"))
	t.Chdir(dir)
	start(t, program, "serve", "-c", "fulcrum.yaml")
	answering(t, port.Replace("localhost:8081"))
	lines := 0
	for _, block := range commands {
		for line := range strings.Lines(block) {
			lines++
			if strings.Contains(line, "--max-time") {
				line = "(" + strings.TrimSpace(line) + ") || [ $? = 28 ]" // its time is over, as asked
			}
			out := curl(t, port.Replace(line))
			for part, want := range map[string]string{
				"/mode\n": `"mode":"`, "/events\n": `"total":`, "kind=tuner": `"events":[`, "api/v1/stats\n": `"burn_ratio"`, "stats/stream": "event: stats", "event-stream": ": follow",
				"-X PUT": `"mode":"throughput"`, "-X DELETE": `"cause":"override_cleared"`,
				"--explain 'Fulcrum": "region=europe by Fulcrum-Region", "--explain 'CF": "region=europe by CF-IPCountry", "Fulcrum-Debug": "Fulcrum-Policy: balanced, batches up to 50",
			} {
				if strings.Contains(line, part) && !strings.Contains(out, want) {
					t.Errorf("%sanswered without %q:\n%s", line, want, out)
				}
			}
		}
	}
	if lines != 11 {
		t.Errorf("ran %d lines, the guide should have 11", lines)
	}
}

// changes runs the README's calls that change something, as typed and in their order.
func changes(t *testing.T, port *strings.Replacer) {
	t.Helper()
	var lines []string
	for _, block := range blocks(t, "../README.md", "sh") {
		if strings.HasPrefix(block, "curl -i -X PUT") {
			lines = strings.Split(strings.TrimSpace(block), "\n")
		}
	}
	wants := []string{
		"201 Created", `"plan":"business"`, "412 Precondition Failed", "202 Accepted", "204 No Content", "Location: /v1/users/", `"key":"200043"`,
	}
	if len(lines) != len(wants)+1 || !strings.HasPrefix(lines[len(wants)], "curl -N ") {
		t.Fatalf("the README changes rows with %d lines, want %d", len(lines), len(wants)+1)
	}
	for i, want := range wants {
		if out := curl(t, port.Replace(lines[i])); !strings.Contains(out, want) {
			t.Errorf("%s answered without %q:\n%s", lines[i], want, out)
		}
	}
	followed(t, port, lines[len(wants)])
}

// followed runs curl -N, which goes on until it is ended, and changes the row meanwhile.
func followed(t *testing.T, port *strings.Replacer, line string) {
	t.Helper()
	words := strings.Fields(port.Replace(line))
	follow := exec.CommandContext(t.Context(), words[0], words[1:]...)
	out, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = follow.Process.Kill()
		_ = follow.Wait()
	}()
	events := bufio.NewScanner(out)
	until := func(part string) time.Time {
		for events.Scan() {
			if strings.Contains(events.Text(), part) {
				return time.Now()
			}
		}
		t.Fatalf("%s ended without %q", line, part)
		return time.Time{}
	}
	until(`"name":"Bo"`)
	answered := make(chan time.Time, 1)
	go func() {
		_ = curl(t, port.Replace(`curl -s -X PATCH localhost:8080/v1/users/200043 -d '{"plan":"team"}'`))
		answered <- time.Now()
	}()
	told := until(`"plan":"team"`)
	t.Logf("the event came %s before its change was answered", (<-answered).Sub(told).Round(time.Millisecond/10))
}

func TestTheTwoCommandsOfTheReadme(t *testing.T) {
	commands := strings.Split(strings.TrimSpace(blocks(t, "../README.md", "")[0]), "\n")
	if len(commands) != 2 || commands[0] != "go run ./cmd/fulcrum demo" {
		t.Fatalf("the README begins with these commands: %q", commands)
	}
	port := ports(t)
	out := start(t, command(t), "demo", "--listen", port.Replace("127.0.0.1:8080"), "--admin", port.Replace("127.0.0.1:8081"))
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "try") {
			if want := port.Replace("curl -i http://127.0.0.1:8080/v1/users/42"); !strings.Contains(lines.Text(), want) {
				t.Errorf("the demo says %q, want %q", lines.Text(), want)
			}
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	answering(t, port.Replace("localhost:8081"))
	changes(t, port)
	answer := curl(t, port.Replace(commands[1]))
	for _, want := range []string{"200 OK", "Server-Timing: lane;desc=", fmt.Sprintf(`{"id":%d,`, 42)} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s answered without %q:\n%s", commands[1], want, answer)
		}
	}
}
