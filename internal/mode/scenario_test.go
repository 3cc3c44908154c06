package mode

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestScenarios plays the files in testdata. A line that starts with ">" is what the
// switch answered to the line above it; all others are input:
//
//	config mode=balanced min_calls=5 window=10s probes=1 close_after=2 backoff=1s … (first)
//	at 3s                                    lets time pass, without a step
//	begin NAME [timeout=1s] · end NAME ok|failed|ignored
//	load response=600ms queue=500ms service=100ms samples=100 queued=0 offered=0 throughput=0
//	backend takes=20ms|never [fail=60] [pattern=.x]    how it answers the calls of run
//	run 10s [calls=100ms] [timeout=1s] [slots=6]       steps every 100 ms, with or without calls
//	step · override MODE 10m · clear · mode MODE · state
//
// fail is in percent, spread evenly; pattern gives each call's outcome in turn, "." OK
// and "x" failed. Run with -update to rewrite.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { play(t, f) })
	}
}

func play(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# ") {
		t.Errorf("%s: the first line should say what the scenario shows", file)
	}
	s := newStage()
	var got strings.Builder
	for sc := bufio.NewScanner(strings.NewReader(string(text))); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&got, line)
		if input, _, _ := strings.Cut(line, "#"); strings.TrimSpace(input) != "" {
			s.out = nil
			s.do(strings.Fields(input))
			for _, out := range s.out {
				fmt.Fprintln(&got, ">", out)
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != string(text) {
		t.Errorf("%s: the switch answered otherwise (-update rewrites the file):\n%s", file, diff(string(text), got.String()))
	}
}

// diff names the first line that differs.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d: want %q, got %q", i+1, w[i], append(g, "")[min(i, len(g))])
		}
	}
	return fmt.Sprintf("line %d: want the end, got %q", len(w)+1, g[len(w)])
}

// stage holds a switch, the backend that a scenario describes, and what is out there.
type stage struct {
	s       *Switch
	now     time.Duration
	seen    Observation
	calls   map[string]Call
	backend backend
	out     []string
}

// backend answers calls as a scenario says.
type backend struct {
	takes   time.Duration // 0: never
	fail    int           // percent
	pattern string
	n       int // calls so far
	flying  []flying
}

type flying struct {
	call Call
	ends time.Duration // 0: never
	how  Outcome
}

func newStage() *stage {
	s, err := New(Config{})
	if err != nil {
		panic(err)
	}
	return &stage{s: s, calls: map[string]Call{}, backend: backend{takes: 10 * time.Millisecond}}
}

func (s *stage) do(f []string) {
	o := options(f[1:])
	switch f[0] {
	case "config":
		s.configure(o)
	case "at":
		s.now = span(f[1])
	case "begin":
		call, ok := s.s.Begin(s.now, o.span("timeout"))
		if s.calls[f[1]] = call; !ok {
			s.say("refused")
		}
	case "end":
		s.s.End(s.now, s.calls[f[1]], map[string]Outcome{"ok": OK, "failed": Failed, "ignored": Ignored}[f[2]])
	case "load":
		s.seen = Observation{
			Samples: o.number("samples", 100), Response: o.span("response"), Queue: o.span("queue"), Service: o.span("service"),
			Queued: o.number("queued", 0), Offered: float64(o.number("offered", 0)), Throughput: float64(o.number("throughput", 0)),
		}
	case "backend":
		s.backend.takes, s.backend.fail, s.backend.pattern, s.backend.n = o.span("takes"), o.number("fail", 0), o["pattern"], 0
	case "run":
		s.run(span(f[1]), o)
	case "step":
		s.step()
	case "override":
		if err := s.s.Override(s.now, modeNamed(f[1]), span(f[2])); err != nil {
			s.say("%v", err)
		}
	case "clear":
		s.s.ClearOverride(s.now)
	case "mode":
		if err := s.s.SetMode(s.now, modeNamed(f[1])); err != nil {
			s.say("%v", err)
		}
	case "state":
		s.state()
	default:
		panic("unknown input " + f[0])
	}
}

