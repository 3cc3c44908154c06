package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// HTTPConfig says which service to ask, and how.
type HTTPConfig struct {
	// URL to get; {key} in it stands for the request's key. Required.
	URL string
	// Connections is the most connections to the service. A request that finds none
	// free waits, which is part of its service time. Default 64, at most 100,000.
	Connections int
	// Headers are sent with each request: "Name: value". Default none.
	Headers []string
	// Classes makes the class of each request its Fulcrum-Class header. Default
	// false.
	Classes bool
}

const (
	keyMark            = "{key}"
	defaultConnections = 64
	maxConnections     = 100_000
)

// HTTP is an HTTP service. An answer is good if its status is below 400 and its
// body arrived whole; redirects are answers, and not followed.
type HTTP struct {
	cfg       HTTPConfig
	header    http.Header
	host      string
	fixed     *url.URL // where there is no key in it
	wires     *wires   // of http:// without a proxy
	transport *http.Transport

	kept atomic.Pointer[loop] // its connections, while nobody uses it
}

var _ load.Target = (*HTTP)(nil)

// NewHTTP checks a configuration. It asks nothing yet.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	if cfg.Connections == 0 {
		cfg.Connections = defaultConnections
	}
	if cfg.Connections < 1 || cfg.Connections > maxConnections {
		return nil, fmt.Errorf("%d connections are not between 1 and %d", cfg.Connections, maxConnections)
	}
	u, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	h := &HTTP{cfg: cfg, header: http.Header{"User-Agent": {"fulcrum-bench"}}}
	if !strings.Contains(cfg.URL, keyMark) {
		h.fixed = u
	}
	for _, line := range cfg.Headers {
		if err := h.addHeader(line); err != nil {
			return nil, err
		}
	}
	return h, h.connect(u)
}

// connect chooses how to reach the service.
func (h *HTTP) connect(u *url.URL) error {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return err
	}
	if u.Scheme == "http" && proxy == nil {
		port := u.Port()
		if port == "" {
			port = "80"
		}
		h.wires = newWires(net.JoinHostPort(u.Hostname(), port), h.cfg.Connections)
		return nil
	}
	h.transport = &http.Transport{
		Proxy:               http.ProxyURL(proxy),
		MaxConnsPerHost:     h.cfg.Connections,
		MaxIdleConnsPerHost: h.cfg.Connections,
		MaxIdleConns:        h.cfg.Connections,
		DisableCompression:  true, // bodies are counted, not read
		ForceAttemptHTTP2:   true,
	}
	return nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.ReplaceAll(text, keyMark, "1"))
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%q: want http://host/path or https://host/path", text)
	case strings.Contains(strings.SplitN(text, "/", 4)[2], keyMark):
		return nil, fmt.Errorf("%q: the key belongs into the path or the query, not the host", text)
	}
	return u, nil
}

func (h *HTTP) addHeader(line string) error {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n\x00") {
		return fmt.Errorf("header %q: want Name: value", line)
	}
	if textproto.CanonicalMIMEHeaderKey(name) == "Host" {
		h.host = value
		return nil
	}
	h.header.Add(name, value)
	return nil
}

// Probe asks once, so that what is wrong with a URL shows before the load.
func (h *HTTP) Probe(ctx context.Context, keys load.Keys) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return h.Caller().Call(ctx, load.Probe(keys))
}

const probeTime = 10 * time.Second

// Close closes the connections that nobody uses.
func (h *HTTP) Close() error {
	if h.wires != nil {
		h.dropLoop()
		return h.wires.close()
	}
	h.transport.CloseIdleConnections()
	return nil
}

// Caller makes a caller; all share the connections.
func (h *HTTP) Caller() load.Caller {
	if h.wires != nil {
		h.dropLoop()
		return &wireCaller{letter{HTTP: h}}
	}
	return &transportCaller{HTTP: h}
}

// answer is what came back.
type answer struct {
	status string
	code   int
	first  time.Time // when its first byte came
	body   error     // why its body did not arrive whole
}

// judge says what is wrong with an answer.
func (a answer) judge() error {
	switch {
	case a.body != nil:
		return fmt.Errorf("the answer broke off: %w", plain(a.body))
	case a.code >= http.StatusBadRequest:
		return errors.New("status " + a.status)
	}
	return nil
}

func readAll(res *http.Response) error {
	_, err := io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

// request is what is sent for r.
func (h *HTTP) request(r *load.Request) (*http.Request, error) {
	u := h.fixed
	if u == nil {
		var err error
		if u, err = url.Parse(strings.ReplaceAll(h.cfg.URL, keyMark, r.Keys[0])); err != nil {
			return nil, err
		}
	}
	req := &http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host, Header: h.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if h.host != "" {
		req.Host = h.host
	}
	if h.cfg.Classes {
		req.Header = h.header.Clone()
		req.Header.Set("Fulcrum-Class", r.Class.String())
	}
	return req, nil
}

// wireCaller writes and reads by itself.
type wireCaller struct {
	letter
}

// Call gets the URL and reads the body.
func (c *wireCaller) Call(ctx context.Context, r *load.Request) error {
	out, err := c.write(r)
	if err != nil {
		return err
	}
	begin := time.Now()
	a, err := c.wires.exchange(ctx, out)
	if err != nil {
		return err
	}
	r.FirstByte = a.first.Sub(begin)
	return a.judge()
}

// transportCaller leaves TLS, HTTP/2 and proxies to net/http.
type transportCaller struct {
	*HTTP
	run    context.Context // the last one
	traced context.Context // run, with the trace
	first  atomic.Int64    // ns of the clock
	sent   atomic.Int32    // how often net/http has sent the request
}

// Call gets the URL and reads the body.
func (c *transportCaller) Call(ctx context.Context, r *load.Request) error {
	req, err := c.request(r)
	if err != nil {
		return err
	}
	if c.run != ctx {
		c.run = ctx
		c.traced = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotFirstResponseByte: func() { c.first.Store(time.Now().UnixNano()) },
			WroteRequest: func(i httptrace.WroteRequestInfo) {
				if i.Err == nil {
					c.sent.Add(1)
				}
			},
		})
	}
	c.sent.Store(0)
	begin := time.Now()
	res, err := c.transport.RoundTrip(req.WithContext(c.traced))
	if err != nil {
		return plain(err)
	}
	a := answer{status: res.Status, code: res.StatusCode, body: readAll(res)}
	if c.sent.Load() > 1 { // net/http asks again, which would hide that the server hung up
		return errHungUp
	}
	r.FirstByte = time.Duration(c.first.Load() - begin.UnixNano())
	return a.judge()
}

// plain strips what differs from request to request, such as a local port, so that
// equal errors have equal texts.
func plain(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
