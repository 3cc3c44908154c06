package dispatch

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestScenarios plays the files in testdata. A line that starts with ">" is what
// the machine answered to the line above it; all others are input:
//
//	limits k=2 u=1 max=100 queued=1000 waiters=10 [hold linger=2ms]
//	cost a=1ms b=10us [until=1s]           the model, trusted until then
//	at 3ms                               sets the time
//	submit NAME KEY [urgent|bulk] [scope=S] [deadline=4ms] [together]
//	cancel NAME · take · done N [fail] · look · close · abort · state · tick
//
// After each input the stage asks, as the shell does, whether a taker is wanted.
//
// Batches are numbered in the order they leave. Run with -update to rewrite.
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
	s := newStage()
	var got strings.Builder
	for sc := bufio.NewScanner(strings.NewReader(string(text))); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&got, line)
		if input, _, _ := strings.Cut(line, "#"); strings.TrimSpace(input) != "" {
			for _, out := range s.do(strings.Fields(input)) {
				fmt.Fprintln(&got, ">", out)
			}
			if s.d.Wanted(s.now) {
				fmt.Fprintln(&got, "> a taker is wanted")
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != string(text) {
		t.Errorf("%s: the machine answered otherwise (-update rewrites the file):\n%s", file, diff(string(text), got.String()))
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

// stage holds a dispatcher and what a scenario calls its parts.
type stage struct {
	d       *Dispatcher[string, string]
	now     time.Duration
	waiters map[string]*Waiter[string, string]
	batches []*Batch[string, string]
}

func newStage() *stage {
	return &stage{
		d:       New[string, string](Limits{InFlight: 1, MaxBatch: 100, MaxWaiters: 100, MaxQueued: [Lanes]int{100, 100, 100}}),
		waiters: map[string]*Waiter[string, string]{},
	}
}

func (s *stage) do(f []string) []string {
	args := options(f[1:])
	switch f[0] {
	case "limits":
		s.d.SetLimits(limitsOf(args))
	case "cost":
		s.d.SetCost(Cost{A: args.span("a"), B: args.span("b"), TrustedUntil: args.span("until")})
	case "at":
		s.now = span(f[1])
	case "submit":
		return s.submit(f[1], f[2], args)
	case "cancel":
		s.d.Cancel(s.waiters[f[1]])
	case "look":
	case "take":
		return s.take()
	case "done":
		return s.done(f[1], args)
	case "close":
		s.d.Close()
	case "abort":
		return []string{"failed " + s.names(s.d.Abort())}
	case "tick":
		at, held := s.d.NextTick()
		return []string{fmt.Sprintf("held %t until %s", held, at)}
	case "state":
		return s.state()
	default:
		panic("unknown input " + f[0])
	}
	return nil
}

func (s *stage) submit(name, key string, o opts) []string {
	w := &Waiter[string, string]{Payload: name, Class: Normal, Deadline: o.span("deadline"), Together: o.has("together")}
	if o.has("urgent") {
		w.Class = Urgent
	}
	if o.has("bulk") {
		w.Class = Bulk
	}
	s.waiters[name] = w
	v := s.d.Submit(s.now, o["scope"], key, w)
	out := [...]string{"wait", "run", "lead", "refuse"}[v.Action]
	if v.Action == Run || v.Action == Refuse {
		out += " " + v.Reason.String()
	}
	if v.Joined {
		out += ", joined"
	}
	if v.Batch != nil {
		out += ": " + s.leave(v.Batch)
	}
	return []string{out}
}

func (s *stage) leave(b *Batch[string, string]) string {
	s.batches = append(s.batches, b)
	line := fmt.Sprintf("batch %d %s %s %s", len(s.batches), b.Class, b.Reason, s.names(b.Items))
	if b.Scope != "" {
		line += " scope " + b.Scope
	}
	if b.Deadline != 0 {
		line += " until " + b.Deadline.String()
	}
	return line
}

func (s *stage) take() []string {
	b := s.d.Take(s.now)
	if b == nil {
		return []string{"nothing"}
	}
	var out []string
	if len(b.Expired) > 0 {
		out = append(out, "expired "+s.names(b.Expired))
	}
	if len(b.Items) > 0 {
		out = append(out, s.leave(b))
	}
	return out
}

func (s *stage) done(number string, o opts) []string {
	n, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	b := s.batches[n-1]
	for _, it := range b.Items {
		it.Failed = o.has("fail")
	}
	out := "answered " + s.names(b.Items)
	if s.d.Done(s.now, b) {
		out += ", take again"
	}
	s.d.Recycle(b)
	return []string{out}
}

// names lists items as key(waiter,waiter).
func (s *stage) names(items []*Item[string, string]) string {
	var all []string
	for _, it := range items {
		var who []string
		for w := it.Waiters(); w != nil; w = w.Next() {
			who = append(who, w.Payload)
		}
		all = append(all, fmt.Sprintf("%s(%s)", it.Key, strings.Join(who, ",")))
	}
	return "[" + strings.Join(all, " ") + "]"
}

func (s *stage) state() []string {
	c := s.d.Counts()
	shared, urgent := s.d.InFlight()
	return []string{
		fmt.Sprintf("admitted %d = answered %d + failed %d + cancelled %d + queued %d + in flight %d",
			c.Admitted, c.Answered, c.Failed, c.Cancelled, c.Queued, c.InFlight),
		fmt.Sprintf("keys queued: urgent %d normal %d bulk %d; batches in flight: shared %d urgent %d; drained %t",
			s.d.Queued(Urgent), s.d.Queued(Normal), s.d.Queued(Bulk), shared, urgent, s.d.Drained()),
	}
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
	if !o.has(name) {
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

func limitsOf(o opts) Limits {
	queued := o.number("queued", 100)
	return Limits{
		InFlight: o.number("k", 1), Reserved: o.number("u", 0), MaxBatch: o.number("max", 100),
		MaxWaiters: o.number("waiters", 100), MaxQueued: [Lanes]int{queued, queued, o.number("bulk", queued)},
		Hold: o.has("hold"), Linger: o.span("linger"),
	}
}

func TestScenarioFilesSayWhatTheyShow(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	sort.Strings(files)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s: the first line should say what the scenario shows", f)
		}
	}
}