func (s *stage) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

func (s *stage) configure(o opts) {
	sw, err := New(Config{
		Mode: modeNamed(o["mode"]), Window: o.span("window"), MinCalls: o.number("min_calls", 0), Probes: o.number("probes", 0),
		CloseAfter: o.number("close_after", 0), Backoff: o.span("backoff"), MaxBackoff: o.span("max_backoff"),
		Threshold: o.span("threshold"), Dwell: o.span("dwell"), Confirm: o.span("confirm"),
	})
	if err != nil {
		s.say("%v", err)
		return
	}
	s.s = sw
}

func (s *stage) state() {
	d := s.s.Decision()
	line := fmt.Sprintf("mode %s since %s (%s), circuit %s, shed %s", d.Mode, d.Since, d.Cause, d.Circuit, d.Shed)
	if d.Until != 0 {
		line += fmt.Sprintf(", override until %s", d.Until)
	}
	if d.RetryAt != 0 {
		line += fmt.Sprintf(", probe at %s", d.RetryAt)
	}
	if d.Probe {
		line += ", a probe may go"
	}
	s.say("%s", line)
}

func (s *stage) step() {
	_, events := s.s.Step(s.now, s.seen)
	for _, e := range events {
		s.say("%s %s", e.Time, e)
	}
}

// run lets time pass: a step every 100 ms, and calls where they are asked for.
func (s *stage) run(lasting time.Duration, o opts) {
	const tick = 10 * time.Millisecond
	begin, went, refused := s.now, 0, 0
	for ; s.now < begin+lasting; s.now += tick {
		s.backend.answer(s.s, s.now)
		if every := o.span("calls"); every > 0 && (s.now-begin)%every == 0 && len(s.backend.flying) < o.number("slots", 6) {
			if call, ok := s.s.Begin(s.now, o.span("timeout")); ok {
				s.backend.take(call, s.now, o.span("timeout"))
				went++
			} else {
				refused++
			}
		}
		if s.now%(100*time.Millisecond) == 0 || s.s.Pending() {
			s.step()
		}
	}
	if o.has("calls") {
		s.say("%d calls went, %d were refused", went, refused)
	}
}

// take takes a call on. One that takes longer than its time-out fails then, because
// drivers honour their contexts, unless the backend never answers.
func (b *backend) take(c Call, now, timeout time.Duration) {
	b.n++
	f := flying{call: c}
	if b.takes > 0 {
		f.ends = now + b.takes
	}
	switch {
	case b.takes > 0 && timeout > 0 && b.takes > timeout:
		f.ends, f.how = now+timeout, Failed
	case b.pattern != "" && b.pattern[(b.n-1)%len(b.pattern)] == 'x', b.n*b.fail/100 > (b.n-1)*b.fail/100:
		f.how = Failed
	}
	b.flying = append(b.flying, f)
}

func (b *backend) answer(s *Switch, now time.Duration) {
	var left []flying
	for _, f := range b.flying {
		if f.ends == 0 || f.ends > now {
			left = append(left, f)
			continue
		}
		s.End(now, f.call, f.how)
	}
	b.flying = left
}

// opts are the words and name=value pairs of an input line.
type opts map[string]string

func options(fields []string) opts {
	o := opts{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		o[name] = value
	}
	return o
}

func (o opts) has(name string) bool { _, ok := o[name]; return ok }

func (o opts) span(name string) time.Duration {
	if !o.has(name) || o[name] == "never" {
		return 0
	}
	return span(o[name])
}

func (o opts) number(name string, otherwise int) int {
	if !o.has(name) {
		return otherwise
	}
	n, err := strconv.Atoi(o[name])
	if err != nil {
		panic(err)
	}
	return n
}

func span(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

func modeNamed(text string) Mode {
	for m := range Degraded + 1 {
		if m.String() == text {
			return m
		}
	}
	return Balanced
}
