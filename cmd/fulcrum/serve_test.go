package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const free = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {format: json}\n"

// program is a running fulcrum serve.
type program struct {
	t           *testing.T
	cmd         *exec.Cmd
	data, admin string // URLs

	mu  sync.Mutex
	log []map[string]any
	end chan struct{} // closed when its log ends
}

// serve starts the real program with a configuration that logs JSON, and waits
// until it serves or ends.
func serve(t *testing.T, file string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], "serve", "-c", file), end: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "FULCRUM_TEST_AS_PROGRAM=1")
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(2*time.Minute, func() { _ = p.cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = p.cmd.Process.Kill() // it has ended long ago, unless the test has failed
		<-p.end
	})
	serving := make(chan struct{})
	go p.follow(pipe, serving)
	select {
	case <-serving:
	case <-p.end:
	}
	return p
}

func (p *program) follow(pipe io.Reader, serving chan struct{}) {
	defer close(p.end)
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		line := map[string]any{}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			line["msg"] = lines.Text()
		}
		p.mu.Lock()
		p.log = append(p.log, line)
		if line["msg"] == "serving" {
			p.data, p.admin = line["data"].(string), line["admin"].(string)
			close(serving)
		}
		p.mu.Unlock()
	}
}

// logged finds the lines with a message.
func (p *program) logged(msg string) (found []map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.log {
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	return found
}

// wait returns the exit code.
func (p *program) wait() int {
	p.t.Helper()
	<-p.end
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// ask sends a request and returns status and body; 0 if there was no answer.
func ask(ctx context.Context, method, url, body, token string) (int, string) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

func TestServe(t *testing.T) {
	dir := shop(t)
	p := serve(t, write(t, dir, free+"tokens: [{name: shop, sha256: "+secretHash+", allow: ['users:read', 'orders_by_user:read']}]\n"+wholeShop))
	for _, c := range []struct {
		method, url, body, token string
		status                   int
		want                     string
	}{
		{"GET", p.data + "/v1/users/42", "", "secret", 200, `{"id":42,"name":"Grace"}`},
		{"GET", p.data + "/v1/users/43", "", "secret", 404, `"code":"not_found"`},
		{"GET", p.data + "/v1/orders_by_user/42", "", "secret", 200, `[{"id":2,"total":"3.00"},{"id":1,"total":"9.50"}]`},
		{"POST", p.data + "/v1/users:batchGet", `{"keys":[1,2]}`, "secret", 200, `{"rows":{"1":{"id":1,"name":"Ada"}},"missing":["2"],"errors":{}}`},
		{"GET", p.data + "/v1/memberships/a/1", "", "secret", 403, `"code":"forbidden"`},
		{"GET", p.data + "/v1/users/42", "", "secre", 401, `"code":"unauthorized"`},
		{"GET", p.data + "/v1/users/42", "", "", 401, `"code":"unauthorized"`},
		{"GET", p.admin + "/readyz", "", "", 200, "ready\n"},
		{"GET", p.admin + "/metrics", "", "", 200, `fulcrum_http_responses_total{status="401"} 2`},
		{"GET", p.admin + "/api/v1/stats", "", "", 200, `"in_flight_limit":1,"reserved":2,`},
	} {
		if status, body := ask(t.Context(), c.method, c.url, c.body, c.token); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.url, status, body, c.status, c.want)
		}
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %v", code, p.log)
	}
	for msg, n := range map[string]int{"resource": 3, "serving": 1, "shutting down": 1, "stopped": 1} {
		if found := p.logged(msg); len(found) != n {
			t.Errorf("%d lines %q: %v", len(found), msg, p.log)
		}
	}
	if line := p.logged("serving")[0]; line["level"] != "INFO" || line["tokens"] != 1. || line["store"] != "sqlite:"+dir+"/shop.db" {
		t.Errorf("%v", line)
	}
}

// Why nothing is served, a line of the log for each reason.
func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := shop(t)
	const rest = "store: sqlite:DIR/shop.db\nresources:\n" + usersPart
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"syntax", "store: [", []string{":1:"}},
		{"two typos", "lisen: a\nadmn: b\n" + rest, []string{":1:1: lisen: unknown field; did you mean listen?", ":2:1: admn: unknown field; did you mean admin?"}},
		{"open to all", "listen: 0.0.0.0:0\n" + rest, []string{":1:1: listen: 0.0.0.0:0 can be reached from other machines"}},
		{"no table", "store: sqlite:DIR/shop.db\nresources:\n  users: {table: user, key: id, columns: [id]}\n", []string{`:3:11: resources.users.table: \"user\" is not in`}},
		{"port in use", "listen: " + taken.Addr().String() + "\n" + rest, []string{"the port is in use"}},
		{"no database", "store: sqlite:DIR/none.db\nresources:\n" + usersPart, []string{"none.db does not exist"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := try(t.Context(), "serve", "-c", write(t, dir, c.text))
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code != 1 || stdout != "" || len(lines) != len(c.want) {
				t.Fatalf("code %d\n%s%s", code, stdout, stderr)
			}
			for i, want := range c.want {
				if !strings.Contains(lines[i], `level=ERROR msg="refused to start" error="`) || !strings.Contains(lines[i], want) {
					t.Errorf("%s, want %s", lines[i], want)
				}
			}
		})
	}
}

// A listener that others can reach starts with tokens, or if it is meant.
func TestServeExposed(t *testing.T) {
	dir := shop(t)
	const rest = "admin: 127.0.0.1:0\nlog: {format: json}\nstore: sqlite:DIR/shop.db\nresources:\n" + usersPart
	for head, warnings := range map[string]int{
		"tokens: [{name: a, sha256: " + secretHash + ", allow: ['*:read']}]\n": 0,
		"insecure: true\n": 1,
	} {
		p := serve(t, write(t, dir, "listen: 0.0.0.0:0\n"+head+rest))
		p.terminate()
		if code := p.wait(); code != 0 || len(p.logged("everybody who reaches the data listener can read everything: there are no tokens")) != warnings {
			t.Errorf("%s: code %d, %v", head, code, p.log)
		}
	}
}

// until asks until an answer has the status.
func until(t *testing.T, url string, status int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		got, body := ask(t.Context(), "GET", url, "", "")
		if got == status {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d %s, want %d", url, got, body, status)
		}
	}
}
