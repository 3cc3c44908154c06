package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
	"github.com/fulcrum-data/fulcrum/internal/load/target"
)

func TestBenchUsage(t *testing.T) {
	const url, db = "--url http://127.0.0.1:1/ ", "--store sqlite:none.db "
	folder := t.TempDir()
	for _, c := range []struct{ args, want string }{
		{"--rate 1", "name what to measure: --url URL or --store DSN"},
		{url + db + "--rate 1", "--url and --store exclude each other"},
		{"--url localhost --rate 1", `--url: "localhost": want http://host/path`},
		{url, "say how much load: --rate R, --callers N or --curve"},
		{url + "--rate 1 --callers 1", "--rate, --callers and --curve exclude each other"},
		{url + "--rate 1 --curve", "exclude each other"},
		{url + "--rate 0", "--rate: 0 is not over 0 and up to 10000000"},
		{url + "--rate 1,x", "--rate"},
		{url + "--rate=-1", "--rate: -1"},
		{url + "--rate NaN", "--rate: NaN"},
		{url + "--callers 0", "--callers: 0 is not between 1 and 20000"},
		{url + "--callers 1 --arrivals constant", "--arrivals is for open loops"},
		{url + "--rate 1 --connections 0", "--connections: 0 is not at least 1"},
		{url + "--rate 1 --connections 1000000", "1000000 connections are not between 1 and 100000"},
		{url + "--rate 1 --strategy direct", "--strategy is for --store"},
		{url + "--rate 1 --compare direct", "--compare is for --store"},
		{url + "--rate 1 --table users", "--table is for --store"},
		{url + "--rate 1 --header nocolon", `header "nocolon": want Name: value`},
		{url + "--rate 1 --arrivals sometimes", `--arrivals: "sometimes": want poisson`},
		{url + "--arrivals trace:none.csv", "none.csv"},
		{url + "--rate 1 --duration 1ms", "--duration: 1ms is not between 100ms"},
		{url + "--rate 1 --duration x", "--duration"},
		{url + "--rate 1 --warmup=-1s", "--warmup: -1s is not between 0 and 1h"},
		{url + "--rate 1 --drain 0s", "--drain: 0s is not over 0"},
		{url + "--rate 1 --rounds 1000", "--rounds: 1000"},
		{url + "--rate 1 --keys some", `--keys: "some": want uniform:N`},
		{"--url http://127.0.0.1:1/{key} --rate 1", "--keys: say which keys {key} stands for"},
		{url + "--rate 1 --mix vip=1", `--mix: "vip=1"`},
		{url + "--rate 1 --mix write=1", "--mix: write is for --store"},
		{db + "--rate 1 --mix normal=1,write=1 --compare direct,fulcrum", "--mix: strategy direct does not write: want single, window, fulcrum"},
		{url + "--rate 1 --slo fast", `--slo: "fast": want a quantile`},
		{url + "--rate 1 --plot x.gif", "x.gif"},
		{url + "--rate 1 --plot none/x.svg", "--plot: there is no folder none"},
		{url + "--rate 1 --html " + folder, "is a folder"},
		{url + "--curve --lowest 10 --highest 1", "--lowest and --highest: 10 and 1 are not in order"},
		{db + "--rate 1 --strategy magic", `strategy "magic" is none of dial, direct, single, window, bulk, fulcrum`},
		{db + "--rate 1 --compare direct,direct", "--compare: direct is there twice"},
		{db + "--rate 1 --strategy direct --compare dial", "--strategy and --compare exclude each other"},
		{db + "--rate 1 --header A:b", "--header is for --url"},
		{db + "--rate 1 --connections 5", "--store: 5 connections are not between 6 and 10000"},
		{db + "--rate 1 --strategy direct --cache 10", "--cache is for the strategy fulcrum"},
		{db + "--rate 1 --cache=-1", "a cache of -1 entries is not between"},
		{db + "--rate 1 --window-keys 0", "--window-keys and --window-wait must be over 0"},
		{"--store mysql://x --rate 1", "--store: a store of no kind that is known: want sqlite:FILE or postgres://…"},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"bench"}, strings.Fields(c.args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("bench %s: code %d\n%s%swant %q", c.args, code, stdout, stderr, c.want)
		}
	}
	trace := filepath.Join(folder, "trace")
	if err := os.WriteFile(trace, []byte("0\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := try(t.Context(), "bench", "--url", "http://127.0.0.1:1/", "--arrivals", "trace:"+trace, "--rate", "5")
	if code != exitUsage || !strings.Contains(stderr, "--arrivals trace: has a rate of its own") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// What cannot be reached or does not fit is a failure, told before any load.
func TestBenchRefusesWhatDoesNotAnswer(t *testing.T) {
	db := profiles(t)
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for _, c := range []struct{ args, want string }{
		{"--url http://127.0.0.1:1/", "bench: --url: connection refused"},
		{"--url " + missing.URL, "bench: --url: status 404 Not Found"},
		{"--store sqlite:none.db", "bench: --store: "},
		{"--store postgres://127.0.0.1:1/x", "bench: --store: "},
		{db + " --table nobody", "no table nobody: there is users"},
		{db + " --columns age", "bench: --columns: "},
		{db + " --key-column name", "bench: --key-column: "},
		{db + " --keys hot:0:1000:2000", "bench: --store: the first key of --keys hot:0:1000:2000: fulcrum: not found"},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"bench", "--rate", "10"}, strings.Fields(c.args)...)...)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d\n%s%swant %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

// profiles is a database as demo makes it, as a flag.
func profiles(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profiles.db")
	if err := makeFile(t.Context(), path, 500, 1); err != nil {
		t.Fatal(err)
	}
	return "--store sqlite:" + path
}

// benchRun runs fulcrum bench with --json and reads what it prints. A code of -1 is
// done, or failed as no step is valid on a busy machine.
func benchRun(t *testing.T, wantCode int, args string) map[string]any {
	t.Helper()
	code, stdout, stderr := try(t.Context(), append([]string{"bench", "--json"}, strings.Fields(args)...)...)
	var all map[string]any
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != wantCode && (wantCode >= 0 || code == exitUsage) {
		t.Fatalf("bench %s: code %d, %v\n%s%s", args, code, err, stdout, stderr)
	}
	return all
}

func stepsOf(t *testing.T, all map[string]any) (steps []map[string]any) {
	t.Helper()
	for _, s := range all["steps"].([]any) {
		steps = append(steps, s.(map[string]any))
	}
	return steps
}

// stepFields and timeFields are a contract, and so is that they are there whatever
// came of the step.
var (
	stepFields = []string{
		"strategy", "offered_rps", "sent_rps", "throughput_rps", "errors", "censored", "valid", "invalid_reason",
		"queries_per_second", "rows_per_query", "response_seconds", "service_seconds", "lag_seconds",
	}
	timeFields = []string{"mean", "p50", "p95", "p99", "max"}
	figures    = []string{"throughput_rps", "queries_per_second", "rows_per_query", "response_seconds", "service_seconds", "lag_seconds"}
)

func fulfils(t *testing.T, all map[string]any) {
	t.Helper()
	has := func(where string, m map[string]any, fields ...string) {
		for _, f := range fields {
			if _, ok := m[f]; !ok {
				t.Errorf("%s lacks %s", where, f)
			}
		}
	}
	has("the result", all, "steps", "slo_rps", "power_point_rps", "knee_rps", "usl")
	for _, s := range stepsOf(t, all) {
		has("a step", s, stepFields...)
		if s["valid"].(bool) {
			for _, f := range []string{"response_seconds", "service_seconds", "lag_seconds"} {
				has(f, s[f].(map[string]any), timeFields...)
			}
			continue
		}
		if s["invalid_reason"] == nil {
			t.Error("an invalid step without a reason")
		}
		for _, f := range figures {
			if s[f] != nil {
				t.Errorf("an invalid step with %s %v", f, s[f])
			}
		}
	}
}

// slow answers after so long that a busy machine is not too late for its figures.
func slow(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(400 * time.Millisecond):
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestBenchURL(t *testing.T) {
	dir := t.TempDir()
	url := slow(t).URL
	var all map[string]any
	var steps []map[string]any
	for try := 1; ; try++ { // as somebody would who is told that the generator was late
		all = benchRun(t, -1, "--url "+url+"/{key} --keys uniform:10 --rate 100,200 --duration 1s --mix urgent=1,bulk=1 --slo p50=2s"+
			" --plot "+dir+"/x.svg --html "+dir+"/x.html --hdr "+dir+"/x.hdr")
		fulfils(t, all)
		steps = stepsOf(t, all)
		late := slices.ContainsFunc(steps, func(s map[string]any) bool {
			why, _ := s["invalid_reason"].(string)
			return strings.HasPrefix(why, "the generator was late")
		})
		if !late || try == 10 {
			break
		}
	}
	for _, s := range steps {
		if s["valid"] != true || s["strategy"] != "url" || s["loop"] != "open" || s["slo_kept"] != true {
			t.Errorf("%v", s)
		}
		if p50 := s["response_seconds"].(map[string]any)["p50"].(float64); p50 < .4 || s["first_byte_seconds"] == nil || s["queries_per_second"] != nil {
			t.Errorf("p50 %v, %v", p50, s)
		}
	}
	if len(steps) != 2 || steps[0]["offered_rps"].(float64) > 130 || steps[1]["offered_rps"].(float64) < 170 || all["slo_rps"] != nil {
		t.Errorf("%d steps: %v", len(steps), steps)
	}
	for file, want := range map[string]string{"x.svg": "<svg", "x.html": "<html", "x.hdr": "url@"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, %d bytes without %q", file, err, len(text), want)
		}
	}
}

// All strategies read the same table at the same loads; a closed loop is never late,
// so that its steps are valid however busy the machine is.
func testCompare(t *testing.T, store string) {
	all := benchRun(t, exitDone, store+" --connections 8 --compare dial,direct,window,bulk,fulcrum --callers 8 --duration 400ms --rounds 2 --window-wait 2ms")
	fulfils(t, all)
	got := map[string]map[string]any{}
	for _, s := range stepsOf(t, all) {
		got[s["strategy"].(string)] = s
		if s["valid"] != true || s["loop"] != "closed" || s["callers"] != 8.0 || s["offered_rps"] != nil || !(s["throughput_rps"].(float64) > 0) || s["errors"] != 0.0 {
			t.Errorf("%v", s)
		}
	}
	per := func(name string) float64 { return got[name]["rows_per_query"].(float64) }
	single := func(name string) bool { return math.Abs(per(name)-1) < .05 } // a query may end on the edge of the window
	if len(got) != 5 || !single("dial") || !single("direct") || per("window") <= 1 || per("bulk") <= 10 || per("fulcrum") < 1 {
		t.Errorf("rows per query: %v", got)
	}
	all = benchRun(t, -1, store+" --connections 8 --compare direct,window,fulcrum --rate 200 --duration 400ms --rounds 2")
	fulfils(t, all)
	var offered []float64
	for _, s := range stepsOf(t, all) {
		offered = append(offered, s["offered_rps"].(float64))
	}
	if len(offered) != 3 || slices.Min(offered) != slices.Max(offered) {
		t.Errorf("loads differ: %v", offered)
	}
}

func TestBenchComparesOnSQLite(t *testing.T) { testCompare(t, profiles(t)) }

// Writes share commits, and what is measured stays as it is.
func testWrites(t *testing.T, store string) {
	all := benchRun(t, exitDone, store+" --connections 16 --mix normal=1,write=3 --compare single,window,fulcrum --callers 16 --duration 400ms --rounds 2 --window-wait 2ms")
	fulfils(t, all)
	per := map[string]float64{}
	for _, s := range stepsOf(t, all) {
		if s["valid"] != true || !(s["throughput_rps"].(float64) > 0) || s["errors"] != 0.0 {
			t.Errorf("%v", s)
		}
		per[s["strategy"].(string)] = s["rows_per_query"].(float64)
	}
	if len(per) != 3 || math.Abs(per["single"]-1) > .05 || per["window"] <= 1 || per["fulcrum"] <= 1 {
		t.Errorf("rows per query: %v", per)
	}
}

func TestBenchWritesOnSQLite(t *testing.T) { testWrites(t, profiles(t)) }

// The table, as people see it.
func TestBenchTable(t *testing.T) {
	code, stdout, stderr := try(t.Context(), strings.Fields("bench "+profiles(t)+" --compare direct,bulk --callers 2,4 --duration 200ms --slo p95=10s --connections 6")...)
	if code != exitDone || stderr != "" {
		t.Errorf("code %d: %s", code, stderr)
	}
	for _, want := range []string{
		"table users: 6 connections, keys uniform among 500 keys of the table, closed loop, ", "a stall stops the load as well",
		"   callers  strategy throughput/s    p50 ms    p95 ms    p99 ms  queries/s rows/query  db µs/row own µs/row  p95=10s",
		"\n         2  direct ", "\n         4  bulk ", "  kept\n", "bulk asks for 20 keys at once; each key counts.",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
}

// A server that drops requests gives a reason and no figure.
func TestBenchMarksADroppingServer(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1)%5 == 0 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	args := "--url " + s.URL + " --rate 200 --duration 500ms --slo p50=1s"
	all := benchRun(t, exitFailed, args)
	fulfils(t, all)
	step := stepsOf(t, all)[0]
	if step["valid"] != false || step["errors"].(float64) < 5 || !strings.Contains(step["invalid_reason"].(string), "failed: the server closed the connection") || step["slo_kept"] != false {
		t.Errorf("%v", step)
	}
	code, stdout, stderr := try(t.Context(), strings.Fields("bench "+args)...)
	if code != exitFailed || !strings.Contains(stdout, "url      invalid: ") || !strings.Contains(stderr, "no step is valid, so there are no figures") {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}

func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer s.Close()
	go func() {
		for range 10 {
			<-asked
		}
		cancel()
	}()
	begin := time.Now()
	code, stdout, stderr := try(ctx, strings.Fields("bench --url "+s.URL+" --rate 100 --duration 1h --warmup 0s")...)
	if code != exitFailed || !strings.Contains(stdout, "invalid: interrupted") || !strings.Contains(stderr, "bench: interrupted") || time.Since(begin) > 30*time.Second {
		t.Errorf("code %d after %s\n%s%s", code, time.Since(begin), stdout, stderr)
	}
}

// queue is what a queue with one server answers at a load: M/M/1 with so many
// requests per second at most.
func queue(capacity float64) func(context.Context, load.Config) (*load.Step, error) {
	return func(_ context.Context, cfg load.Config) (*load.Step, error) {
		due := uint64(cfg.Rate * cfg.Duration.Seconds())
		s := &load.Step{Duration: cfg.Duration, Sending: cfg.Duration, Due: due, Sent: due}
		var response, lag, least hist.Histogram
		lag.RecordN(time.Microsecond, due)
		cfg.Window(true)
		cfg.Window(false)
		if cfg.Rate >= capacity {
			s.Good, s.Censored, s.Completed = due/2, due-due/2, uint64(capacity*cfg.Duration.Seconds())
			response.RecordN(time.Second, s.Good)
			least.RecordN(3*time.Second, s.Censored)
		} else {
			s.Good, s.Completed = due, due
			for i := range due {
				response.Record(time.Duration(-math.Log(1-(float64(i)+.5)/float64(due)) / (capacity - cfg.Rate) * float64(time.Second)))
			}
		}
		s.Response, s.Service, s.Lag, s.Least = response.Snapshot(), response.Snapshot(), lag.Snapshot(), least.Snapshot()
		return s, nil
	}
}

// searched is a bench whose targets are queues.
func searched(t *testing.T, args string, out *bytes.Buffer, run func(context.Context, load.Config) (*load.Step, error), names ...string) *bench {
	t.Helper()
	c := &benchCommand{benchTarget: benchTarget{Store: "x"}, benchLoad: benchLoad{Curve: true, Lowest: 100, Highest: 1e6, Duration: 10 * time.Second, SLO: args}}
	slo, err := curve.ParseSLO(args)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{benchPlan: benchPlan{slo: slo, rounds: 1}, cmd: c, run: run, reads: "users", progress: newProgress(out)}
	for _, name := range names {
		b.contenders = append(b.contenders, &contender{name: name, chunk: 1, usage: func() target.Usage { return target.Usage{} }})
	}
	b.table = newBenchTable(out, b)
	return b
}

// Of an M/M/1 queue all four answers are known: p99 = ln 100/(μ−λ), the power point
// at half of the capacity, the knee at 90 %.
func TestBenchCurve(t *testing.T) {
	var out bytes.Buffer
	b := searched(t, "p99=20ms", &out, queue(1000), "one")
	if err := b.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.table.finish()
	var text bytes.Buffer
	if err := b.printJSON(&text); err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	fulfils(t, all)
	for name, want := range map[string]float64{"slo_rps": 1000 - math.Log(100)/.020, "power_point_rps": 500, "knee_rps": 900} {
		if got, _ := all[name].(float64); math.Abs(got-want) > .1*want {
			t.Errorf("%s %v, want %.0f", name, all[name], want)
		}
	}
	usl := all["usl"].(map[string]any)
	if c := usl["capacity_rps"].(float64); math.Abs(c-1000) > 50 || usl["gamma"] == nil || usl["n_max"] != nil && usl["beta"] == 0.0 {
		t.Errorf("%v", usl)
	}
	for _, want := range []string{"p99=20ms", "power point", "knee", "fit ", "capacity ", "kept\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
}

// Several strategies take turns, and each has its own answers.
func TestBenchCurvesTakeTurns(t *testing.T) {
	var out bytes.Buffer
	var loads []float64
	half := queue(1000)
	b := searched(t, "p99=20ms", &out, func(ctx context.Context, cfg load.Config) (*load.Step, error) {
		loads = append(loads, cfg.Rate)
		return half(ctx, cfg)
	}, "one", "two")
	if err := b.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(loads); i += 2 {
		if loads[i] != loads[i+1] {
			t.Errorf("not in turn: %v", loads)
			break
		}
	}
	var text bytes.Buffer
	if err := b.printJSON(&text); err != nil || strings.Count(text.String(), `"slo_rps": 7`) != 2 || !strings.Contains(text.String(), `"slo_rps": null`) {
		t.Errorf("%v\n%s", err, text.String())
	}
}

// A generator that is late says nothing of the target, and does not lead a search.
func TestBenchCurveOnABusyMachine(t *testing.T) {
	late := func(share int) func(context.Context, load.Config) (*load.Step, error) {
		n, good := 0, queue(1000)
		return func(ctx context.Context, cfg load.Config) (*load.Step, error) {
			s, err := good(ctx, cfg)
			if n++; n%share == 0 {
				var lag hist.Histogram
				lag.RecordN(time.Second, s.Due)
				s.Lag = lag.Snapshot()
			}
			return s, err
		}
	}
	var out bytes.Buffer
	b := searched(t, "p99=20ms", &out, late(2), "one")
	if err := b.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.contenders[0].result.SLORate; math.Abs(got-770) > 77 {
		t.Errorf("%.0f/s with every other try late", got)
	}
	b = searched(t, "p99=20ms", &out, late(1), "one")
	if err := b.measure(t.Context()); err == nil || !strings.Contains(err.Error(), "this machine is too busy to measure: at 100/s, the generator was late") {
		t.Error(err)
	}
	once := late(1) // late at one load only
	b = searched(t, "p99=20ms", &out, func(ctx context.Context, cfg load.Config) (*load.Step, error) {
		if cfg.Rate == 150 {
			return once(ctx, cfg)
		}
		return queue(1000)(ctx, cfg)
	}, "one")
	if err := b.measure(t.Context()); err != nil || b.contenders[0].result.SLORate < 100 || b.contenders[0].result.SLORate > 150 {
		t.Errorf("%v, %v", err, b.contenders[0].result)
	}
	broken := errors.New("broken")
	b = searched(t, "p99=20ms", &out, func(context.Context, load.Config) (*load.Step, error) { return nil, broken }, "one")
	if err := b.measure(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestProgressSaysWhatIsLeft(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out}
	p.begin(3)
	p.step("direct", offer{rate: 12_345}, 10*time.Second)
	if got := p.remaining(p.began.Add(4 * time.Second)); got != "26s" {
		t.Errorf("%s left", got)
	}
	if got := out.String(); !strings.HasSuffix(got, "direct at 12,345/s · 30s left") {
		t.Errorf("%q", got)
	}
	p.begin(7)
	if got := p.remaining(p.began.Add(time.Hour)); got != "1m" {
		t.Errorf("%s left", got)
	}
	p.end()
}
