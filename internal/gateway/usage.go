package gateway

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/events"
	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// tap takes note of every request of the data listener, for those who want to know how
// the gateway is used. Its memory is bounded.
type tap struct {
	mu      sync.Mutex // guards what follows
	noted   []noted
	dropped uint64

	analyzing sync.Mutex // guards what follows
	analyzer  *usage.Analyzer
	report    []byte // as JSON
	reported  time.Time

	lines *events.Log[[]byte] // requests as JSON lines, those of a drain in each
}

// noted is one request.
type noted struct {
	at           time.Time
	took         time.Duration
	status       int
	client, path string
}

const (
	drainEvery  = 100 * time.Millisecond
	mostNoted   = 1 << 16          // requests between two drains; more are counted only
	reportEvery = 10 * time.Second // a report simulates, which takes a while
	keptDrains  = 100
)

// What the live analysis keeps: some 40 MB at most.
var liveUsage = usage.Config{MaxKeys: 250_000, MaxHours: 1000, ExactReferences: 250_000, SampledKeys: 1 << 14}

func newTap(start time.Time) *tap {
	return &tap{analyzer: usage.New(liveUsage), lines: events.New[[]byte](keptDrains, start.UTC().Format("20060102T150405"))}
}

// note takes note of a request that was answered.
func (t *tap) note(x *exchange, begin time.Time) {
	n := noted{at: begin, took: time.Since(begin), status: x.status, path: x.r.URL.EscapedPath()}
	if x.who != nil {
		n.client = x.who.name
	} else if n.client, _, _ = net.SplitHostPort(x.r.RemoteAddr); n.client == "" {
		n.client = x.r.RemoteAddr
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.noted) == mostNoted {
		t.dropped++
		return
	}
	t.noted = append(t.noted, n)
}

// run drains until ctx ends.
func (t *tap) run(ctx context.Context) {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	var spare []noted
	for {
		select {
		case <-ctx.Done():
			t.drain(spare)
			return
		case <-tick.C:
			spare = t.drain(spare)
		}
	}
}

// drain hands over what was noted, and returns room for the next.
func (t *tap) drain(spare []noted) []noted {
	t.mu.Lock()
	all := t.noted
	t.noted = spare[:0]
	t.mu.Unlock()
	if len(all) == 0 {
		return all
	}
	t.analyzing.Lock()
	for i := range all {
		t.analyzer.Add(all[i].record())
	}
	t.analyzing.Unlock()
	var text []byte
	for i := range all {
		text = all[i].append(text)
	}
	t.lines.Append(time.Now(), text)
	clear(all)
	return all
}

func (n *noted) record() *usage.Record {
	return &usage.Record{Time: n.at.UnixNano(), Took: n.took, Status: n.status, Client: []byte(n.client), Path: []byte(n.path)}
}

// append writes a request as fulcrum analyze reads it.
func (n *noted) append(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = n.at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","path":`...)
	b = appendString(b, n.path)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(n.status), 10)
	b = append(b, `,"seconds":`...)
	b = strconv.AppendFloat(b, n.took.Seconds(), 'f', 9, 64)
	b = append(b, `,"client":`...)
	b = appendString(b, n.client)
	return append(b, "}\n"...)
}

// usageJSON is the answer of /api/v1/usage.
type usageJSON struct {
	*usage.Report
	Fragment string `json:"fragment"`         // the advice as a part of fulcrum.yaml
	Dropped  uint64 `json:"dropped_requests"` // that came too fast to be looked at
}

// usageReport answers /api/v1/usage: what fulcrum analyze says of a log, of the requests
// since the start.
func usageReport(x *exchange) {
	t := x.g.tap
	if t == nil {
		x.fail(unknownPath.because("usage is not looked at: say usage: true in the configuration"))
		return
	}
	t.mu.Lock()
	dropped := t.dropped
	t.mu.Unlock()
	t.analyzing.Lock()
	defer t.analyzing.Unlock()
	if t.report == nil || time.Since(t.reported) > reportEvery {
		if x.g.people != nil {
			t.analyzer.Feel(x.g.felt().Felt())
		}
		r := t.analyzer.Report()
		r.Format = "live"
		body, err := json.Marshal(usageJSON{r, usage.Fragment(r), dropped})
		if err != nil {
			panic(err) // what is told always can be marshalled
		}
		t.report, t.reported = append(body, '\n'), time.Now()
	}
	x.send(http.StatusOK, rowType, t.report)
}

// usageStream sends requests as JSON lines, as they come.
func (g *Gateway) usageStream() http.Handler {
	refuse := g.adminPage(func(x *exchange) {
		x.fail(unknownPath.because("usage is not looked at: say usage: true in the configuration"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.tap == nil || r.Method != http.MethodGet {
			refuse.ServeHTTP(w, r)
			return
		}
		s := stream{w: w, c: http.NewResponseController(w)}
		w.Header()["Content-Type"] = []string{"application/jsonl"}
		w.Header()["Cache-Control"] = noStore
		_ = s.c.SetReadDeadline(time.Time{})
		follower := g.tap.lines.Follow(g.tap.lines.ID(g.tap.lines.Total()))
		for sent := s.c.Flush() == nil; sent; {
			e, _, _, err := follower.Next(r.Context())
			sent = err == nil && s.send(e.Value)
		}
	})
}
