package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage/logs"
)

func TestUsageIsOff(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Admin()
	for _, page := range []string{"/api/v1/usage", "/api/v1/usage/stream"} {
		a := ask(t, h, "GET", page, "")
		wantProblem(t, a, 404, "unknown_path")
		if !strings.Contains(a.text, "usage: true") {
			t.Errorf("%s does not say how to switch it on: %s", page, a.text)
		}
	}
}

// What is told of the requests is what they were.
func TestUsage(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Usage = true
	g, _ := start(t, cfg)
	client := newClient(t)
	lines := make(chan string, 1000)
	res, err := client.Get("http://" + g.AdminAddr() + "/api/v1/usage/stream") //nolint:bodyclose // it is, below
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for i := range 120 {
		if status, _, err := get(client, fmt.Sprintf("http://%s/v1/users/%d", g.Addr(), i%30)); status != 200 {
			t.Fatal(status, err)
		}
	}
	var text strings.Builder
	for range 120 {
		select {
		case line := <-lines:
			text.WriteString(line + "\n")
		case <-time.After(30 * time.Second):
			t.Fatal("a request is missing in the stream")
		}
	}
	source, err := logs.Open(strings.NewReader(text.String()), logs.Options{Format: "auto"})
	if err != nil || source.Format != "json" || source.Resolution != 0 {
		t.Errorf("%+v, %v", source, err)
	}
	_, body, err := get(client, "http://"+g.AdminAddr()+"/api/v1/usage")
	var u struct {
		Format   string
		Requests int
		Keys     struct{ Distinct int }
		Clients  struct{ Distinct int }
		Latency  struct{ P50 float64 } `json:"latency_seconds"`
		Fragment string
	}
	if err := json.Unmarshal([]byte(body), &u); err != nil {
		t.Fatal(err)
	}
	if u.Format != "live" || u.Requests != 120 || u.Keys.Distinct != 30 || u.Clients.Distinct != 1 || u.Latency.P50 <= 0 || u.Fragment == "" {
		t.Errorf("%v: %s", err, body)
	}
	if err := g.Shutdown(context.Background()); err != nil { // the stream does not hold it up
		t.Error(err)
	}
	for range lines {
	}
}

// More requests than can be looked at are counted, and memory stays bounded.
func TestUsageIsBounded(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Usage = true
	g := newGateway(t, cfg)
	r, err := http.NewRequest(http.MethodGet, "http://gateway/v1/users/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1"
	for range mostNoted + 5 {
		g.tap.note(&exchange{r: r, status: 200}, time.Now())
	}
	if m := ask(t, g.Admin(), "GET", "/api/v1/usage", "").json(t); m["dropped_requests"] != 5. {
		t.Errorf("%v", m["dropped_requests"])
	}
	if spare := g.tap.drain(nil); len(spare) != mostNoted {
		t.Errorf("%d drained", len(spare))
	}
}
