package beacon

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/experience"
)

func uuid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }

func text(id, view int, more string) string {
	return fmt.Sprintf(`{"id":%q,"view":%q,"session":%q,"page":"/cart","region":"europe","device":"touch","vitals":{"TTFB":0.12,"CLS":0.01},"wait":1.5%s}`, uuid(id), uuid(view), uuid(9), more)
}

func send(r *Receiver, method, origin, body string) *httptest.ResponseRecorder {
	q := httptest.NewRequest(method, "http://shop.test/v1/experience", strings.NewReader(body))
	if origin != "" {
		q.Header.Set("Origin", origin)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

const own = "http://shop.test"

// Garbage, oversized, replayed and cross-origin beacons are refused and counted.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, method, origin, body string
		status                     int
		why                        string
	}{
		{"right", "POST", own, text(1, 1, ""), 204, ""},
		{"listed", "POST", "https://other.test", text(1, 1, ""), 204, ""},
		{"all fields", "POST", own, text(1, 1, `,"abandoned":true,"satisfaction":5,"conversion":{"name":"checkout","value":9.5},"answer":{"lane":"normal","mode":"balanced","batch":37,"seconds":1,"queue":0.1,"service":0.2}`), 204, ""},
		{"another site", "POST", "https://evil.test", text(1, 1, ""), 403, "origin"},
		{"no origin", "POST", "", text(1, 1, ""), 403, "origin"},
		{"null origin", "POST", "null", text(1, 1, ""), 403, "origin"},
		{"another port", "POST", own + ":81", text(1, 1, ""), 403, "origin"},
		{"GET", "GET", own, "", 405, "method"},
		{"empty", "POST", own, "", 400, "garbage"},
		{"no JSON", "POST", own, "\x00\xff", 400, "garbage"},
		{"two", "POST", own, text(1, 1, "") + text(2, 2, ""), 400, "garbage"},
		{"unknown field", "POST", own, text(1, 1, `,"email":"a@b.c"`), 400, "garbage"},
		{"bad id", "POST", own, strings.Replace(text(1, 1, ""), uuid(1), "1", 1), 400, "garbage"},
		{"page", "POST", own, strings.Replace(text(1, 1, ""), "/cart", strings.Repeat("a", 201), 1), 400, "garbage"},
		{"region", "POST", own, strings.Replace(text(1, 1, ""), "europe", "<script>", 1), 400, "garbage"},
		{"vital", "POST", own, strings.Replace(text(1, 1, ""), "TTFB", "FID", 1), 400, "garbage"},
		{"before the start", "POST", own, strings.Replace(text(1, 1, ""), "0.12", "-0.12", 1), 400, "garbage"},
		{"years", "POST", own, strings.Replace(text(1, 1, ""), "1.5", "1e9", 1), 400, "garbage"},
		{"satisfaction", "POST", own, text(1, 1, `,"satisfaction":6`), 400, "garbage"},
		{"conversion", "POST", own, text(1, 1, `,"conversion":{"name":"","value":1}`), 400, "garbage"},
		{"answer", "POST", own, text(1, 1, `,"answer":{"lane":"normal","seconds":-1}`), 400, "garbage"},
		{"batch", "POST", own, text(1, 1, `,"answer":{"lane":"normal","batch":-1}`), 400, "garbage"},
		{"long", "POST", own, text(1, 1, "") + strings.Repeat(" ", maxBody), 413, "size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := New(Config{Origins: []string{"https://other.test"}})
			w := send(r, c.method, c.origin, c.body)
			n := r.Counts()
			if w.Code != c.status || c.why != "" && (n.Refused[c.why] != 1 || n.Accepted != 0 || !strings.Contains(w.Body.String(), c.why)) || c.why == "" && (n.Accepted != 1 || len(n.Refused) != 0) {
				t.Errorf("%d %s %+v", w.Code, w.Body, n)
			}
		})
	}
}

// A body that does not say how long it is, is cut off where it is too long.
func TestChunked(t *testing.T) {
	q := httptest.NewRequest("POST", "http://shop.test/v1/experience", io.MultiReader(strings.NewReader(strings.Repeat(" ", maxBody+1))))
	q.Header.Set("Origin", own)
	w := httptest.NewRecorder()
	r := New(Config{})
	if r.ServeHTTP(w, q); w.Code != 413 || r.Counts().Refused["size"] != 1 {
		t.Error(w.Code, r.Counts())
	}
}

