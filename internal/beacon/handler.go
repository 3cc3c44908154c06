package beacon

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:embed web/fulcrum.js
var script []byte

// Where the script and the beacons are.
const (
	ScriptPath = "/fulcrum.js"
	BeaconPath = "/v1/experience"
)

// maxBody is the longest beacon, in bytes: several times what the script sends.
const maxBody = 4 << 10

var packed, tag = func() ([]byte, string) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that exists
	_, _ = z.Write(script)
	_ = z.Close()
	sum := sha256.Sum256(script)
	return b.Bytes(), `"` + hex.EncodeToString(sum[:8]) + `"`
}()

// ServeHTTP serves ScriptPath and BeaconPath; all else is not found.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	switch q.URL.Path {
	case ScriptPath:
		r.serveScript(w, q)
	case BeaconPath:
		r.receive(w, q)
	default:
		http.NotFound(w, q)
	}
}

// serveScript counts: a browser asks once for each page, and is mostly told that it has
// the script already.
func (r *Receiver) serveScript(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, refusedMethod, "want GET")
		return
	}
	r.start()
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Etag", tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // it is made for other sites
	if q.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	body := script
	if strings.Contains(q.Header.Get("Accept-Encoding"), "gzip") {
		body = packed
		h.Set("Content-Encoding", "gzip")
	}
	_, _ = w.Write(body) // a client that has left cannot be told
}

// receive takes a beacon or says why not. What is cheap to see is looked at first.
func (r *Receiver) receive(w http.ResponseWriter, q *http.Request) {
	status, why, detail := r.take(q)
	if why != "" {
		r.refuse(why)
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		fail(w, status, why, detail)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *Receiver) take(q *http.Request) (status int, why, detail string) {
	if q.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, refusedMethod, "want POST"
	}
	if !r.allows(q) {
		return http.StatusForbidden, refusedOrigin, "Origin: want the same host or one that is listed"
	}
	if !r.admit(time.Now()) {
		return http.StatusTooManyRequests, refusedRate, "too many beacons at once"
	}
	if q.ContentLength > maxBody {
		return http.StatusRequestEntityTooLarge, refusedSize, "the limit is 4096 bytes"
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, q.Body, maxBody))
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return http.StatusRequestEntityTooLarge, refusedSize, "the limit is 4096 bytes"
	}
	if err != nil {
		return http.StatusBadRequest, refusedGarbage, "the body ended early"
	}
	m, err := parse(body)
	if err != nil {
		return http.StatusBadRequest, refusedGarbage, err.Error()
	}
	if !r.keep(m) {
		return http.StatusConflict, refusedReplay, "this id was here before"
	}
	if r.Tell != nil {
		r.Tell(m.View, body)
	}
	return http.StatusNoContent, "", ""
}

// allows looks at the Origin, which browsers send with every POST and no page can
// change.
func (r *Receiver) allows(q *http.Request) bool {
	origin := q.Header.Get("Origin")
	if slices.Contains(r.cfg.Origins, origin) {
		return origin != ""
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && u.Host == q.Host
}

func fail(w http.ResponseWriter, status int, code, detail string) {
	body, _ := json.Marshal(struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{code, detail}) // strings always can be marshalled
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
