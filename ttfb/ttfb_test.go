package ttfb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"
)

// kept keeps timings in order.
type kept struct {
	mu  sync.Mutex
	all []Timing
}

func (k *kept) observe(t Timing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, t)
}

// fetch reads an answer to its end, so that its connection can be used again.
func fetch(t *testing.T, c *http.Client, ctx context.Context, url string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
}

// pause is what the servers below think about an answer: a lower bound, never an upper.
const pause = 20 * time.Millisecond

func slow(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(pause)
	w.Header().Add("Server-Timing", "queue;dur=1")
	w.WriteHeader(http.StatusAccepted)
}

func TestStages(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(slow))
	defer s.Close()
	var k kept
	c := &http.Client{Transport: &Transport{Base: s.Client().Transport, Observe: k.observe}}
	own := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotFirstResponseByte: func() { own++ }})
	fetch(t, c, ctx, s.URL)
	fetch(t, c, ctx, s.URL)
	if own != 2 {
		t.Errorf("the caller's own trace heard of %d answers", own)
	}
	first, second := k.all[0], k.all[1]
	if first.Reused || first.Connect <= 0 || first.TLS <= 0 || first.DNS != 0 || first.FirstByte < first.Connect+first.TLS+first.Server {
		t.Errorf("a new connection: %+v", first)
	}
	if !second.Reused || second.Connect != 0 || second.TLS != 0 {
		t.Errorf("the same connection: %+v", second)
	}
	for _, x := range k.all {
		if x.Server < pause || x.Status != http.StatusAccepted || x.Err != nil || x.Method != "GET" || x.Host != s.Listener.Addr().String() ||
			len(x.ServerTiming) != 1 || x.ServerTiming[0] != "queue;dur=1" {
			t.Errorf("%+v", x)
		}
	}
}

// A name that must be looked up has a time for that.
func TestName(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(slow))
	defer s.Close()
	var k kept
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, &http.Client{Transport: &Transport{Base: base, Observe: k.observe}}, t.Context(), "http://localhost:"+port)
	if k.all[0].DNS <= 0 || k.all[0].TLS != 0 {
		t.Errorf("%+v", k.all[0])
	}
}

func TestFailure(t *testing.T) {
	refused := errors.New("refused")
	var k kept
	c := &http.Client{Transport: &Transport{Base: failing{refused}, Observe: k.observe}}
	res, err := c.Get("http://example.test/")
	if err == nil {
		res.Body.Close()
	}
	if !errors.Is(err, refused) || len(k.all) != 1 || !errors.Is(k.all[0].Err, refused) || k.all[0].FirstByte != 0 || k.all[0].Status != 0 {
		t.Errorf("%v %+v", err, k.all)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// Without an observer nothing happens but the request.
func TestNobodyObserves(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(slow))
	defer s.Close()
	fetch(t, &http.Client{Transport: &Transport{}}, t.Context(), s.URL)
}

// What a transport does after a request has ended changes nothing.
func TestLateEvents(t *testing.T) {
	w := &watch{start: time.Now()}
	trace := w.trace()
	timing := w.end(nil, context.Canceled)
	trace.GotFirstResponseByte()
	trace.ConnectDone("tcp", "", nil)
	if w.timing.FirstByte != 0 || timing.Err == nil {
		t.Errorf("%+v", w.timing)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(slow))
	defer s.Close()
	var k kept
	c := &http.Client{Transport: &Transport{Base: s.Client().Transport, Observe: k.observe}}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { fetch(t, c, t.Context(), s.URL) })
	}
	all.Wait()
	for _, x := range k.all {
		if x.FirstByte < pause {
			t.Errorf("%+v", x)
		}
	}
	if len(k.all) != 16 {
		t.Errorf("%d timings", len(k.all))
	}
}
