package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// What each wrong request gets.
func TestRefusals(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.MaxKeys, cfg.MaxBody = 3, 100
	h := newGateway(t, cfg).Data()
	const batch = "/v1/users:batchGet"
	for _, c := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		code, detail               string
	}{
		{"wrong key type", "GET", "/v1/users/abc", "", nil, 400, "bad_key", `key "abc" for column id: want an integer`},
		{"fraction", "GET", "/v1/users/1.0", "", nil, 400, "bad_key", "want an integer"},
		{"too large for an integer", "GET", "/v1/users/9223372036854775808", "", nil, 400, "bad_key", "want an integer"},
		{"no key", "GET", "/v1/users/", "", nil, 400, "bad_key", "want an integer"},
		{"too many parts", "GET", "/v1/users/1/2", "", nil, 400, "bad_key", "want 1 parts"},
		{"too few parts", "GET", "/v1/members/acme", "", nil, 400, "bad_key", "want 2 parts"},
		{"not UTF-8", "GET", "/v1/things/%FF", "", nil, 400, "bad_key", "UTF-8"},
		{"empty part in the middle", "GET", "/v1/members//7", "", nil, 400, "bad_path", ""},
		{"dots", "GET", "/v1/users/../things/a", "", nil, 400, "bad_path", ""},
		{"lone dot", "GET", "/v1/things/.", "", nil, 400, "bad_path", ""},
		{"unknown resource", "GET", "/v1/secrets/1", "", nil, 404, "unknown_resource", `there is no resource "secrets"`},
		{"unknown resource in a batch", "POST", "/v1/secrets:batchGet", `{"keys":[1]}`, nil, 404, "unknown_resource", ""},
		{"resource without key", "GET", "/v1/users", "", nil, 404, "unknown_path", ""},
		{"unknown verb", "POST", "/v1/users:frobnicate", "", nil, 404, "unknown_path", ""},
		{"unknown path", "GET", "/v2/users/1", "", nil, 404, "unknown_path", ""},
		{"root", "GET", "/", "", nil, 404, "unknown_path", ""},
		{"v1 alone", "GET", "/v1", "", nil, 404, "unknown_path", ""},
		{"absent row", "GET", "/v1/users/-1", "", nil, 404, "not_found", ""},
		{"write to a row", "PUT", "/v1/users/1", "{}", nil, 405, "method_not_allowed", "only GET, HEAD"},
		{"read of a verb", "GET", batch, "", nil, 405, "method_not_allowed", "only POST"},
		{"unknown class", "GET", "/v1/users/1", "", []string{"Fulcrum-Class", "vip"}, 400, "unknown_class", `"vip": want urgent, normal or bulk`},
		{"two classes", "GET", "/v1/users/1", "", []string{"Fulcrum-Class", "bulk", "Fulcrum-Class", "urgent"}, 400, "unknown_class", "once"},
		{"empty class", "POST", batch, `{"keys":[1]}`, []string{"Fulcrum-Class", ""}, 400, "unknown_class", ""},
		{"no number of ms", "GET", "/v1/users/1", "", []string{"Fulcrum-Timeout-Ms", "1s"}, 400, "bad_header", "between 1 and 600000"},
		{"no time at all", "GET", "/v1/users/1", "", []string{"Fulcrum-Timeout-Ms", "0"}, 400, "bad_header", "between 1 and 600000"},
		{"negative time", "GET", "/v1/users/1", "", []string{"Fulcrum-Timeout-Ms", "-5"}, 400, "bad_header", ""},
		{"too much time", "GET", "/v1/users/1", "", []string{"Fulcrum-Timeout-Ms", "600001"}, 400, "bad_header", ""},
		{"not JSON", "POST", batch, `keys=1`, nil, 400, "bad_json", "invalid character"},
		{"cut short", "POST", batch, `{"keys":[1`, nil, 400, "bad_json", "unexpected end"},
		{"two values", "POST", batch, `{"keys":[1]}{}`, nil, 400, "bad_json", ""},
		{"no body", "POST", batch, ``, nil, 400, "bad_json", ""},
		{"array", "POST", batch, `[1,2]`, nil, 400, "bad_json", "want an object"},
		{"keys not an array", "POST", batch, `{"keys":7}`, nil, 400, "bad_json", `"keys": want an array`},
		{"body not UTF-8", "POST", batch, "{\"keys\":[\"\xff\"]}", nil, 400, "bad_json", "UTF-8"},
		{"unknown field", "POST", batch, `{"keys":[1],"limit":3}`, nil, 400, "unknown_field", `"limit"`},
		{"field in capitals", "POST", batch, `{"KEYS":[1]}`, nil, 400, "unknown_field", `"KEYS"`},
		{"empty keys", "POST", batch, `{"keys":[]}`, nil, 400, "no_keys", ""},
		{"no keys", "POST", batch, `{}`, nil, 400, "no_keys", ""},
		{"null keys", "POST", batch, `{"keys":null}`, nil, 400, "no_keys", ""},
		{"null body", "POST", batch, `null`, nil, 400, "no_keys", ""},
		{"null key", "POST", batch, `{"keys":[1,null]}`, nil, 400, "bad_key", "keys[1]: want a number"},
		{"object as key", "POST", batch, `{"keys":[{"id":1}]}`, nil, 400, "bad_key", "keys[0]"},
		{"empty composite key", "POST", batch, `{"keys":[[]]}`, nil, 400, "bad_key", "at least one"},
		{"nested composite key", "POST", batch, `{"keys":[[[1]]]}`, nil, 400, "bad_key", ""},
		{"half a character", "POST", batch, `{"keys":["\ud800"]}`, nil, 400, "bad_key", "half a character"},
		{"too many keys", "POST", batch, `{"keys":[1,2,3,4]}`, nil, 413, "too_many_keys", "there are 4 keys, the limit is 3"},
		{"body too large", "POST", batch, `{"keys":["` + strings.Repeat("a", 100) + `"]}`, nil, 413, "body_too_large", "100 bytes"},
		{"unknown problem", "GET", "/problems/none", "", nil, 404, "unknown_path", ""},
		{"write to a problem", "POST", "/problems/shed", "", nil, 405, "method_not_allowed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, h, c.method, c.target, c.body, c.headers...)
			wantProblem(t, a, c.status, c.code)
			if detail, _ := a.json(t)["detail"].(string); !strings.Contains(detail, c.detail) {
				t.Errorf("detail %q, want %q in it", detail, c.detail)
			}
			if strings.Contains(a.text, "members") && !strings.Contains(c.target, "members") {
				t.Errorf("names what was not asked for: %s", a.text)
			}
			if allow := a.Header.Get("Allow"); (allow != "") != (c.status == 405) {
				t.Errorf("Allow %q", allow)
			}
		})
	}
}

