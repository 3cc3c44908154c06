package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dashboard"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pingTime is how long the database may take to prove that it is there.
const pingTime = time.Second

// Admin is the handler of the admin listener.
func (g *Gateway) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(g.registry(), promhttp.HandlerOpts{}))
	mux.Handle("/healthz", g.adminPage(func(x *exchange) { x.plain("ok\n") }))
	mux.Handle("/readyz", g.adminPage(ready))
	mux.Handle("/api/v1/stats", g.adminPage(func(x *exchange) { x.json(x.g.stats()) }))
	mux.Handle("/api/v1/stats/stream", g.statsStream())
	mux.Handle("/api/v1/events", g.eventPage())
	mux.Handle("/api/v1/mode", g.modePage())
	mux.Handle("/api/v1/usage", g.adminPage(usageReport))
	mux.Handle("/api/v1/usage/stream", g.usageStream())
	mux.Handle(deadLetterPath, g.deadLetterPage())
	mux.Handle(deadLetterPath+"/", g.deadLetterPage())
	mux.Handle("/api/v1/experience", g.adminPage(experiencePage))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/", dashboard.Handler(g.admins(func(x *exchange) {
		x.fail(unknownPath.because("there are / (the dashboard), /metrics, /healthz, /readyz, /api/v1/stats, /api/v1/stats/stream, /api/v1/events, /api/v1/mode, /api/v1/usage, /api/v1/deadletters, /api/v1/experience and /debug/pprof/"))
	})))
	return mux
}

// admins is handle without counting: the answers of the data listener are counted.
func (g *Gateway) admins(f func(*exchange)) http.Handler {
	return g.handle(func(x *exchange) {
		x.uncounted = true
		f(x)
	})
}

// adminPage is a page that is read.
func (g *Gateway) adminPage(f func(*exchange)) http.Handler {
	return g.admins(func(x *exchange) {
		if x.allow(http.MethodGet, http.MethodHead) {
			x.w.Header()["Cache-Control"] = noStore
			f(x)
		}
	})
}

func (x *exchange) plain(text string) { x.send(http.StatusOK, textType, append(x.buf, text...)) }

// ready says whether requests should be sent here.
func ready(x *exchange) {
	if x.g.draining.Load() {
		x.fail(problem{kind: draining})
		return
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), pingTime)
	defer cancel()
	err := x.g.cfg.DB.Ping(ctx)
	if errors.Is(err, context.DeadlineExceeded) && x.g.sinceRead() < pingTime {
		err = nil // too busy for a ping, because it answers requests
	}
	if err != nil && x.g.replicaServes() {
		x.plain("ready for reads: the primary does not answer\n")
		return
	}
	if err != nil {
		x.g.quiet.log(x.g.cfg.Log, "the database does not answer", "error", err)
		x.fail(unavailable.because("the database does not answer: %v", err))
		return
	}
	x.plain("ready\n")
}

// sinceRead is how long ago the database answered a batch.
func (g *Gateway) sinceRead() time.Duration {
	return time.Since(g.started) - time.Duration(g.read.Load())
}

// registry gathers the gateway's own metrics and those of the process.
func (g *Gateway) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{g: g},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
