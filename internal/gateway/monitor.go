package gateway

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/events"
)

// monitor keeps what happens: rates since the second before, and what has changed.
type monitor struct {
	changes   *events.Log[change] // of modes, circuit, shedding, slots and configuration
	decisions *events.Log[change] // of the tuner: it has many, and must not push those out
	ticks     *events.Log[[]byte] // the statistics of each second, as JSON
	counts    [counters]atomic.Uint64

	mu    sync.Mutex // guards what follows
	last  map[place]totals
	at    time.Time
	rates map[place]ratesJSON
}

const (
	keptChanges = 1000
	keptTicks   = 10
	tickEvery   = time.Second
	tickShare   = 50 // a tick may take one part in so many of the time: many regions have many Readers
)

// change is one event as it is told. Times are in seconds.
type change struct {
	Kind    string       `json:"kind"`
	From    string       `json:"from,omitempty"`
	To      string       `json:"to,omitempty"`
	Cause   string       `json:"cause"`
	Reason  string       `json:"reason"`
	Figures *figuresJSON `json:"figures,omitempty"`
}

// figuresJSON is what a change rests on.
type figuresJSON struct {
	Samples    int     `json:"samples"`
	Response   float64 `json:"response_p95_seconds"`
	Queue      float64 `json:"queue_p95_seconds"`
	Service    float64 `json:"service_p95_seconds"`
	Queued     int     `json:"queued"`
	Offered    float64 `json:"offered_rps"`
	Throughput float64 `json:"throughput_rps"`
	Calls      int     `json:"calls"`
	Failed     int     `json:"failed"`
	Overdue    int     `json:"overdue"`
}

// What happens seldom enough to be counted by hand.
const (
	countedReloads = iota
	countedRefusedReloads
	counters
)

func (m *monitor) init(start time.Time) {
	epoch := start.UTC().Format("20060102T150405")
	m.changes = events.New[change](keptChanges, epoch)
	m.decisions = events.New[change](keptChanges, epoch)
	m.ticks = events.New[[]byte](keptTicks, epoch)
	m.at, m.last, m.rates = start, map[place]totals{}, map[place]ratesJSON{}
}

func (m *monitor) close() {
	m.changes.Close()
	m.decisions.Close()
	m.ticks.Close()
}

// changed keeps a change, which streams it, and logs it.
func (g *Gateway) changed(c change) {
	g.monitor.changes.Append(time.Now(), c)
	g.cfg.Log.Info(c.Kind, "from", c.From, "to", c.To, "cause", c.Cause, "reason", c.Reason)
}

// onEvent hears of the backend's modes, circuit, shedding and slots.
func (g *Gateway) onEvent(e fulcrum.Event) {
	f := e.Figures
	g.changed(change{Kind: e.Kind, From: e.From, To: e.To, Cause: e.Cause, Reason: e.Reason, Figures: &figuresJSON{
		Samples: f.Samples, Response: f.Response.Seconds(), Queue: f.Queue.Seconds(), Service: f.Service.Seconds(), Queued: f.Queued,
		Offered: f.Offered, Throughput: f.Throughput, Calls: f.Calls, Failed: f.Failed, Overdue: f.Overdue,
	}})
}

// onDecision hears of the tuner.
func (g *Gateway) onDecision(d fulcrum.Decision) {
	g.monitor.decisions.Append(time.Now(), change{
		Kind: "tuner", From: kText(d.From), To: kText(d.InFlight), Cause: d.Name, Reason: d.Reason,
	})
}

// observe keeps the monitor going until the function that it returns is called.
func (g *Gateway) observe() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { g.backend.Watch(ctx, g.cfg.DB.Ping) })
	wg.Go(func() {
		next := time.NewTimer(tickEvery)
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-next.C:
				g.tick(now)
				took := time.Since(now)
				next.Reset(max(tickEvery-took, tickShare*took))
			}
		}
	})
	if g.tap != nil {
		wg.Go(func() { g.tap.run(ctx) })
	}
	if g.visits != nil {
		wg.Go(func() { g.visits.run(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// snapshot is what all Readers have done.
func (l *live) snapshot() map[place]fulcrum.Stats {
	all := make(map[place]fulcrum.Stats)
	l.each(func(at place, r *reader) { all[at] = r.Stats() })
	return all
}

// tick looks at all counters, once a second.
func (g *Gateway) tick(now time.Time) {
	l := g.live.Load()
	all := l.snapshot()
	g.monitor.mu.Lock()
	took := now.Sub(g.monitor.at).Seconds()
	last := g.monitor.last
	g.monitor.at, g.monitor.last, g.monitor.rates = now, make(map[place]totals, len(all)), make(map[place]ratesJSON, len(all))
	for at, s := range all {
		t := totalsOf(s)
		g.monitor.last[at] = t
		g.monitor.rates[at] = t.since(last[at], took)
	}
	g.monitor.mu.Unlock()
	if body, err := json.Marshal(g.statsOf(l, all)); err == nil {
		g.monitor.ticks.Append(now, body)
	}
}

// each goes through all Readers.
func (l *live) each(f func(at place, r *reader)) {
	for name, res := range l.resources {
		for _, r := range l.table.Regions() {
			f(place{name, r.Name}, res.readers[r.Index()])
		}
	}
}

// totals are the counters that rates are made of.
type totals struct{ admitted, answered, failed, refused, queries, keys uint64 }

func totalsOf(s fulcrum.Stats) totals {
	t := totals{admitted: s.Admitted, answered: s.Answered, failed: s.Failed + s.Cancelled, queries: s.Queries, keys: s.Keys}
	for _, c := range s.Classes {
		for _, n := range c.Refused {
			t.refused += n
		}
	}
	return t
}

// ratesJSON is what happened in a second, or what came nearest to one.
type ratesJSON struct {
	Window     float64 `json:"window_seconds"`
	Offered    float64 `json:"offered_rps"`    // taken on or refused
	Throughput float64 `json:"throughput_rps"` // answered, rightly or not
	Goodput    float64 `json:"goodput_rps"`    // answered rightly, within their deadline
	Refused    float64 `json:"refused_rps"`
	Queries    float64 `json:"queries_per_second"` // each is a transaction
	Rows       float64 `json:"rows_per_second"`    // keys that were asked for
}

func (t totals) since(before totals, seconds float64) ratesJSON {
	if seconds <= 0 {
		return ratesJSON{}
	}
	per := func(now, before uint64) float64 { return float64(now-min(now, before)) / seconds }
	good := per(t.answered, before.answered)
	refused := per(t.refused, before.refused)
	return ratesJSON{
		Window: seconds, Offered: per(t.admitted, before.admitted) + refused, Goodput: good,
		Throughput: good + per(t.failed, before.failed), Refused: refused,
		Queries: per(t.queries, before.queries), Rows: per(t.keys, before.keys),
	}
}

// plus adds the rates of another Reader.
func (r ratesJSON) plus(o ratesJSON) ratesJSON {
	return ratesJSON{
		Window: max(r.Window, o.Window), Offered: r.Offered + o.Offered, Throughput: r.Throughput + o.Throughput, Goodput: r.Goodput + o.Goodput,
		Refused: r.Refused + o.Refused, Queries: r.Queries + o.Queries, Rows: r.Rows + o.Rows,
	}
}

// rate is the last second of one Reader.
func (m *monitor) rate(at place) ratesJSON {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rates[at]
}
