package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// newHTTP closes its connections at the end of the test.
func newHTTP(t *testing.T, cfg HTTPConfig) *HTTP {
	t.Helper()
	h, err := NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// both runs a test over our own connections and over net/http's, which TLS needs.
func both(t *testing.T, handler http.Handler, test func(t *testing.T, url string, adapt func(*HTTP) load.Target)) {
	t.Run("wire", func(t *testing.T) {
		s := httptest.NewServer(handler)
		defer s.Close()
		test(t, s.URL, func(h *HTTP) load.Target {
			if h.wires == nil {
				t.Error("not over wires")
			}
			return h
		})
	})
	t.Run("loop", func(t *testing.T) {
		s := httptest.NewServer(handler)
		defer s.Close()
		test(t, s.URL, looped)
	})
	t.Run("tls", func(t *testing.T) {
		s := httptest.NewTLSServer(handler)
		defer s.Close()
		test(t, s.URL, func(h *HTTP) load.Target {
			h.transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
			return h
		})
	})
}

func TestRequestsAreSentAsAsked(t *testing.T) {
	asked := make(chan *http.Request, 1)
	both(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }), func(t *testing.T, url string, adapt func(*HTTP) load.Target) {
		h := newHTTP(t, HTTPConfig{
			URL: url + "/users/{key}?also={key}", Headers: []string{"Authorization: Bearer x:y", "X-Two:1", "x-two: 2", "host: shop.test"}, Classes: true,
		})
		c := adapt(h).Caller()
		req := &load.Request{Keys: []string{"a7"}, Class: fulcrum.ClassUrgent}
		if err := c.Call(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		r := <-asked
		got := fmt.Sprint(r.Method, r.URL, r.Host, r.Header["Authorization"], r.Header["X-Two"], r.Header["Fulcrum-Class"], r.Header["User-Agent"])
		if want := "GET/users/a7?also=a7shop.test[Bearer x:y] [1 2] [urgent] [fulcrum-bench]"; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		if req.FirstByte <= 0 {
			t.Errorf("first byte after %s", req.FirstByte)
		}
	})
}

func TestStatuses(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Path[1:])
		if code == http.StatusFound {
			http.Redirect(w, r, "/500", code)
			return
		}
		w.WriteHeader(code)
		if code == http.StatusOK {
			_, _ = w.Write(make([]byte, 1<<20)) // more than a buffer
		}
	})
	both(t, handler, func(t *testing.T, url string, adapt func(*HTTP) load.Target) {
		h := newHTTP(t, HTTPConfig{URL: url + "/{key}", Connections: 1})
		c := adapt(h).Caller()
		for code, want := range map[string]string{
			"200": "<nil>", "204": "<nil>", "302": "<nil>", "304": "<nil>", "400": "status 400 Bad Request", "404": "status 404 Not Found",
			"429": "status 429 Too Many Requests", "503": "status 503 Service Unavailable",
		} {
			for range 2 { // the second one on the same connection
				if got := fmt.Sprint(c.Call(t.Context(), &load.Request{Keys: []string{code}})); got != want {
					t.Errorf("%s: %q, want %q", code, got, want)
				}
			}
		}
	})
}

// A connection that the server closed while nobody used it is no failure of the
// server: the next request takes another.
func TestAStaleConnectionIsReplaced(t *testing.T) {
	closed := make(chan struct{})
	url := server(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") // and keeps it, so it says, but hangs up
			c.Close()
			closed <- struct{}{}
		}
	})
	h := newHTTP(t, HTTPConfig{URL: url, Connections: 1})
	for _, way := range []load.Target{h, looped(h)} {
		c := way.Caller()
		for i := range 5 {
			if err := c.Call(t.Context(), &load.Request{Keys: []string{"1"}}); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			<-closed
		}
	}
}

// A server that takes a request and hangs up has failed. Clients for everyday use
// ask again.
func TestNothingIsAskedTwice(t *testing.T) {
	var asked atomic.Int32
	both(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler)
		}
	}), func(t *testing.T, url string, adapt func(*HTTP) load.Target) {
		h := newHTTP(t, HTTPConfig{URL: url, Connections: 1})
		c := adapt(h).Caller()
		asked.Store(0)
		failed := 0
		for range 3 {
			if err := c.Call(t.Context(), &load.Request{Keys: []string{"1"}}); err != nil {
				contains(t, err, "the server closed the connection")
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("asked %d times for 3 answers", asked.Load())
		}
	})
}

