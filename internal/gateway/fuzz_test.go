package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever comes in, an answer is one of ours: known statuses, valid JSON.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	switch w.Code {
	case 200, 400, 404, 405, 413:
	default:
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) && !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("not JSON: %q", w.Body)
	}
	for name := range w.Header() {
		if name == "Location" {
			t.Fatalf("a redirect to %q", w.Header().Get(name))
		}
	}
}

func FuzzBatchGet(f *testing.F) {
	for _, body := range []string{
		`{"keys":[1,"a",["acme",7]]}`, `{"keys":[]}`, `{}`, `null`, `{"keys":[1e400,-0,1.5]}`, `{"keys":[[[]]]}`,
		`{"keys":["\ud800","\ud83d\ude00"]}`, `{"keys":[1],"keys":[2]}`, `{"keys":[1],"\u006beys":[1,2] } `, `{"Keys":[1]}`, "{\"keys\":[\"\xff\"]}",
	} {
		f.Add("things", body)
		f.Add("members", body)
	}
	h := newGateway(f, testConfig(&memory{})).Data()
	f.Fuzz(func(t *testing.T, resource, body string) {
		if strings.Contains(body, "panic") {
			t.Skip()
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v1/x:batchGet", strings.NewReader(body))
		r.URL.Path, r.URL.RawPath = "/v1/"+resource+":batchGet", ""
		h.ServeHTTP(w, r)
		checkAnswer(t, w)
		if w.Code != 200 {
			return
		}
		// Every key is accounted for once.
		keys, p := parseBody([]byte(body), defaultMaxKeys)
		if p.kind != nil {
			t.Fatalf("answered what does not parse: %q", body)
		}
		if n := members(t, body); n != 1 {
			t.Fatalf("%d fields were taken for one: %q", n, body)
		}
		var out struct {
			Rows, Errors map[string]json.RawMessage
			Missing      []string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		if n := len(out.Rows) + len(out.Errors) + len(out.Missing); n < 1 || n > len(keys) {
			t.Fatalf("%d keys, %d answers: %s", len(keys), n, w.Body)
		}
	})
}

// members counts the fields of an object, those of one name each.
func members(t *testing.T, body string) (n int) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for ; d.More(); n++ {
		var value json.RawMessage
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"/v1/users/1", "/v1/things/a%2Fb", "/v1/things/%", "/v1/things/%ff", "/v1//", "/v1/users/..", "/v1/members/a/1/", "/problems/shed", "//", "/v1/users:batchGet", "*",
	} {
		f.Add("GET", path)
	}
	h := newGateway(f, testConfig(&memory{})).Data()
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || strings.Contains(u.Path, "panic") || u.Host != "" || !strings.HasPrefix(path, "/") || method == http.MethodConnect {
			t.Skip() // net/http refuses it, or the test's own table panics
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL = method, u
		h.ServeHTTP(w, r)
		checkAnswer(t, w)
		segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/v1/things/"), "/")
		if w.Code != 200 || len(segments) != 1 || method != "GET" || !strings.HasPrefix(u.EscapedPath(), "/v1/things/") {
			return
		}
		// The row is that of the decoded segment, whatever stands in there.
		want, err := url.PathUnescape(segments[0])
		var row struct{ Key []string }
		if err != nil || json.Unmarshal(w.Body.Bytes(), &row) != nil || len(row.Key) != 1 || row.Key[0] != want || !utf8.ValidString(want) {
			t.Fatalf("path %q: %s", path, w.Body)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("urgent", "100")
	f.Add("vip", "0x10")
	f.Add("", "600000")
	f.Add("bulk", "+5")
	f.Add("Normal", "99999999999999999999")
	h := newGateway(f, testConfig(&memory{})).Data()
	f.Fuzz(func(t *testing.T, class, timeout string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/v1/users/1", nil)
		r.Header["Fulcrum-Class"], r.Header["Fulcrum-Timeout-Ms"] = []string{class}, []string{timeout}
		h.ServeHTTP(w, r)
		if w.Code == http.StatusGatewayTimeout {
			t.Skip() // a deadline of a millisecond on a busy machine
		}
		checkAnswer(t, w)
		if known := class == "urgent" || class == "normal" || class == "bulk"; !known && w.Code != 400 {
			t.Fatalf("class %q: %d", class, w.Code)
		}
	})
}

// A body for the mode is taken whole or refused, whatever it holds.
func FuzzMode(f *testing.F) {
	for _, s := range []string{`{"mode":"latency","for":"10m"}`, `{"mode":"latency","for":"-1s"}`, `{"mode":null,"for":1}`, `[]`, `{"mode":"x"`, "{}{}", "\xff", `{"for":"1e9h","mode":"balanced"}`} {
		f.Add(s)
	}
	g := newGateway(f, testConfig(&memory{}))
	h := g.Admin()
	f.Fuzz(func(t *testing.T, body string) {
		g.backend.ClearOverride()
		w := httptest.NewRecorder()
		r := httptest.NewRequest("PUT", "/api/v1/mode", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(w, r)
		pinned := g.backend.Stats().Modes.Until > 0
		if w.Code != 200 && w.Code != 400 && w.Code != 413 || pinned != (w.Code == 200) {
			t.Fatalf("%q: %d, pinned %t: %s", body, w.Code, pinned, w.Body)
		}
	})
}
