package gateway

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// rowMethods are those that a row of the resource understands.
func (x *exchange) rowMethods(name string) []string {
	if res := x.live.resources[name]; res != nil && res.write != nil {
		return []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// ops are what the methods do.
var ops = map[string]store.Op{
	http.MethodPut: store.Put, http.MethodPatch: store.Patch, http.MethodDelete: store.Delete, http.MethodPost: store.Insert,
}

// change answers PUT, PATCH and DELETE /v1/{resource}/{key…}.
func (x *exchange) change(name, path string) {
	if !x.allow(x.rowMethods(name)...) || !x.find(name, writeGrant) {
		return
	}
	key, err := x.pathKey(path)
	if err != nil {
		x.fail(problemOf(err))
		return
	}
	x.write(store.Change{Op: ops[x.r.Method], Key: key})
}

// insert answers POST /v1/{resource}.
func (x *exchange) insert(name string) {
	if res := x.live.resources[name]; res != nil && res.write == nil {
		x.fail(problem{kind: unknownPath})
		return
	}
	if x.allow(http.MethodPost) && x.find(name, writeGrant) {
		x.write(store.Change{Op: store.Insert})
	}
}

// write reads the rest of a change and has it made.
func (x *exchange) write(c store.Change) {
	how, p := x.conditions(&c)
	if p.kind == nil && c.Return && !x.authorize(readGrant, x.res.name) {
		return
	}
	if p.kind == nil && c.Op != store.Delete {
		var body []byte
		body, p = x.readBody()
		c.Body = bytes.Clone(body) // the change may outlive the request
	}
	if p.kind != nil {
		x.fail(p)
		return
	}
	if c.Once != nil {
		c.Once.Body = x.digest(c)
	}
	c.AskCreated = true // 201 or 204
	c, err := x.res.writable.ParseChange(c)
	if err != nil {
		x.fail(x.report(err))
		return
	}
	ctx := x.begin()
	receipt, err := x.res.write.Write(ctx, c, options[x.class], how, fulcrum.Traced(&x.trace))
	ctx.end()
	if err != nil {
		x.fail(x.report(err))
		return
	}
	x.written(c, receipt)
}

// digest is the hash of all that a change says.
func (x *exchange) digest(c store.Change) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{c.Op.String(), string(c.Key), c.IfVersion, strconv.FormatBool(c.IfAbsent), strconv.FormatBool(c.Return)} {
		_, _ = h.Write(append([]byte(part), 0))
	}
	_, _ = h.Write(c.Body)
	return [sha256.Size]byte(h.Sum(nil))
}

// conditions reads the headers that say how and when a change is made.
func (x *exchange) conditions(c *store.Change) (how fulcrum.Option, p problem) {
	h := x.r.Header
	for _, read := range []func(http.Header, *store.Change) problem{x.ifMatch, ifNoneMatch, prefer, x.idempotency} {
		if p = read(h, c); p.kind != nil {
			return how, p
		}
	}
	switch v := h["Fulcrum-Durability"]; {
	case len(v) == 0, len(v) == 1 && v[0] == "committed":
		return fulcrum.Committed, p
	case len(v) > 1 || v[0] != "journaled" && v[0] != "memory":
		return how, badHeader.because("Fulcrum-Durability %q: want committed, journaled or memory, once", shorten(v[0]))
	case c.IfVersion != "" || c.IfAbsent || c.Return || c.Once != nil || c.Op == store.Insert:
		return how, problem{kind: needsCommit}
	case v[0] == "memory":
		return fulcrum.InMemory, p
	case x.g.cfg.Journal == "":
		return how, badHeader.because("Fulcrum-Durability journaled: the gateway's configuration names no journal")
	default:
		return fulcrum.Journaled, p
	}
}

// ifMatch takes one version.
func (x *exchange) ifMatch(h http.Header, c *store.Change) problem {
	v := h["If-Match"]
	if len(v) == 0 {
		return problem{}
	}
	version, quoted := strings.CutPrefix(v[0], `"`)
	version, ended := strings.CutSuffix(version, `"`)
	switch {
	case len(v) > 1 || !quoted || !ended || version == "" || strings.Contains(version, `"`):
		return badHeader.because(`If-Match %q: want one version in quotes, as an ETag had it`, shorten(v[0]))
	case x.res.version == nil:
		return problem{kind: noVersion}
	case c.Op == store.Insert:
		return badHeader.because("If-Match: a row that is not there yet has no version")
	}
	c.IfVersion = version
	return problem{}
}

func ifNoneMatch(h http.Header, c *store.Change) problem {
	v := h["If-None-Match"]
	if len(v) == 0 {
		return problem{}
	}
	if len(v) > 1 || v[0] != "*" || c.Op != store.Put {
		return badHeader.because("If-None-Match %q: want * with PUT, to make a row that is not there", shorten(v[0]))
	}
	c.IfAbsent = true
	return problem{}
}

func prefer(h http.Header, c *store.Change) problem {
	for _, v := range h["Prefer"] { // RFC 7240: what is not understood is passed over
		if strings.Contains(v, "return=representation") {
			c.Return = true
		}
	}
	return problem{}
}

// maxIdempotencyKey is how long an Idempotency-Key may be, in bytes.
const maxIdempotencyKey = 255

func (x *exchange) idempotency(h http.Header, c *store.Change) problem {
	v := h["Idempotency-Key"]
	if len(v) == 0 {
		return problem{}
	}
	if len(v) > 1 || v[0] == "" || len(v[0]) > maxIdempotencyKey {
		return badHeader.because("Idempotency-Key %q: want 1 to %d characters, once", shorten(v[0]), maxIdempotencyKey)
	}
	who := ""
	if x.who != nil {
		who = x.who.name
	}
	c.Once = &store.Once{Scope: who + " " + x.res.name + " " + x.r.Method, Key: v[0]}
	return problem{}
}

// etag sets the header that If-Match wants back.
func (x *exchange) etag(version string) {
	if version != "" {
		x.w.Header()["Etag"] = []string{`"` + version + `"`}
	}
}

// written answers a change that was made, or accepted.
func (x *exchange) written(c store.Change, r fulcrum.Receipt[store.Written]) {
	h := x.w.Header()
	h["Fulcrum-Durability"] = []string{r.Durability.String()}
	if r.Token != "" {
		h["Fulcrum-Token"] = []string{string(r.Token)}
		if x.g.cfg.Cookie {
			x.setCookie(r.Token)
		}
	}
	x.etag(r.Result.Version)
	if r.Result.Replayed {
		h["Fulcrum-Replayed"] = []string{"true"}
	}
	key := c.Key
	if key == "" {
		key = r.Result.Key
	}
	status := http.StatusNoContent
	switch {
	case r.Durability != fulcrum.DurabilityCommitted:
		status = http.StatusAccepted
	case r.Result.Created:
		status = http.StatusCreated
		h["Location"] = []string{prefix + x.res.name + "/" + string(key)}
	case c.Return:
		status = http.StatusOK
	}
	if c.Return && r.Result.Row != nil {
		x.send(status, rowType, r.Result.Row)
		return
	}
	h["Server-Timing"] = []string{x.serverTiming()}
	x.sendBody(status, nil)
}

// writeProblem says which problem an error of a change is; none if it is not one.
func writeProblem(err error) problem {
	var row *store.RowError
	var body *store.BodyError
	var lacking *store.ConfigError
	switch {
	case errors.Is(err, fulcrum.ErrAmbiguous):
		return problem{kind: ambiguous}
	case errors.As(err, &body):
		return problem{kind: badRow, detail: strings.TrimPrefix(body.Error(), "body: ")}
	case errors.As(err, &row):
		k := badValue
		if row.Constraint != "" || strings.HasPrefix(row.Code, "23") {
			k = constraint
		}
		return problem{kind: k, detail: strings.TrimPrefix(row.Error(), "store: ")}
	case errors.As(err, &lacking):
		return problem{kind: notInitialised, detail: lacking.Problem}
	case errors.Is(err, store.ErrExists):
		return problem{kind: rowExists}
	case errors.Is(err, store.ErrVersion):
		return problem{kind: wrongVersion}
	case errors.Is(err, store.ErrOnceReused):
		return problem{kind: keyReused}
	}
	return problem{}
}
