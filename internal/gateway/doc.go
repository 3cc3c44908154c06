// Package gateway answers HTTP requests for rows from a database, through one
// [fulcrum.Reader] for each resource.
//
// There are two listeners. The data listener (read.go, batchget.go) speaks JSON:
//
//	GET  /v1/{resource}/{key…}         one row; a composite key takes a segment a part
//	POST /v1/{resource}:batchGet       {"keys":[1,"a",["acme",7]]}
//	GET  /problems/{code}              what an error's type says
//
// A key part that holds a slash is written %2F. Every answer carries Server-Timing,
// every error is problem+json with a stable code (problem.go has them all). Where
// tokens are configured, everything below /v1/ needs one (auth.go), and without it
// nobody learns which resources there are. The admin listener (admin.go) has
// /metrics, /healthz, /readyz, /api/v1/stats and /debug/pprof, without tokens: it is
// for this machine.
//
// Header, body, number of keys and time of a request are bounded by the Config; a
// body that nobody wants, or that trickles in, is not waited for.
//
// A request's way: [Gateway.data] checks the path, exchange.row or
// exchange.batchGet reads headers and keys, the Reader answers, and exchange.send
// writes. All state of a request is in its exchange, which is pooled.
package gateway
