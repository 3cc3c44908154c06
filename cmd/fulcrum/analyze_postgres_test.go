//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// TestPredictedBatchesAreMeasured tries the predicted gain of batching for real: the
// recorded arrivals, speeded up, on a PostgreSQL that is 5 ms away. It measures, so it
// needs a machine to itself: only with FULCRUM_LONG.
func TestPredictedBatchesAreMeasured(t *testing.T) {
	if os.Getenv("FULCRUM_LONG") == "" {
		t.Skip("takes a minute and an idle machine; FULCRUM_LONG=1 runs it")
	}
	s := pgtest.Start(t)
	for _, statement := range []string{
		"create table users (id bigint primary key, name text, bio text)",
		"insert into users select i, 'user ' || i, repeat('x', 300) from generate_series(1, 100000) i", "analyze users",
	} {
		if err := s.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	proxy, err := faultproxy.New(s.Addr(), faultproxy.Options{Delay: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	dsn := strings.Replace(s.DSN(), s.Addr(), proxy.Addr(), 1)
	a, b, rtt := learned(t, s.DSN(), dsn)
	arrivals := recorded(t, "azure_llm_conv.csv")
	for _, speed := range []int{100, 200, 400, 800} {
		fast := spedUp(t, arrivals, speed)
		r := analyzed(t, fast, "--a", a.String(), "--b", b.String(), "--rtt", rtt.String())
		predicted := 0.0
		for _, v := range append(r.Advice, r.NotAdvised...) {
			if _, after, ok := strings.Cut(v.Evidence, "replayed, "); ok {
				if _, err := fmt.Sscan(after, &predicted); err != nil {
					t.Fatal(err)
				}
			}
		}
		measured, ok := rowsPerQuery(t, dsn, fast)
		if !ok {
			t.Errorf("speed %d: no valid measurement in five", speed)
			continue
		}
		off := predicted/measured - 1
		t.Logf("speed %d: %.3g rows per query predicted, %.3g measured (%+.1f %%)", speed, predicted, measured, 100*off)
		if math.Abs(off) > .15 {
			t.Errorf("speed %d: the prediction is %.0f %% off", speed, 100*off)
		}
	}
}

// learned is the cost of a query and of a row, measured beside the database, and the
// round trip through the proxy.
func learned(t *testing.T, near, far string) (a, b, rtt time.Duration) {
	t.Helper()
	model := func(dsn string) (m modelJSON) {
		file := filepath.Join(t.TempDir(), "bench.json")
		for range 5 { // a step is invalid where the machine was busy
			_, stdout, _ := try(t.Context(), "bench", "--store", dsn, "--strategy", "fulcrum", "--rate", "500,2000,4000", "--duration", "2s", "--json")
			if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, _ := try(t.Context(), "simulate", "--json", "--rate", "100", "--duration", "100ms", "--bench", file)
			var s simulateJSON
			if err := json.Unmarshal([]byte(out), &s); code == exitDone && err == nil {
				return s.Model
			}
		}
		t.Fatal("no valid measurement in five")
		return m
	}
	m, far1 := model(near), model(far)
	d := func(s float64) time.Duration { return time.Duration(s * 1e9).Round(100 * time.Nanosecond) }
	t.Logf("a %.3g µs, b %.3g µs, round trip %.3g ms", 1e6*m.A, 1e6*m.B, 1e3*far1.RTT)
	return d(m.A), d(m.B), d(far1.RTT)
}

// spedUp writes the arrivals with their times divided.
func spedUp(t *testing.T, file string, speed int) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var first time.Time
	for line := range strings.Lines(string(text)) {
		stamp, _, _ := strings.Cut(line, ",")
		at, err := time.Parse("2006-01-02 15:04:05", stamp)
		if err != nil {
			continue // the header
		}
		if first.IsZero() {
			first = at
		}
		fmt.Fprintf(&b, "%.9f\n", at.Sub(first).Seconds()/float64(speed))
	}
	name := filepath.Join(t.TempDir(), "fast.csv")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// rowsPerQuery measures until a measurement is valid, five times at most.
func rowsPerQuery(t *testing.T, dsn, arrivals string) (rows float64, ok bool) {
	t.Helper()
	for range 5 {
		_, stdout, _ := try(t.Context(), "bench", "--store", dsn, "--strategy", "fulcrum", "--arrivals", "trace:"+arrivals, "--json")
		var r benchJSON
		if json.Unmarshal([]byte(stdout), &r) == nil && len(r.Steps) == 1 && r.Steps[0].Valid && r.Steps[0].RowsPer != nil {
			return *r.Steps[0].RowsPer, true
		}
		if len(r.Steps) == 1 && r.Steps[0].Reason != nil {
			t.Log(*r.Steps[0].Reason)
		}
	}
	return 0, false
}
