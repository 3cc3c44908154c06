// Package ttfb tells a client what its HTTP requests waited for: the name, the
// connection, TLS, and the first byte.
//
//	client := &http.Client{Transport: &ttfb.Transport{Observe: func(t ttfb.Timing) {
//		histogram.Record(t.FirstByte)
//	}}}
//
// It is a wrapper around any http.RoundTripper which uses net/http/httptrace; traces
// that a request has already go on working. With Fulcrum's gateway at the other end,
// ServerTiming says in which lane and batch the time went that the network did not take.
package ttfb
