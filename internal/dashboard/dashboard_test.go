package dashboard

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

var teapot = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })

func ask(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler(teapot).ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	tag := ask("GET", "/").Header().Get("Etag")
	for _, c := range []struct {
		method, path string
		headers      []string
		status       int
		contentType  string
	}{
		{"GET", "/", nil, 200, "text/html; charset=utf-8"},
		{"HEAD", "/", nil, 200, "text/html; charset=utf-8"},
		{"GET", "/", []string{"If-None-Match", tag}, 304, ""},
		{"GET", "/", []string{"If-None-Match", `"older"`}, 200, "text/html; charset=utf-8"},
		{"POST", "/", nil, 405, "text/plain; charset=utf-8"},
		{"GET", "/dashboard/app.js", nil, 200, "text/javascript; charset=utf-8"},
		{"GET", "/dashboard/style.css", nil, 200, "text/css; charset=utf-8"},
		{"GET", "/dashboard/vendor/LICENSE-uPlot.txt", nil, 200, "text/plain; charset=utf-8"},
		{"GET", "/dashboard/none.js", nil, 418, ""},
		{"GET", "/dashboard/", nil, 418, ""},
		{"GET", "/app.js", nil, 418, ""},
		{"GET", "/index.html", nil, 418, ""},
	} {
		w := ask(c.method, c.path, c.headers...)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType {
			t.Errorf("%s %s %q: %d %q", c.method, c.path, c.headers, w.Code, w.Header().Get("Content-Type"))
		}
		if c.status == 200 && (!strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") || w.Header().Get("Etag") == "") {
			t.Errorf("%s: headers %v", c.path, w.Header())
		}
	}
}

// Compressed or not, it is the same text.
func TestCompressed(t *testing.T) {
	plain, packed := ask("GET", "/"), ask("GET", "/", "Accept-Encoding", "br, gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" {
		t.Fatalf("%v %v", packed.Header(), plain.Header())
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(text, plain.Body.Bytes()) {
		t.Errorf("another text: %v", err)
	}
}

// The page works offline: nothing names another host, and every part that it names is
// there. Every extension has a content type.
func TestPartsAreHere(t *testing.T) {
	foreign := regexp.MustCompile(`(?:src|href)="(?:https?:)?//|url\(|import\(['"]http|from '(?:https?:)?//`)
	part := regexp.MustCompile(`(?:src|href)="/dashboard/([^"]+)"|from '\./([^']+)'`)
	files := load()
	for name, f := range files {
		if f.contentType == "" {
			t.Errorf("%s has no content type", name)
		}
		if strings.HasPrefix(name, "vendor/") {
			continue
		}
		if m := foreign.Find(f.plain); m != nil {
			t.Errorf("%s: %s is elsewhere", name, m)
		}
		for _, m := range part.FindAllSubmatch(f.plain, -1) {
			if _, here := files[string(m[1])+string(m[2])]; !here {
				t.Errorf("%s names %s%s, which is not here", name, m[1], m[2])
			}
		}
		if lines := bytes.Count(f.plain, []byte("\n")); lines > 500 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
}
