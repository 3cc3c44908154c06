package ttfb

import (
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timing is what one request waited for. A time of 0 means that there was no such
// stage: a connection that is used again needs none but the first byte.
type Timing struct {
	Method, Host string
	Status       int // 0 if there was no answer
	Err          error
	Reused       bool          // the connection was there already
	DNS          time.Duration // looking the name up
	Connect      time.Duration // TCP, from the first attempt to the one that succeeded
	TLS          time.Duration // the handshake
	Server       time.Duration // from the request being written to the first byte
	FirstByte    time.Duration // from the call to the first byte; 0 if none came
	ServerTiming []string      // the answer's Server-Timing headers
}

// Transport is an http.RoundTripper which times what another one does. It may be used
// by many goroutines.
type Transport struct {
	// Base does the work. Nil: http.DefaultTransport.
	Base http.RoundTripper
	// Observe hears of each request when its header is there or it has failed, on the
	// goroutine of the caller. Nil: nothing is timed. Where an HTTP client follows
	// redirects, each is a request of its own.
	Observe func(Timing)
}

// RoundTrip implements http.RoundTripper. Its errors are those of Base.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if t.Observe == nil {
		return base.RoundTrip(r)
	}
	w := &watch{start: time.Now()}
	w.timing = Timing{Method: r.Method, Host: r.URL.Host}
	answer, err := base.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), w.trace())))
	t.Observe(w.end(answer, err))
	return answer, err
}

// watch is the clock of one request. Transports dial several addresses at once and go
// on after a request has ended, hence the lock.
type watch struct {
	start time.Time

	mu                           sync.Mutex // guards what follows
	dns, connect, handshake, out time.Time
	timing                       Timing
	ended                        bool
}

// at runs f with the time, unless the request has ended.
func (w *watch) at(f func(now time.Time)) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		f(now)
	}
}

func since(now, begin time.Time) time.Duration {
	if begin.IsZero() {
		return 0
	}
	return now.Sub(begin)
}

func (w *watch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { w.at(func(now time.Time) { w.dns = now }) },
		DNSDone:  func(httptrace.DNSDoneInfo) { w.at(func(now time.Time) { w.timing.DNS = since(now, w.dns) }) },
		ConnectStart: func(string, string) {
			w.at(func(now time.Time) {
				if w.connect.IsZero() {
					w.connect = now
				}
			})
		},
		ConnectDone: func(_, _ string, err error) {
			w.at(func(now time.Time) {
				if err == nil && w.timing.Connect == 0 {
					w.timing.Connect = since(now, w.connect)
				}
			})
		},
		TLSHandshakeStart: func() { w.at(func(now time.Time) { w.handshake = now }) },
		TLSHandshakeDone: func(tls.ConnectionState, error) {
			w.at(func(now time.Time) { w.timing.TLS = since(now, w.handshake) })
		},
		GotConn:      func(i httptrace.GotConnInfo) { w.at(func(time.Time) { w.got(i.Reused) }) },
		WroteRequest: func(httptrace.WroteRequestInfo) { w.at(func(now time.Time) { w.out = now }) },
		GotFirstResponseByte: func() {
			w.at(func(now time.Time) {
				w.timing.Server, w.timing.FirstByte = since(now, w.out), now.Sub(w.start)
			})
		},
	}
}

// got forgets the stages of a connection that this request began and another one uses:
// it goes on over one that has become free meanwhile.
func (w *watch) got(reused bool) {
	if w.timing.Reused = reused; reused {
		w.timing.DNS, w.timing.Connect, w.timing.TLS = 0, 0, 0
	}
}

func (w *watch) end(answer *http.Response, err error) Timing {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timing.Err = err
	if answer != nil {
		w.timing.Status = answer.StatusCode
		w.timing.ServerTiming = answer.Header.Values("Server-Timing")
	}
	return w.timing
}
