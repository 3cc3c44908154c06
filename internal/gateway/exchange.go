package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/watch"
)

// exchange is one request and its answer, with all that they need on the way.
type exchange struct {
	g         *Gateway
	live      *live // since it began
	w         http.ResponseWriter
	r         *http.Request
	who       *principal // nil where everybody may ask
	res       *resource
	reader    *reader // of the resource in the request's region
	class     fulcrum.Class
	fresh     [2]fulcrum.Option // how fresh a row must be: by its age, and behind which writes; zero: as it comes
	timeout   time.Duration
	started   time.Time // when its keys were known
	trace     fulcrum.Trace
	status    int // 0 until the answer begins
	bodyRead  bool
	uncounted bool     // on the admin listener
	parts     []string // of its key
	buf       []byte   // its answer, if that must be put together
	timing    []byte   // its Server-Timing
	wait      lazy
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// keepBuffer is the largest buffer that is kept for the next request, in bytes.
const keepBuffer = 64 << 10

// Header values that never change. They are shared by all answers.
var (
	rowType     = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	textType    = []string{"text/plain; charset=utf-8"}
	noSniff     = []string{"nosniff"}
	noStore     = []string{"no-store"}
)

// options has the option of each class.
var options = [...]fulcrum.Option{
	fulcrum.ClassNormal: fulcrum.Normal,
	fulcrum.ClassUrgent: fulcrum.Urgent,
	fulcrum.ClassBulk:   fulcrum.Bulk,
}

// lazy is a request's context with a deadline, which is watched once somebody waits
// for it: a request that goes alone needs none. It is for one goroutine.
type lazy struct {
	context.Context // the request's own
	deadline        time.Time
	watch           *watch.Watch
	call            *watch.Call // nil until somebody waits
	spare           *watch.Call // of an earlier request
}

func (l *lazy) Deadline() (time.Time, bool) { return l.deadline, true }

func (l *lazy) Done() <-chan struct{} {
	if l.call == nil {
		l.call = l.watch.Reuse(l.spare, l.Context, l.deadline)
	}
	return l.call.Done()
}

func (l *lazy) Err() error {
	if l.call == nil {
		return l.Context.Err()
	}
	return l.call.Err()
}

// end ends the watching.
func (l *lazy) end() {
	if l.call != nil {
		l.watch.Finish(l.call)
		l.spare = l.call
	}
}

// handle makes a handler of a function on an exchange. A panic there becomes a 500
// and a line in the log.
func (g *Gateway) handle(f func(*exchange)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchanges.Get().(*exchange)
		*x = exchange{g: g, live: g.live.Load(), w: w, r: r, parts: x.parts[:0], buf: x.buf[:0], timing: x.timing[:0], wait: lazy{spare: x.wait.spare}}
		var begin time.Time
		if g.debug || g.tap != nil {
			begin = time.Now()
		}
		defer func() {
			if p := recover(); p != nil {
				x.panicked(p)
			}
		}()
		f(x)
		if g.tap != nil && !x.uncounted {
			g.tap.note(x, begin)
		}
		if g.debug {
			x.log(begin)
		}
		x.release()
	})
}

// log tells of a request, for those who look for one.
func (x *exchange) log(begin time.Time) {
	if x.uncounted {
		return
	}
	token := ""
	if x.who != nil {
		token = x.who.name
	}
	x.g.cfg.Log.Debug("request", "method", x.r.Method, "path", x.r.URL.EscapedPath(), "status", x.status,
		"seconds", time.Since(begin).Seconds(), "token", token)
}

func (x *exchange) release() {
	if cap(x.buf) > keepBuffer {
		x.buf = nil
	}
	clear(x.parts[:cap(x.parts)])
	*x = exchange{parts: x.parts, buf: x.buf, timing: x.timing, wait: lazy{spare: x.wait.spare}}
	exchanges.Put(x)
}

// panicked answers with a 500, unless an answer has begun already.
func (x *exchange) panicked(p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	x.g.cfg.Log.Error("panic in a handler", "method", x.r.Method, "path", x.r.URL.EscapedPath(), "panic", p, "stack", string(debug.Stack()))
	if x.status != 0 {
		panic(http.ErrAbortHandler) // the connection must not look as if all was said
	}
	x.fail(problem{kind: internal})
}