// A body whose length is not told beforehand is bounded all the same.
func TestBodyTooLargeChunked(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.MaxBody = 100
	r := httptest.NewRequest("POST", "/v1/users:batchGet", strings.NewReader(strings.Repeat(" ", 101)))
	r.ContentLength = -1
	w := httptest.NewRecorder()
	newGateway(t, cfg).Data().ServeHTTP(w, r)
	wantProblem(t, answer{w.Result(), w.Body.String()}, 413, "body_too_large")
}

func TestRow(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Data()
	for target, want := range map[string]string{
		"/v1/users/42":                 `["42"]`,
		"/v1/users/9007199254740993":   `["9007199254740993"]`,
		"/v1/us%65rs/4%32":             `["42"]`,
		"/v1/things/a%20b":             `["a b"]`,
		"/v1/things/a%2Fb":             `["a/b"]`,
		"/v1/things/%2E":               `["."]`,
		"/v1/things/.hidden":           `[".hidden"]`,
		"/v1/things/":                  `[""]`,
		"/v1/things/users:batchGet":    `["users:batchGet"]`,
		"/v1/things/gr%C3%BC%C3%9Fe":   `["grüße"]`,
		"/v1/things/100%25":            `["100%"]`,
		"/v1/members/acme/7":           `["acme","7"]`,
		"/v1/members/a%2Fb/7":          `["a/b","7"]`,
		"/v1/members/%2E%2E/007":       `["..","7"]`,
		"/v1/things/x?Fulcrum-Class=y": `["x"]`,
	} {
		a := ask(t, h, "GET", target, "")
		if a.StatusCode != 200 || a.text != `{"key":`+want+`,"pad":""}` {
			t.Errorf("%s: %d %s, want the key %s", target, a.StatusCode, a.text, want)
		}
		if ct := a.Header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s: Content-Type %q", target, ct)
		}
	}
}

