package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// getFrom asks in the name of a region.
func getFrom(client *http.Client, url, region string) (int, string, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Fulcrum-Region", region)
	res, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	var text strings.Builder
	_, err = bufio.NewReader(res.Body).WriteTo(&text)
	return res.StatusCode, text.String(), err
}

// message is one server-sent event.
type sse struct{ id, kind, data string }

// read has the events of a stream; the channel closes with it.
func read(t *testing.T, client *http.Client, url, after string) <-chan sse {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	res, err := client.Do(r) //nolint:bodyclose // closed by the goroutine below
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	all := make(chan sse, 100)
	go func() {
		defer close(all)
		defer res.Body.Close()
		var e sse
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
				all <- e
				e = sse{}
			}
		}
	}()
	return all
}

func next(t *testing.T, from <-chan sse) sse {
	t.Helper()
	select {
	case e, ok := <-from:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
	}
	return sse{}
}

func TestStreams(t *testing.T) {
	g, _ := start(t, testConfig(&memory{}))
	client := newClient(t)
	admin := "http://" + g.AdminAddr()
	stats := read(t, client, admin+"/api/v1/stats/stream", "")
	changes := read(t, client, admin+"/api/v1/events?kind=mode", "")
	if status, _, err := get(client, "http://"+g.Addr()+"/v1/users/1"); status != 200 {
		t.Fatal(status, err)
	}
	for { // the tick that has seen the request
		e := next(t, stats)
		var s statsJSON
		if err := json.Unmarshal([]byte(e.data), &s); err != nil || e.kind != "stats" || e.id == "" {
			t.Fatalf("%+v: %v", e, err)
		}
		if users := s.Resources["users"]; users.Answered == 1 {
			if r := users.Rates; r.Window < 0.5 || r.Window > 30 {
				t.Errorf("rates over %v s", r.Window)
			}
			break
		}
	}
	put := func(body string) (int, string) {
		r, err := http.NewRequest(http.MethodPut, admin+"/api/v1/mode", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := bufio.NewReader(res.Body).ReadString('\n')
		return res.StatusCode, text
	}
	if status, text := put(`{"mode":"latency","for":"10m"}`); status != 200 || !strings.Contains(text, `"mode":"latency"`) {
		t.Fatal(status, text)
	}
	first := next(t, changes)
	if first.kind != "mode" || !strings.Contains(first.data, `"from":"balanced","to":"latency","cause":"override"`) {
		t.Errorf("%+v", first)
	}
	if status, text := put(`{"mode":"throughput","for":"10m"}`); status != 200 {
		t.Fatal(status, text)
	}
	again := read(t, client, admin+"/api/v1/events", first.id) // who comes back gets what it has missed
	if e := next(t, again); !strings.Contains(e.data, `"to":"throughput"`) {
		t.Errorf("%+v", e)
	}
	strange := read(t, client, admin+"/api/v1/events", "elsewhere.3")
	if e := next(t, strange); e.kind != "reset" {
		t.Errorf("an ID of another run: %+v", e)
	}
	if err := g.Shutdown(context.Background()); err != nil { // streams do not hold it up
		t.Error(err)
	}
	for range stats { // ends
	}
}

func TestModePage(t *testing.T) {
	g := newGateway(t, testConfig(&memory{}))
	h := g.Admin()
	for body, want := range map[string]string{
		``:                                "want",
		`{"mode":"latency"}`:              "want both fields",
		`{"mode":"fast","for":"1m"}`:      `mode \"fast\"`,
		`{"mode":"latency","for":"soon"}`: `for \"soon\"`,
		`{"mode":"latency","for":"48h"}`:  "at most 24h",
		`{"mode":"latency","for":"1m","why":"x"}`: "want",
		`{"mode":"latency","for":"1m"} {}`:        "more than one value",
	} {
		a := ask(t, h, "PUT", "/api/v1/mode", body, "Content-Type", "application/json")
		wantProblem(t, a, 400, "bad_json")
		if !strings.Contains(a.text, want) {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	wantProblem(t, ask(t, h, "PUT", "/api/v1/mode", `{"mode":"latency","for":"1m"}`), 400, "bad_header") // as a form of a strange page would
	wantProblem(t, ask(t, h, "POST", "/api/v1/mode", ``), 405, "method_not_allowed")
	if m := ask(t, h, "PUT", "/api/v1/mode", `{"mode":"throughput","for":"1m"}`, "Content-Type", "application/json").json(t); m["mode"] != "throughput" || m["override_ends_in_seconds"].(float64) < 30 {
		t.Errorf("%v", m)
	}
	if m := ask(t, h, "DELETE", "/api/v1/mode", "").json(t); m["mode"] != "balanced" || m["cause"] != "override_cleared" {
		t.Errorf("%v", m)
	}
	if a := ask(t, h, "GET", "/api/v1/events", ""); !strings.Contains(a.text, `"total":2`) {
		t.Errorf("%s", a.text)
	}
	if a := ask(t, h, "GET", "/api/v1/events?kind=tuner", ""); !strings.Contains(a.text, `"events":[]`) {
		t.Errorf("%s", a.text)
	}
	wantProblem(t, ask(t, h, "GET", "/api/v1/events", "", "Accept", "text/event-stream", "Last-Event-ID", "x"), 400, "bad_header")
}
