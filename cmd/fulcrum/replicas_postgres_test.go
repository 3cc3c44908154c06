//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// send makes a request with headers, and returns status, header and body of the answer.
func send(t *testing.T, method, url, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, a.Body); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, a.Header, text.String()
}

func TestServeReplicas(t *testing.T) {
	s := pgtest.Start(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Exec(t.Context(), "create table users (id bigint primary key, name text)"))
	must(s.Exec(t.Context(), "insert into users values (1, 'Ada')"))
	r, err := s.AddReplica(t.Context(), pgtest.ReplicaConfig{Name: "a"})
	must(err)
	must(r.CatchUp(t.Context(), s))
	const resource = "resources: {users: {table: users, key: id, columns: [id, name], writable: true}}\n"
	base := free + "pool: {max: 8}\nstore: " + s.DSN() + "\n" + resource
	file := write(t, t.TempDir(), base+"reads: {cookie: true}\nreplicas: [{name: a, store: '"+r.DSN()+"', region: east}]\n")
	if code, out, errs := try(t.Context(), "check", "-c", file); code != 0 || !strings.Contains(out, "replica a") || !strings.Contains(out, "has all that the primary has") {
		t.Errorf("check: %d %s%s", code, out, errs)
	}
	p := serve(t, file)
	until(t, p.admin+"/readyz", 200)
	must(r.PauseReplay(t.Context()))

	status, answer, _ := send(t, "PUT", p.data+"/v1/users/1", `{"name":"Grace"}`)
	token, cookie := answer.Get("Fulcrum-Token"), answer.Get("Set-Cookie")
	if status != 204 || !strings.HasPrefix(token, "pg:") || !strings.HasPrefix(cookie, "fulcrum_after="+token) || !strings.Contains(cookie, "HttpOnly") {
		t.Fatalf("PUT: %d, token %q, cookie %q", status, token, cookie)
	}
	kept, _, _ := strings.Cut(cookie, ";")
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		want    string
	}{
		{"whoever comes", nil, 200, "Ada"},
		{"behind the change", []string{"Fulcrum-After", token}, 200, "Grace"},
		{"urgent behind the change", []string{"Fulcrum-After", token, "Fulcrum-Class", "urgent"}, 200, "Grace"},
		{"with the cookie", []string{"Cookie", kept}, 200, "Grace"},
		{"with a cookie of another database", []string{"Cookie", "fulcrum_after=pg:1:00000001:0/1"}, 200, "Ada"},
		{"fresh", []string{"Cache-Control", "no-cache"}, 200, "Grace"},
		{"behind the future", []string{"Fulcrum-After", token[:strings.LastIndex(token, ":")] + ":FFFF/0"}, 400, "bad_header"},
		{"behind nonsense", []string{"Fulcrum-After", "pg:"}, 400, "bad_header"},
	} {
		if status, _, body := send(t, "GET", p.data+"/v1/users/1", "", c.headers...); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	if status, _, body := send(t, "POST", p.data+"/v1/users:batchGet", `{"keys":[1]}`, "Fulcrum-After", token); status != 200 || !strings.Contains(body, "Grace") {
		t.Errorf("batchGet: %d %s", status, body)
	}
	var stats struct {
		Backend struct {
			Copies struct {
				Copies []struct {
					Name, State string
					Calls       int `json:"calls_total"`
				}
			}
		}
	}
	_, _, body := send(t, "GET", p.admin+"/api/v1/stats", "")
	must(json.Unmarshal([]byte(body), &stats))
	if all := stats.Backend.Copies.Copies; len(all) != 2 || all[0].Name != "primary" || all[1].Name != "a" || all[1].Calls == 0 {
		t.Errorf("stats: %+v", all)
	}
	if _, _, body := send(t, "GET", p.admin+"/metrics", ""); !strings.Contains(body, `fulcrum_copy_state{copy="a",state="ok"} 1`) {
		t.Error("the metrics say nothing of the replica")
	}

	// The primary goes, and reads are served on.
	must(s.Kill())
	until(t, p.data+"/v1/users/1", 200)
	until(t, p.admin+"/readyz", 200)
	must(s.StartAgain(t.Context()))

	// A reload without the replica has the primary asked.
	must(os.WriteFile(file, []byte(base+"reads: {cookie: true}\n"), 0o600))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, _, body := send(t, "GET", p.data+"/v1/users/1", ""); strings.Contains(body, "Grace") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("after the reload the replica is asked still")
		}
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %v", code, p.log)
	}
}