// HEAD has the headers of GET and no body, whether the row is short or long.
func TestHead(t *testing.T) {
	for _, pad := range []int{0, 3 * small} {
		s := httptest.NewServer(newGateway(t, testConfig(&memory{pad: pad})).Data())
		defer s.Close()
		var lengths [2]int64
		for i, method := range []string{"GET", "HEAD"} {
			r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/v1/users/1", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			lengths[i] = res.ContentLength
			if res.StatusCode != 200 || res.Header.Get("Server-Timing") == "" {
				t.Errorf("%s: %v", method, res)
			}
			_ = res.Body.Close()
		}
		if lengths[0] != lengths[1] || lengths[0] <= int64(pad) {
			t.Errorf("lengths of GET and HEAD: %v", lengths)
		}
	}
}

var (
	servedTiming = regexp.MustCompile(`^lane;desc=(urgent|normal|bulk), queue;dur=\d+\.\d{3}, batch;desc="n=(\d+)", db;dur=\d+\.\d{3}, mode;desc=balanced$`)
	totalTiming  = regexp.MustCompile(`^lane;desc=(urgent|normal|bulk), total;dur=\d+\.\d{3}, mode;desc=balanced$`)
)

func TestServerTiming(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Data()
	for _, class := range []string{"urgent", "normal", "bulk"} {
		for _, target := range []string{"/v1/users/1", "/v1/users/-1"} {
			timing := ask(t, h, "GET", target, "", "Fulcrum-Class", class).Header.Get("Server-Timing")
			if m := servedTiming.FindStringSubmatch(timing); m == nil || m[1] != class || m[2] != "1" {
				t.Errorf("%s %s: Server-Timing %q", class, target, timing)
			}
		}
		timing := ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[1]}`, "Fulcrum-Class", class).Header.Get("Server-Timing")
		if m := totalTiming.FindStringSubmatch(timing); m == nil || m[1] != class {
			t.Errorf("%s batchGet: Server-Timing %q", class, timing)
		}
	}
}

// Requests that come while a query is in flight share the next one, and say so.
func TestServerTimingOfABatch(t *testing.T) {
	const n = 20
	entered, open := make(chan struct{}, 100), make(chan struct{})
	cfg := testConfig(&memory{fetch: func(context.Context, []store.Key) error {
		entered <- struct{}{}
		<-open
		return nil
	}})
	cfg.Backend = fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 1}
	g := newGateway(t, cfg)
	h := g.Data()
	timings := make(chan string, n+1)
	get := func(id int) {
		timings <- ask(t, h, "GET", fmt.Sprint("/v1/users/", id), "").Header.Get("Server-Timing")
	}
	go get(1)
	<-entered
	for i := range n {
		go get(100 + i)
	}
	waitFor(t, func() bool { return g.Reader("users").Stats().Queued == n })
	close(open)
	sizes := map[string]int{}
	for range n + 1 {
		timing := <-timings
		m := servedTiming.FindStringSubmatch(timing)
		if m == nil {
			t.Fatalf("Server-Timing %q", timing)
		}
		sizes[m[2]]++
	}
	if sizes["1"] != 1 || sizes["20"] != n {
		t.Errorf("sizes of batches: %v", sizes)
	}
}
