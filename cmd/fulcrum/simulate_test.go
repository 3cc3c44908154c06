package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSimulateUsage(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"--arrivals constant", "constant is not simulated"},
		{"--arrivals trace:gone.csv", "gone.csv"},
		{"--a=-1ms", "--a and --b"},
		{"--cores 0", "--cores: 0"},
		{"--times 0", "--times: 0"},
		{"--rate 0", "--rate: 0"},
		{"--callers 0", "--callers: 0"},
		{"--tuner magic", `"magic" is no tuner`},
		{"--max-k=-1", "MaxInFlight"},
		{"--duration 2h", "--duration"},
		{"--sigma 9", "--sigma"},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"simulate"}, strings.Fields(c.args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("simulate %s: code %d, stderr %q, want %q in it", c.args, code, stderr, c.stderr)
		}
	}
	if code, _, stderr := try(t.Context(), "simulate", "--bench", "gone.json"); code != exitFailed || !strings.Contains(stderr, "gone.json") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// simulateJSONOf runs a simulation that is printed as JSON.
func simulateJSONOf(t *testing.T, args string) simulateJSON {
	t.Helper()
	code, stdout, stderr := try(t.Context(), append([]string{"simulate", "--json"}, strings.Fields(args)...)...)
	var s simulateJSON
	if err := json.Unmarshal([]byte(stdout), &s); code != exitDone || err != nil {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	return s
}

func TestSimulateComparesTuners(t *testing.T) {
	const args = "--rate 20000 --times 10 --tuner auto,fixed --duration 300ms --warmup 300ms"
	s := simulateJSONOf(t, args)
	if len(s.Runs) != 2 || s.Runs[0].Tuner != "auto" || s.Runs[1].K != 4 {
		t.Fatalf("%+v", s.Runs)
	}
	for _, r := range s.Runs {
		if r.Offered != 200_000 || r.Throughput < 180_000 || r.Response.P99 < r.Response.P50 || r.RowsPerQuery < 1 {
			t.Errorf("%+v", r)
		}
	}
	again := simulateJSONOf(t, args)
	for i := range again.Runs {
		again.Runs[i].Speed = s.Runs[i].Speed // of wall time, not of the simulation
		if !reflect.DeepEqual(again.Runs[i], s.Runs[i]) {
			t.Errorf("the same seed gave %+v and %+v", s.Runs[i], again.Runs[i])
		}
	}
}

func TestSimulateCallers(t *testing.T) {
	s := simulateJSONOf(t, "--callers 16,64 --duration 200ms --warmup 100ms")
	if len(s.Runs) != 2 || s.Runs[1].Throughput <= s.Runs[0].Throughput || s.Runs[0].Shed != 0 {
		t.Errorf("%+v", s.Runs)
	}
}

func TestSimulateCopies(t *testing.T) {
	args := "--rate 200000 --duration 1s --warmup 500ms --copies 3"
	even := simulateJSONOf(t, args).Runs[0]
	slow := simulateJSONOf(t, args+" --slow-copy 20").Runs[0]
	if len(even.Shares) != 3 || even.Shares[2] < 0.2 || slow.Shares[2] > 0.02 || slow.Response.P99 > 3*even.Response.P99 {
		t.Errorf("equal copies: %+v\na slow one: %+v", even, slow)
	}
	for _, wrong := range []string{"--copies 0", "--copies 65", "--slow-copy 2", "--copies 2 --slow-copy 0.5", "--copies 2 --verify postgres://x"} {
		if code, _, stderr := try(t.Context(), append([]string{"simulate"}, strings.Fields(wrong)...)...); code != exitUsage || !strings.Contains(stderr, "--") {
			t.Errorf("%s: code %d: %s", wrong, code, stderr)
		}
	}
}

func TestSimulateReplaysMoreOfATrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "times.csv")
	if err := os.WriteFile(file, []byte("0\n1\n2\n3\n4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for times, want := range map[string]float64{"1": 1, "10": 10, "2.5": 2.5} {
		s := simulateJSONOf(t, "--arrivals trace:"+file+" --times "+times)
		if got := s.Runs[0].Throughput; got < 0.7*want || got > 1.4*want {
			t.Errorf("times %s: %v a second, want about %v", times, got, want)
		}
	}
}

func TestSimulateLearnsFromBench(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	step := func(rows, cpu, service float64) stepJSON {
		p50 := service
		return stepJSON{Strategy: "fulcrum", Valid: true, RowsPer: &rows, DatabaseCPU: &cpu, Service: &timesJSON{P50: &p50}}
	}
	text, err := json.Marshal(benchJSON{Steps: []stepJSON{ // a query costs 100 µs, a row 5 µs, the round trip takes 1 ms
		step(1, 105e-6, 1105e-6), step(10, 15e-6, 1800e-6), {Strategy: "direct", Valid: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m := simulateJSONOf(t, "--duration 100ms --rate 1000 --bench "+file).Model
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"a", m.A, 100e-6}, {"b", m.B, 5e-6}, {"round trip", m.RTT, 1e-3}} {
		if c.got < 0.99*c.want || c.got > 1.01*c.want {
			t.Errorf("%s is %v s, want %v", c.what, c.got, c.want)
		}
	}
	if err := os.WriteFile(file, []byte(`{"steps":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := try(t.Context(), "simulate", "--bench", file); code != exitFailed || !strings.Contains(stderr, "two valid steps") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestSimulateExplains(t *testing.T) {
	_, _, stderr := try(t.Context(), "simulate", "--rate", "300000", "--explain", "--duration", "500ms", "--warmup", "100ms")
	if !strings.Contains(stderr, "double: m 1.00, K 1→2") {
		t.Errorf("no reasons in %q", stderr)
	}
}
