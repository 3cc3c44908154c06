//go:build unix

package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// pgShop is a server with the table users, and its address.
func pgShop(t *testing.T) *pgtest.Server {
	t.Helper()
	s := pgtest.Start(t)
	for _, statement := range []string{"create table users (id bigint primary key, name text)", "insert into users values (1, 'Ada')"} {
		if err := s.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// An outage of the database is told, and over when it is over.
func TestServeThroughOutage(t *testing.T) {
	s := pgShop(t)
	p := serve(t, write(t, t.TempDir(), free+"pool: {max: 8}\nstore: "+s.DSN()+"\nresources:\n"+usersPart))
	until(t, p.admin+"/readyz", 200)
	if status, body := ask(t.Context(), "GET", p.data+"/v1/users/1", "", ""); status != 200 || body != `{"id":1,"name":"Ada"}` {
		t.Errorf("%d %s", status, body)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, p.admin+"/readyz", 503)
	if status, body := ask(t.Context(), "GET", p.data+"/v1/users/1", "", ""); status != 503 || !strings.Contains(body, `"code":"unavailable"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := ask(t.Context(), "GET", p.admin+"/healthz", "", ""); status != 200 {
		t.Errorf("not healthy: %d", status)
	}
	if err := s.StartAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, p.admin+"/readyz", 200)
	until(t, p.data+"/v1/users/1", 200)
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %v", code, p.log)
	}
}

// A database that hangs holds up nobody: not the request that runs its query by
// itself, and not those that wait behind it.
func TestServeThroughAHang(t *testing.T) {
	s := pgShop(t)
	p := serve(t, write(t, t.TempDir(), free+"limits: {timeout: 300ms}\npool: {max: 8}\nstore: "+s.DSN()+"\nresources:\n"+usersPart))
	until(t, p.data+"/v1/users/1", 200)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	for _, together := range []int{1, 40} {
		began := time.Now()
		var wg sync.WaitGroup
		for range together {
			wg.Go(func() {
				if status, body := ask(t.Context(), "GET", p.data+"/v1/users/1", "", ""); status != 504 || !strings.Contains(body, `"code":"deadline"`) {
					t.Errorf("%d %s", status, body)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took < 300*time.Millisecond || took > 10*time.Second {
			t.Errorf("%d requests with a deadline of 300 ms took %s", together, took)
		}
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	until(t, p.data+"/v1/users/1", 200)
}

// Requests in flight are answered before the end, if they are within the bound.
func TestServeDrains(t *testing.T) {
	s := pgShop(t)
	for _, c := range []struct {
		bound  string
		frozen bool
		code   int
		status int
	}{{"60s", false, 0, 200}, {"300ms", true, 1, 0}} {
		p := serve(t, write(t, t.TempDir(), free+"limits: {shutdown: "+c.bound+"}\npool: {max: 8}\nstore: "+s.DSN()+"\nresources:\n"+usersPart))
		until(t, p.data+"/v1/users/1", 200)
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		type answer struct {
			status int
			body   string
		}
		answers := make(chan answer, 1)
		go func() {
			status, body := ask(context.Background(), "GET", p.data+"/v1/users/1", "", "")
			answers <- answer{status, body}
		}()
		inFlight(t, p)
		p.terminate()
		if !c.frozen {
			until(t, p.admin+"/readyz", 503)
			if err := s.Resume(); err != nil {
				t.Fatal(err)
			}
		}
		if code := p.wait(); code != c.code {
			t.Errorf("%s: exit code %d: %v", c.bound, code, p.log)
		}
		if a := <-answers; a.status != c.status {
			t.Errorf("%s: %+v", c.bound, a)
		}
		if cut := p.logged("requests were cut off"); len(cut) != c.code {
			t.Errorf("%s: %v", c.bound, p.log)
		}
	}
}

// inFlight waits until a request is on its way to the database.
func inFlight(t *testing.T, p *program) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		_, body := ask(t.Context(), "GET", p.admin+"/api/v1/stats", "", "")
		var stats struct {
			Resources map[string]struct {
				InFlight int `json:"in_flight"`
			}
		}
		if err := json.Unmarshal([]byte(body), &stats); err == nil && stats.Resources["users"].InFlight > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal(body)
		}
	}
}

// A tenant's token shows a tenant's rows alone.
func TestServeScopes(t *testing.T) {
	s := pgtest.Start(t)
	for _, statement := range []string{
		"create table notes (id bigint primary key, tenant text, note text)",
		"insert into notes values (1, 'acme', 'plans'), (2, 'rival', 'plots')",
		"alter table notes enable row level security", "alter table notes force row level security",
		"create policy own on notes using (tenant = current_setting('app.tenant', true))",
		"create role reader login", "grant select on notes to reader",
	} {
		if err := s.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	p := serve(t, write(t, t.TempDir(), free+"tokens:\n- {name: a, sha256: "+secretHash+", scope: acme, allow: ['*:read']}\n"+
		"scope: {setting: app.tenant, from: token}\nstore: "+strings.Replace(s.DSN(), "postgres@", "reader@", 1)+"\nresources:\n  notes: {table: notes, key: id, columns: [note]}\n"))
	for key, want := range map[string]string{"1": `{"note":"plans"}`, "2": "not_found"} {
		if _, body := ask(t.Context(), "GET", p.data+"/v1/notes/"+key, "", "secret"); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s; %v", key, body, want, p.log)
		}
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