// What a server does wrong is an error, told in words that are the same each time.
func TestBrokenAnswers(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"hangs up", "", "the server closed the connection"},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "the answer broke off: unexpected EOF"},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf", "the answer broke off: unexpected EOF"},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-Le", "not an answer: malformed MIME header"},
		{"another protocol", "+OK POP3 ready\r\n\r\n", "not an answer: malformed"},
		{"interim, then good", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "<nil>"},
		{"until it closes", "HTTP/1.0 200 OK\r\n\r\nall of it", "<nil>"},
		{"says goodbye", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "<nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := server(t, func(conn net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, c.answer)
			})
			h := newHTTP(t, HTTPConfig{URL: url, Connections: 1})
			for range 2 {
				contains(t, ask(t.Context(), h, "1"), c.want)
			}
			// Once, as "interim, then good" may be asked again before its end has come.
			contains(t, ask(t.Context(), looped(h), "1"), c.want)
		})
	}
}

// Requests beyond the connections wait for one, and leave with their context.
func TestConnectionsAreBounded(t *testing.T) {
	arrived, release := make(chan struct{}, 3), make(chan struct{})
	var conns atomic.Int32
	url := server(t, func(c net.Conn) {
		conns.Add(1)
		in := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			arrived <- struct{}{}
			<-release
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	h := newHTTP(t, HTTPConfig{URL: url, Connections: 2})
	answers := make(chan error, 3)
	for range 3 {
		go func() { answers <- ask(t.Context(), h, "1") }()
	}
	<-arrived
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(ctx, h, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("without a connection: %v", err)
	}
	close(release)
	for range 3 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	_ = h.Close()
}

// The end of the context ends a call, and its connection with it.
func TestCallsEndWithTheirContext(t *testing.T) {
	arrived := make(chan struct{}, 2)
	url := server(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, c) // until the other side hangs up
	})
	h := newHTTP(t, HTTPConfig{URL: url, Connections: 1})
	for _, way := range []load.Target{h, h, looped(h), looped(h)} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		contains(t, ask(ctx, way, "1"), "timeout")
	}
}

func TestNobodyListens(t *testing.T) {
	h := newHTTP(t, HTTPConfig{URL: "http://127.0.0.1:1/"})
	contains(t, h.Probe(t.Context(), load.Keys{}), "connection refused")
}

func TestHTTPConfigRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  HTTPConfig
		want string
	}{
		{HTTPConfig{}, `"": want http://host/path`},
		{HTTPConfig{URL: "localhost:8080"}, "want http://host/path"},
		{HTTPConfig{URL: "ftp://x/"}, "want http://host/path"},
		{HTTPConfig{URL: "http://{key}.test/"}, "the key belongs into the path or the query"},
		{HTTPConfig{URL: "http://x/%zz"}, "invalid URL escape"},
		{HTTPConfig{URL: "http://x/", Headers: []string{"no colon"}}, `header "no colon": want Name: value`},
		{HTTPConfig{URL: "http://x/", Headers: []string{"A: b\nC: d"}}, "want Name: value"},
		{HTTPConfig{URL: "http://x/", Connections: -1}, "-1 connections are not between 1 and 100000"},
	} {
		_, err := NewHTTP(c.cfg)
		contains(t, err, c.want)
	}
}

// A server that drops a part of its requests never gives an unmarked number.
func TestADroppingServerIsMarked(t *testing.T) {
	for _, c := range []struct {
		name string
		drop func(http.ResponseWriter, *http.Request)
		want string
	}{
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "of the requests failed: "},
		{"never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "requests without answer reach into the p99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if seen.Add(1)%20 == 0 {
					c.drop(w, r)
				}
			}))
			defer s.Close()
			step, err := load.Run(t.Context(), load.Config{
				Target: newHTTP(t, HTTPConfig{URL: s.URL, Connections: 1000}), Rate: 200, Duration: time.Second, Drain: 200 * time.Millisecond, Seed: 1,
			})
			if err != nil || step.Failed+step.Censored < 5 || step.Due != step.Good+step.Failed+step.Censored {
				t.Errorf("%v: %d due = %d good + %d failed + %d censored", err, step.Due, step.Good, step.Failed, step.Censored)
			}
			if v := step.Verdict(); !strings.Contains(v, c.want) && !step.Late() { // or this machine is too busy to tell, which is marked too
				t.Errorf("%q, want %q", v, c.want)
			}
		})
	}
}
