package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage"
	"github.com/fulcrum-data/fulcrum/internal/usage/logs"
)

// The report of a recorded log, whole.
func TestAnalyzePrints(t *testing.T) {
	code, stdout, stderr := try(t.Context(), "analyze", "testdata/apache_access_400.log")
	if code != exitDone || stderr != "" {
		t.Fatalf("code %d: %s", code, stderr)
	}
	stdout = regexp.MustCompile(`read in .*`).ReplaceAllString(stdout, "read in …")
	const want = `combined   testdata/apache_access_400.log: 400 requests, 0 lines skipped; read in …
peak       5/s over 1 s, 2.6/s over 10 s, 1.83/s over 60 s; mean 0.0368/s over 3h1m0s
`
	if !strings.HasPrefix(stdout, want) {
		t.Errorf("it begins differently:\n%s", stdout)
	}
	for _, part := range []string{"\nclients    96\n", "\nkeys       190, ", "\ntop               32  /favicon.ico\n", "\ncache      misses with so many entries: 1: 97.5 %", "note       times are whole seconds", "note       fewer than 1000 requests: no advice", "# Nothing to change"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("without %q:\n%s", part, stdout)
		}
	}
	if lines := strings.Count(stdout, "\n"); lines > 40 {
		t.Errorf("%d lines do not fit a screen", lines)
	}
}

// All that can be said is said, and fits a screen.
func TestAnalyzePrintsEverything(t *testing.T) {
	var log strings.Builder
	for i := range 30_000 {
		took, status := float64(i%900)/1000, 200
		if i%900 > 700 && i%4 == 0 {
			status = 499
		}
		page := i % 7
		if i%3000 < 30 {
			page = i
		}
		fmt.Fprintf(&log, `{"ts":%.3f,"remote_ip":"10.0.0.%d","uri":"/items/%d?ids=1,2","status":%d,"duration":%.3f,"user_agent":"Mozilla"}`+"\n",
			1.7e9+float64(i)/10_000, i/100%200, page, status, took)
	}
	log.WriteString("{broken\x1b[2J\n")
	file := filepath.Join(t.TempDir(), "app.json")
	if err := os.WriteFile(file, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := try(t.Context(), "analyze", file)
	for _, about := range []string{"json", "skipped", "peak", "burst", "latency", "patience", "together", "N+1", "multi-key", "clients", "keys", "top", "cache", "# slo: "} {
		if !strings.Contains("\n"+stdout, "\n"+about) {
			t.Errorf("nothing about %s:\n%s", about, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("a log moves the cursor")
	}
	if lines := strings.Count(stdout, "\n"); lines > 40 {
		t.Errorf("%d lines do not fit a screen", lines)
	}
}

func TestAnalyzeEndsWhenInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "long.csv")
	if err := os.WriteFile(file, []byte(strings.Repeat("1.5\n", 50_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, stdout, stderr := try(ctx, "analyze", file); code != exitFailed || stdout != "" || !strings.Contains(stderr, "interrupted") {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
}

func TestReadingTellsHowFarItIs(t *testing.T) {
	var out bytes.Buffer
	in := &input{name: "x.log", size: 1000, file: &counted{n: 250}, source: &logs.Source{Lines: 30_000}}
	r := &reading{out: &out, all: 1000, begun: time.Now().Add(-10 * time.Second)}
	r.begin(in)
	r.tell()
	if got := out.String(); !regexp.MustCompile(`x\.log: 30,000 lines, [23],\d{3}/s · 25 %, 30s left$`).MatchString(got) {
		t.Errorf("%q", got)
	}
	r.begin(&input{name: "y.log", file: &counted{n: 500}, source: &logs.Source{Lines: 10_000}})
	r.shown = time.Time{}
	out.Reset()
	r.tell()
	r.tell() // too early
	if got := out.String(); !strings.Contains(got, "y.log: 40,000 lines") || !strings.Contains(got, "· 75 %") || strings.Count(got, "y.log") != 1 {
		t.Errorf("%q", got)
	}
	out.Reset()
	if r.end(); out.String() != eraseLine || r.took < 10*time.Second {
		t.Errorf("%q after %s", out.String(), r.took)
	}
}

// brokenPage fails at once.
type brokenPage struct{}

func (brokenPage) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestAnalyzeSaysWhatItCouldNotWrite(t *testing.T) {
	if code, _, stderr := try(t.Context(), "analyze", "testdata/apache_access_400.log", "--html", t.TempDir()); code != exitFailed || !strings.Contains(stderr, "--html") {
		t.Errorf("code %d: %s", code, stderr)
	}
	if err := printUsage(brokenPage{}, usage.New(usage.Config{}).Report(), nil, &reading{}); err == nil {
		t.Error("no error")
	}
}
