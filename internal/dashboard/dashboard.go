package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed web
var web embed.FS

// Prefix is where the parts of the page are. The page itself is at the root.
const Prefix = "/dashboard/"

// types are the content types by extension; the machine's own table may be wrong.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// policy lets the page load nothing but its own parts, and nobody frame it: a click
// there may pin a mode.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is one part of the page, compressed once.
type file struct {
	contentType string
	tag         string // entity tag
	plain, gzip []byte
}

// Handler serves the page at / and its parts below Prefix. For all other paths it
// asks notFound.
func Handler(notFound http.Handler) http.Handler {
	files := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, below := strings.CutPrefix(r.URL.Path, Prefix)
		if r.URL.Path == "/" {
			name, below = "index.html", true
		}
		f, known := files[name]
		if !below || !known {
			notFound.ServeHTTP(w, r)
			return
		}
		f.serve(w, r)
	})
}

// load reads and compresses all parts.
func load() map[string]file {
	files := make(map[string]file)
	err := fs.WalkDir(web, "web", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := web.ReadFile(p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		files[strings.TrimPrefix(p, "web/")] = file{
			contentType: types[path.Ext(p)], tag: `"` + hex.EncodeToString(sum[:8]) + `"`,
			plain: text, gzip: compress(text),
		}
		return nil
	})
	if err != nil {
		panic(err) // the files are in the binary
	}
	return files
}

func compress(text []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that exists
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed here", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Cache-Control", "no-cache") // another version may be there after a restart
	h.Set("Etag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body = f.gzip
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that has left cannot be told
}