func TestReplayAndMerge(t *testing.T) {
	r := New(Config{})
	for i, c := range []struct {
		body   string
		status int
	}{
		{text(1, 1, `,"abandoned":true`), 204}, {text(1, 1, ""), 409}, {text(2, 1, `,"satisfaction":4,"conversion":{"name":"checkout","value":1}`), 204}, {text(3, 3, ""), 204},
	} {
		if w := send(r, "POST", own, c.body); w.Code != c.status {
			t.Errorf("%d: %d %s", i, w.Code, w.Body)
		}
	}
	n := r.Counts()
	if n.Accepted != 3 || n.Kept != 2 || n.Refused["replayed"] != 1 || n.Abandoned != 1 {
		t.Errorf("%+v", n)
	}
	report, err := r.Report()
	if err != nil || report.Conversions.Share.Hits != 1 || report.Conversions.Share.N != 2 || report.Satisfaction.Share.N != 1 {
		t.Errorf("%+v %v", report, err)
	}
	if v := report.All.Vitals; v[experience.TTFB].P75 != .12 || !math.IsNaN(v[experience.LCP].P75) || report.Parts[0].Value != "touch" {
		t.Errorf("%+v", report.Parts)
	}
}

func TestRate(t *testing.T) {
	r := New(Config{Rate: 10})
	now := time.Unix(0, 0)
	taken := func() (n int) {
		for range 100 {
			if r.admit(now) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 10}, {100 * time.Millisecond, 1}, {500 * time.Millisecond, 5}, {time.Hour, 10}, {-time.Hour, 0}} {
		now = now.Add(c.after)
		if n := taken(); n != c.want {
			t.Errorf("after %s: %d, want %d", c.after, n, c.want)
		}
	}
	r = New(Config{Rate: 1})
	send(r, "POST", own, text(1, 1, ""))
	if w := send(r, "POST", own, text(2, 2, "")); w.Code != 429 || r.Counts().Refused["rate"] != 1 {
		t.Errorf("%d %+v", w.Code, r.Counts())
	}
}

// However much comes, so many visits are kept, and the latest of them.
func TestBounded(t *testing.T) {
	r := New(Config{Keep: 10, Rate: 1e9})
	if _, err := r.Report(); !errors.Is(err, experience.ErrNoVisits) {
		t.Error(err)
	}
	for i := range 1000 {
		send(r, "POST", own, strings.Replace(text(i, i, ""), "europe", fmt.Sprintf("r%03d", i), 1))
	}
	report, err := r.Report()
	if n := r.Counts(); err != nil || n.Kept != 10 || n.Accepted != 1000 || len(r.seen.at) != 10 || len(r.seen.keys) != 10 {
		t.Errorf("%+v %v", n, err)
	}
	for _, p := range report.Parts {
		if p.Dimension == "region" && p.Value < "r990" {
			t.Errorf("%s is older than the last ten", p.Value)
		}
	}
}

func TestScript(t *testing.T) {
	r := New(Config{})
	ask := func(method, path string, headers ...string) *httptest.ResponseRecorder {
		q := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w
	}
	plain, small := ask("GET", ScriptPath), ask("GET", ScriptPath, "Accept-Encoding", "gzip")
	if n := small.Body.Len(); n > 6<<10 {
		t.Errorf("%d bytes, want at most 6 KB", n)
	}
	z, err := gzip.NewReader(small.Body)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, plain.Body.Bytes()) {
		t.Errorf("another script: %v", err)
	}
	for path, want := range map[string]int{ScriptPath: http.StatusNotModified, "/other": http.StatusNotFound} {
		if w := ask("GET", path, "If-None-Match", tag); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask("POST", ScriptPath); w.Code != 405 || r.Counts().Started != 3 {
		t.Errorf("%d %+v", w.Code, r.Counts())
	}
}

// Whatever is sent, it is refused or within bounds.
func FuzzParse(f *testing.F) {
	f.Add([]byte(text(1, 2, `,"satisfaction":3,"conversion":{"name":"a","value":-1},"answer":{"lane":"bulk"}`)))
	f.Add([]byte(`{"id":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parse(body)
		if err != nil {
			return
		}
		v := m.visit()
		if _, err := experience.Analyse([]experience.Visit{v}, experience.Config{}); err != nil || len(v.Region) > 64 || len(m.Page) > 200 || v.Wait > maxSeconds*time.Second {
			t.Errorf("%v %+v", err, m)
		}
	})
}

func BenchmarkReceive(b *testing.B) {
	r := New(Config{Rate: 1e9})
	for i := 0; b.Loop(); i++ {
		if w := send(r, "POST", own, text(i, i, "")); w.Code != 204 {
			b.Fatal(w.Code)
		}
	}
}
