//go:build linux

package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// inLoop is a service that is asked by a loop for each request, as by a caller.
type inLoop struct{ *HTTP }

// looped has a loop ask.
func looped(h *HTTP) load.Target { return inLoop{h} }

func (h inLoop) Caller() load.Caller { return load.CallerFunc(h.call) }

func (h inLoop) call(ctx context.Context, r *load.Request) (err error) {
	answered := false
	loop := h.Loop(ctx, func(a load.Answer) { r.FirstByte, err, answered = a.FirstByte, a.Err, true })
	if loop == nil {
		return errors.New("no loop")
	}
	defer loop.Close()
	loop.Wait(0) // as the pace does before it sends
	loop.Send(7, r)
	for !answered && ctx.Err() == nil {
		loop.Wait(mostPoll)
	}
	if !answered {
		return errors.New("timeout")
	}
	return err
}

const mostPoll = 5 * time.Millisecond

// sends answers each connection's first request with text, piece by piece.
func sends(t *testing.T, pieces ...string) (url string) {
	return server(t, func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		for _, p := range pieces {
			_, _ = io.WriteString(conn, p)
			time.Sleep(time.Millisecond) // that they arrive apart is likely, and not needed
		}
	})
}

func TestAnswersInPieces(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		h := newHTTP(t, HTTPConfig{URL: sends(t, strings.Split(answer, "")...)})
		if err := ask(t.Context(), inLoop{h}, "1"); err != nil {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// Beyond the connections requests wait, in order, and all are told once.
func TestALoopBoundsItsConnections(t *testing.T) {
	var conns, now, most atomic.Int32
	url := server(t, func(c net.Conn) {
		conns.Add(1)
		in := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			now.Add(-1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	h := newHTTP(t, HTTPConfig{URL: url + "/{key}", Connections: 2})
	told := map[int]int{}
	l := h.Loop(t.Context(), func(a load.Answer) {
		told[a.ID]++
		if a.Err != nil {
			t.Error(a.Err)
		}
	})
	for id := range 20 {
		l.Send(id, &load.Request{Keys: []string{fmt.Sprint(id)}})
	}
	for deadline := time.Now().Add(time.Minute); len(told) < 20 && time.Now().Before(deadline); {
		l.Wait(mostPoll)
	}
	l.Close()
	for id := range 20 {
		if told[id] != 1 {
			t.Errorf("request %d was told %d times", id, told[id])
		}
	}
	if most.Load() > 2 || conns.Load() > 3 { // one of them asked where the service is
		t.Errorf("%d connections, %d at once", conns.Load(), most.Load())
	}
}

// A server that stops to listen fails those that find no connection.
func TestALoopWhoseServerIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newHTTP(t, HTTPConfig{URL: "http://" + l.Addr().String()})
	var got error
	loop := h.Loop(t.Context(), func(a load.Answer) { got = a.Err })
	l.Close()
	loop.Send(0, &load.Request{Keys: []string{"1"}})
	for deadline := time.Now().Add(time.Minute); got == nil && time.Now().Before(deadline); {
		loop.Wait(mostPoll)
	}
	loop.Close()
	contains(t, got, "connection refused")
	if h.dropLoop(); h.Loop(t.Context(), func(load.Answer) {}) != nil {
		t.Error("a loop to nobody")
	}
}

// Requests that do not fit into a socket at once go on as there is room.
func TestALoopSendsLongRequests(t *testing.T) {
	const long = 8 << 20
	url := server(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		time.Sleep(10 * time.Millisecond) // the socket fills up meanwhile, or not: either is fine
		if r, err := http.ReadRequest(in); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", map[bool]int{true: 200, false: 400}[len(r.URL.Path) == long+1])
		}
	})
	h := newHTTP(t, HTTPConfig{URL: url + "/{key}"})
	if err := ask(t.Context(), inLoop{h}, strings.Repeat("k", long)); err != nil {
		t.Error(err)
	}
}

// The same steps over callers and in a loop.
type callersOnly struct{ load.Target }

func TestStepsOverCallersAndInALoop(t *testing.T) {
	url := server(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for n := 1; ; n++ {
			r, err := http.ReadRequest(in)
			switch {
			case err != nil || n%7 == 0: // hangs up
				return
			case r.URL.Path == "/3":
				_, _ = io.WriteString(c, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
			case r.URL.Path == "/4": // says nothing more
				_, _ = io.Copy(io.Discard, c)
			default:
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
			}
		}
	})
	h := newHTTP(t, HTTPConfig{URL: url + "/{key}", Connections: 1000})
	for name, target := range map[string]load.Target{"callers": callersOnly{h}, "loop": h} {
		s, err := load.Run(t.Context(), load.Config{
			Target: target, Keys: mustKeys(t, "uniform:9"), Rate: 500, Duration: time.Second, Drain: 100 * time.Millisecond, Seed: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.Due != s.Good+s.Failed+s.Censored || s.Good == 0 || s.Censored == 0 || s.Lag.Count() != s.Due || s.FirstByte.Count() != s.Good {
			t.Errorf("%s: %d due = %d good + %d failed + %d censored, %d lags, %d first bytes", name, s.Due, s.Good, s.Failed, s.Censored, s.Lag.Count(), s.FirstByte.Count())
		}
		if got := fmt.Sprint(s.Errors); !strings.Contains(got, "status 500 Oh") || !strings.Contains(got, "the server closed the connection") {
			t.Errorf("%s: %s", name, got)
		}
	}
}
