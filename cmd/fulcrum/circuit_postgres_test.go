//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// A database that is stopped and started, paused, or slowed is detected, probed, and
// used again without a restart; no request outlives its deadline meanwhile.
func TestServeCircuit(t *testing.T) {
	s := pgShop(t)
	proxy, err := faultproxy.New(s.Addr(), faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	p := serve(t, write(t, t.TempDir(), free+"limits: {timeout: 400ms}\npool: {max: 8}\nstress: {call_timeout: 200ms}\nstore: "+s.DSNVia(proxy.Addr())+"\nresources:\n"+usersPart))
	until(t, p.data+"/v1/users/1", 200)
	rounds := 1
	if os.Getenv("FULCRUM_LONG") != "" {
		rounds = 25
	}
	for round := range rounds {
		for _, fault := range []struct {
			name          string
			breakIt, mend func() error
		}{
			{"stopped", func() error { return s.Stop(pgtest.Immediate) }, func() error { return s.StartAgain(context.Background()) }},
			{"paused", s.Pause, s.Resume},
			{"slowed", func() error { proxy.SetDelay(3 * time.Second); return nil }, func() error { proxy.SetDelay(0); return nil }},
		} {
			t.Run(fmt.Sprintf("%s %d", fault.name, round), func(t *testing.T) { circuitFault(t, p, fault.breakIt, fault.mend) })
		}
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func circuitFault(t *testing.T, p *program, breakIt, mend func() error) {
	const deadline = 400 * time.Millisecond
	before := circuitChanges(t, p)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				status, body := ask(t.Context(), "GET", p.data+"/v1/users/1", "", "")
				took := time.Since(began)
				slowest.Store(max(slowest.Load(), int64(took)))
				switch {
				case status == 200, status == 503 && strings.Contains(body, "unavailable"), status == 503 && strings.Contains(body, "circuit_open"),
					status == 504 && strings.Contains(body, "deadline"), status == 429:
				default:
					t.Errorf("%d %s", status, body)
				}
				if status == 503 { // as a client does that was told to come back
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	if err := breakIt(); err != nil {
		t.Fatal(err)
	}
	circuitIs(t, p, "open")
	if err := mend(); err != nil {
		t.Fatal(err)
	}
	circuitIs(t, p, "closed")
	until(t, p.data+"/v1/users/1", 200)
	stop()
	wg.Wait()
	after := circuitChanges(t, p)
	for _, change := range []string{"closed open", "open half-open", "half-open closed"} {
		if after["circuit "+change] <= before["circuit "+change] {
			t.Errorf("no event %s: %v, then %v", change, before, after)
		}
	}
	over := time.Duration(slowest.Load()) - deadline
	t.Logf("the slowest answer was %s over its deadline", over)
	if limit := overLimit(); over > limit {
		t.Errorf("an answer was %s over its deadline, want at most %s", over, limit)
	}
}

// overLimit is by how much an answer may be late: 50 ms on a machine with nothing else
// to do, which is where the long tests run.
func overLimit() time.Duration {
	if os.Getenv("FULCRUM_LONG") != "" {
		return 50 * time.Millisecond
	}
	return 10 * time.Second
}

// circuitIs waits for a state of the circuit, and says so if it never comes.
func circuitIs(t *testing.T, p *program, state string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		_, body := ask(t.Context(), "GET", p.admin+"/api/v1/mode", "", "")
		if strings.Contains(body, `"circuit":"`+state+`"`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the circuit never was %s: %s", state, body)
		}
	}
}

func circuitChanges(t *testing.T, p *program) map[string]uint64 {
	t.Helper()
	status, body := ask(t.Context(), "GET", p.admin+"/api/v1/mode", "", "")
	var m struct {
		Changes map[string]uint64 `json:"changes_total"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return m.Changes
}
