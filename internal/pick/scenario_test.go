package pick

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
// picker answered to the line above it; all others are input:
//
//	config region=eu lag=1s bytes=1000 share=0.5 primaries        (first, optional)
//	nodes *main:eu a:eu b:us                                       a star marks the primary
//	at 3s                                                          sets the time
//	pick [fresh] [after] [staleness=2s] [tried=a,b] [idle]         one read, which leaves at once
//	done NODE ok|failed|behind|ignored [RATIO] · late NODE · alive NODE · room NODE N
//	lag NODE 2s 5000                                               -1: bytes unknown
//	reads N [every=1ms] [a=1 b=20 …] [fresh] …                     so many, one after the other, with their ratios
//	state
//
// Run with -update to rewrite.
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
	s := &stage{t: t}
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
		t.Errorf("%s: the picker answered otherwise (-update rewrites the file):\n%s", file, got.String())
	}
}

// stage is a picker and what a scenario has said so far.
type stage struct {
	t   *testing.T
	cfg Config
	p   *Picker
	now time.Duration
	out []string
}

func (s *stage) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

func (s *stage) do(words []string) {
	rest := words[1:]
	switch words[0] {
	case "config":
		s.configure(rest)
	case "nodes":
		s.setNodes(rest)
	case "at":
		s.now = duration(s.t, rest[0])
	case "pick":
		s.pick(want(s, rest))
	case "done":
		ratio := 0.0
		if len(rest) > 2 {
			ratio = number(s.t, rest[2])
		}
		o := map[string]Outcome{"ok": OK, "failed": Failed, "behind": Behind, "ignored": Ignored}[rest[1]]
		s.p.Done(s.now, s.find(rest[0]), o, ratio)
	case "late":
		s.p.Late(s.now, s.find(rest[0]))
	case "alive":
		s.p.Alive(s.now, s.find(rest[0]))
	case "room":
		s.p.SetRoom(s.find(rest[0]), int(number(s.t, rest[1])))
	case "lag":
		s.p.Lag(s.now, s.find(rest[0]), Lag{duration(s.t, rest[1]), int64(number(s.t, rest[2]))})
	case "reads":
		s.reads(rest)
	case "state":
		s.state()
	default:
		s.t.Fatalf("no such word: %v", words)
	}
}

func (s *stage) configure(words []string) {
	for _, w := range words {
		switch name, value, _ := strings.Cut(w, "="); name {
		case "region":
			s.cfg.Region = value
		case "lag":
			s.cfg.MaxLag = duration(s.t, value)
		case "bytes":
			s.cfg.MaxBytes = int64(number(s.t, value))
		case "share":
			s.cfg.Share = number(s.t, value)
		case "primaries":
			s.cfg.Primaries = true
		default:
			s.t.Fatalf("no such setting: %s", w)
		}
	}
}

func (s *stage) setNodes(words []string) {
	var nodes []Node
	for _, w := range words {
		name, region, _ := strings.Cut(w, ":")
		name, primary := strings.CutPrefix(name, "*")
		nodes = append(nodes, Node{Name: name, Region: region, Primary: primary})
	}
	var err error
	if s.p == nil {
		s.p, err = New(s.cfg, nodes)
	} else {
		err = s.p.SetNodes(s.now, nodes)
	}
	if err != nil {
		s.say("%v", err)
	}
}

func want(s *stage, words []string) (w Want) {
	for _, word := range words {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "fresh":
			w.Fresh = true
		case "after":
			w.After = true
		case "idle":
			w.Idle = true
		case "staleness":
			w.Staleness = duration(s.t, value)
		case "tried":
			for _, n := range strings.Split(value, ",") {
				w.Tried = w.Tried.With(s.find(n))
			}
		}
	}
	return w
}

func (s *stage) pick(w Want) {
	c, ok := s.p.Pick(s.now, w)
	if !ok {
		s.say("none")
		return
	}
	s.p.Begin(c.Node)
	s.say("%s (%s)", s.p.nodes[c.Node].Name, c.Reason)
}

// reads has so many reads go, one after the other, and counts where they went and why.
func (s *stage) reads(words []string) {
	n := int(number(s.t, words[0]))
	every := time.Millisecond
	ratios := map[string]float64{}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch {
		case name == "every":
			every = duration(s.t, value)
		case value != "" && name != "staleness" && name != "tried":
			ratios[name] = number(s.t, value)
		}
	}
	counts := map[string]int{}
	var order []string
	for range n {
		s.now += every
		c, ok := s.p.Pick(s.now, want(s, words[1:]))
		what := "none"
		if ok {
			name := s.p.nodes[c.Node].Name
			what = fmt.Sprintf("%s (%s)", name, c.Reason)
			s.p.Begin(c.Node)
			ratio, known := ratios[name]
			if !known {
				ratio = 1
			}
			s.p.Done(s.now, c.Node, OK, ratio)
		}
		if counts[what]++; counts[what] == 1 {
			order = append(order, what)
		}
	}
	for _, what := range order {
		s.say("%d × %s", counts[what], what)
	}
}

func (s *stage) state() {
	for _, n := range s.p.Stats(s.now) {
		line := fmt.Sprintf("%s: cost %.2f, in flight %d, failures %d, level %d", n.Name, n.Cost, n.InFlight, n.Failures, n.Level)
		if n.Ejected > 0 {
			line += fmt.Sprintf(", ejected until %s", n.Ejected)
		}
		s.say("%s", line)
	}
}

func (s *stage) find(name string) int {
	for i := range s.p.nodes {
		if s.p.nodes[i].Name == name {
			return i
		}
	}
	s.t.Fatalf("no copy is called %q", name)
	return 0
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
