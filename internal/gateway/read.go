package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/store"
)

// Where the paths of rows and of explanations begin.
const (
	prefix   = "/v1/"
	problems = "/problems/"
)

// Data is the handler of the data listener. There is no mux in it: a mux tidies up
// paths, and a path that is tidied up may name another key.
func (g *Gateway) Data() http.Handler {
	rows, problem := g.handle((*exchange).serve), g.handle(explain)
	nothing, unclean := g.handle(refuseAs(unknownPath)), g.handle(refuseAs(badPath))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := rawPath(r.URL); {
		case !strings.HasPrefix(path, "/"): // OPTIONS * and CONNECT
			nothing.ServeHTTP(w, r)
		case !clean(path):
			unclean.ServeHTTP(w, r)
		case g.people != nil && (path == beacon.ScriptPath || path == beacon.BeaconPath):
			g.people.ServeHTTP(w, r)
		case strings.HasPrefix(path, prefix):
			rows.ServeHTTP(w, r)
		case strings.HasPrefix(path, problems):
			problem.ServeHTTP(w, r)
		default:
			nothing.ServeHTTP(w, r)
		}
	})
}

func refuseAs(k *kind) func(*exchange) { return func(x *exchange) { x.fail(problem{kind: k}) } }

// rawPath is the path as the client sent it, except where it has only one reading.
func rawPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.Path
}

// clean reports whether no segment but the last is empty, and none is a dot or two.
func clean(path string) bool {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return true
	}
	segments := strings.Split(path, "/")
	for i, s := range segments[1:] {
		if s == "." || s == ".." || s == "" && i+2 < len(segments) {
			return false
		}
	}
	return true
}

// serve answers what is below /v1/: a row, or what a verb after a colon asks for.
func (x *exchange) serve() {
	if !x.authenticate() {
		return
	}
	path := strings.TrimPrefix(rawPath(x.r.URL), prefix)
	name, key, hasKey := strings.Cut(path, "/")
	if hasKey {
		x.row(name, key)
		return
	}
	switch resource, verb, named := strings.Cut(name, ":"); {
	case verb == "batchGet":
		x.batchGet(resource)
	case verb == "batchPut":
		x.batchPut(resource)
	case named || name == "":
		x.fail(problem{kind: unknownPath})
	default:
		x.insert(name)
	}
}

// find looks up a resource that may be read or written, and reads the headers that
// steer its request.
func (x *exchange) find(name, operation string) bool {
	if plain, err := url.PathUnescape(name); err == nil && x.r.URL.RawPath != "" {
		name = plain
	}
	res := x.live.resources[name]
	if res == nil {
		x.fail(unknownResource.because("there is no resource %q", shorten(name)))
		return false
	}
	if !x.authorize(operation, name) {
		return false
	}
	x.res = res
	x.locate()
	return x.readHeaders()
}

// locate finds the region of a request, and says why if somebody wants to know.
func (x *exchange) locate() {
	t := x.live.table
	region := t.Default()
	switch {
	case len(x.r.Header["Fulcrum-Debug"]) > 0:
		info, why := x.live.explain(x.r.RemoteAddr, x.r.Header)
		region, _ = t.Find(x.r.RemoteAddr, x.r.Header)
		x.w.Header()["Fulcrum-Policy"] = []string{info.String() + "; " + why}
	case !t.Trivial():
		region, _ = t.Find(x.r.RemoteAddr, x.r.Header)
	}
	x.reader = x.res.readers[region.Index()]
}

// row answers what is asked of /v1/{resource}/{key…}.
func (x *exchange) row(name, path string) {
	switch x.r.Method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		x.change(name, path)
		return
	}
	if !x.allow(x.rowMethods(name)...) || !x.find(name, readGrant) {
		return
	}
	if x.res.isEvents(path) && x.r.Method == http.MethodGet {
		x.events(path)
		return
	}
	key, err := x.pathKey(path)
	if err != nil {
		x.fail(problemOf(err))
		return
	}
	ctx := x.begin()
	if p := x.awaitToken(ctx); p.kind != nil {
		ctx.end()
		x.fail(p)
		return
	}
	row, err := x.reader.Get(ctx, key, options[x.class], x.fresh[0], x.fresh[1], x.res.wait, fulcrum.Traced(&x.trace))
	ctx.end()
	x.tellAge()
	if err != nil {
		x.fail(x.report(err))
		return
	}
	if x.res.version != nil {
		x.etag(x.res.version(row))
	}
	x.send(http.StatusOK, rowType, row)
}

// awaitToken waits for the moments that Fulcrum-After names: what a journal holds up to
// there is committed then, and whoever reads sees it.
func (x *exchange) awaitToken(ctx context.Context) problem {
	if x.res.write == nil {
		return problem{}
	}
	for _, token := range x.tokens() {
		err := x.res.write.Await(ctx, fulcrum.Token(token))
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, fulcrum.ErrClosed):
			return x.report(cmp.Or(ctx.Err(), err))
		default:
			return badHeader.because("Fulcrum-After %q: want what Fulcrum-Token said", shorten(token))
		}
	}
	return problem{}
}

// pathKey makes a key of the segments of a path.
func (x *exchange) pathKey(path string) (store.Key, error) {
	escaped := x.r.URL.RawPath != ""
	for more := true; more; {
		var part string
		part, path, more = strings.Cut(path, "/")
		if escaped {
			var err error
			if part, err = url.PathUnescape(part); err != nil {
				return "", &store.KeyError{Value: part, Want: "percent-encoded text"}
			}
		}
		if !utf8.ValidString(part) {
			return "", &store.KeyError{Value: fmt.Sprintf("%+q", part), Want: "percent-encoded UTF-8"}
		}
		x.parts = append(x.parts, part)
	}
	return x.res.table.ParseKey(x.parts)
}