// allow refuses all methods but these.
func (x *exchange) allow(methods ...string) bool {
	for _, m := range methods {
		if x.r.Method == m {
			return true
		}
	}
	allowed := strings.Join(methods, ", ")
	x.w.Header().Set("Allow", allowed)
	x.fail(wrongMethod.because("%s is not allowed here, only %s", shorten(x.r.Method), allowed))
	return false
}

// readHeaders takes class and deadline from the headers.
func (x *exchange) readHeaders() bool {
	class, err := classOf(x.r.Header["Fulcrum-Class"])
	if err != nil {
		x.fail(problem{kind: unknownClass, detail: err.Error()})
		return false
	}
	timeout, err := timeoutOf(x.r.Header["Fulcrum-Timeout-Ms"], x.g.cfg.Timeout)
	if err != nil {
		x.fail(problem{kind: badHeader, detail: err.Error()})
		return false
	}
	x.class, x.timeout = class, timeout
	x.fresh[0] = freshnessOf(x.r.Header)
	if tokens := x.tokens(); len(tokens) > 0 {
		x.fresh[1] = behind(tokens)
	}
	return true
}

// begin makes the request's context, with its deadline and its scope, for one
// goroutine. Time begins to count.
func (x *exchange) begin() *lazy {
	x.started = time.Now()
	if x.timeout > x.g.cfg.Timeout { // or the connection would close before the answer
		c, end := http.NewResponseController(x.w), x.started.Add(x.timeout+slowest)
		_, _ = c.SetReadDeadline(end), c.SetWriteDeadline(end)
	}
	ctx := x.r.Context()
	if x.who != nil && x.who.scope != "" {
		ctx = fulcrum.WithScope(ctx, x.who.scope)
	}
	x.wait = lazy{Context: ctx, deadline: x.started.Add(x.timeout), watch: x.g.watch, spare: x.wait.spare}
	return &x.wait
}

// send writes an answer with its headers.
func (x *exchange) send(status int, contentType []string, body []byte) {
	h := x.w.Header()
	h["Content-Type"] = contentType
	if x.res != nil {
		h["Server-Timing"] = []string{x.serverTiming()}
	}
	x.sendBody(status, body)
}

// small is the length up to which net/http finds out a body's length by itself.
const small = 2048

// unwanted is how long the rest of a body may take to arrive that nobody looks at.
const unwanted = time.Second

func (x *exchange) sendBody(status int, body []byte) {
	h := x.w.Header()
	h["X-Content-Type-Options"] = noSniff
	if len(body) >= small {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.status = status
	if !x.uncounted {
		x.g.statuses[status].Add(1)
	}
	if x.r.ContentLength != 0 && !x.bodyRead { // net/http reads it before it sends the answer
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(unwanted))
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // a client that has left cannot be told
}

// fail answers with a problem.
func (x *exchange) fail(p problem) {
	h := x.w.Header()
	h["Cache-Control"] = noStore
	if p.kind == shed || p.kind == circuitOpen {
		h["Retry-After"] = []string{p.retrySeconds()}
	}
	x.buf = p.append(x.buf[:0], x.r.URL.EscapedPath())
	x.send(p.status, problemType, x.buf)
}

// report answers with the problem that an error is, and logs what only the people
// who run the gateway should know.
func (x *exchange) report(err error) problem {
	p := problemOf(err)
	if p.kind == internal || p.kind == unavailable {
		x.g.quiet.log(x.g.cfg.Log, "a query failed", "resource", x.res.name, "code", p.code, "error", err)
	}
	return p
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // a string always can be marshalled
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// shorten cuts what a client sent down to what an error repeats.
func shorten(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// quiet lets one line a second through, so that an outage does not fill the disk.
type quiet struct {
	last    atomic.Int64 // second of the last line
	dropped atomic.Int64
}

func (q *quiet) log(to interface{ Error(string, ...any) }, text string, args ...any) {
	now, last := time.Now().Unix(), q.last.Load()
	if now == last || !q.last.CompareAndSwap(last, now) {
		q.dropped.Add(1)
		return
	}
	if n := q.dropped.Swap(0); n > 0 {
		args = append(args, "more_like_it", n)
	}
	to.Error(text, args...)
}
