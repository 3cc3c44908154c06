package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/config"
	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// analyzed runs fulcrum analyze --json.
func analyzed(t *testing.T, args ...string) *usage.Report {
	t.Helper()
	code, stdout, stderr := try(t.Context(), append([]string{"analyze", "--json"}, args...)...)
	var r usage.Report
	if err := json.Unmarshal([]byte(stdout), &r); code != exitDone || err != nil {
		t.Fatalf("%v: code %d, %v: %s", args, code, err, stderr)
	}
	return &r
}

// recorded is a file of the folder that FULCRUM_DATA names.
func recorded(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("FULCRUM_DATA")
	if dir == "" {
		t.Skip("FULCRUM_DATA names no folder with recorded traffic")
	}
	return filepath.Join(dir, name)
}

// isAbout compares to as many places as the truth has.
func isAbout(t *testing.T, what string, got *float64, want, within float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is not known, want %v", what, want)
	} else if math.Abs(*got-want) > within {
		t.Errorf("%s is %v, want %v", what, *got, want)
	}
}

func missRatioAt(t *testing.T, r *usage.Report, entries uint64) *float64 {
	t.Helper()
	for _, m := range r.MissRatioCurve {
		if m.Entries == entries {
			return &m.Ratio
		}
	}
	t.Errorf("the curve has no point at %d entries", entries)
	return nil
}

// The truths of this file were computed by independent programs.

func TestAnalyzeASliceOfApache(t *testing.T) {
	r := analyzed(t, "testdata/apache_access_400.log")
	if r.Format != "combined" || r.Requests != 400 || r.Skipped != 0 || r.Keys.Distinct != 190 || *r.Clients.Distinct != 96 {
		t.Errorf("%+v", r)
	}
	if top := r.Keys.Top[0]; top.Key != "/favicon.ico" || top.Count != 32 {
		t.Errorf("top key %+v", top)
	}
	isAbout(t, "peak", r.Peak.RPS1, 5, 0)
}

func TestAnalyzeAzure(t *testing.T) {
	r := analyzed(t, "../../internal/load/testdata/azure_llm_conv_1200.csv")
	isAbout(t, "variation of gaps", r.Burst.CV, 1.2172, .0002)
	r = analyzed(t, recorded(t, "azure_llm_conv.csv"))
	isAbout(t, "variation of gaps", r.Burst.CV, 1.094, .0005)
	isAbout(t, "dispersion at 1 s", r.Burst.Dispersion1, 1.386, .0005)
	isAbout(t, "peak", r.Peak.RPS1, 16, 0)
	if r.Format != "csv" || r.Requests != 19_366 {
		t.Errorf("%s, %d requests", r.Format, r.Requests)
	}
}

func TestAnalyzeApache(t *testing.T) {
	r := analyzed(t, recorded(t, "apache_access.log"))
	if r.Format != "combined" || r.Requests != 10_000 || r.Keys.Distinct != 1498 || *r.Clients.Distinct != 1753 {
		t.Errorf("%+v", r)
	}
	if top := r.Keys.Top[0]; top.Key != "/favicon.ico" || top.Count != 807 {
		t.Errorf("top key %+v", top)
	}
	isAbout(t, "peak", r.Peak.RPS1, 9, 0)
	if r.Together[0].Window < 1 {
		t.Error("claims about what happens within a second, of times in whole seconds")
	}
	if len(r.Advice) > 0 {
		t.Errorf("an idle site needs nothing, but: %+v", r.Advice)
	}
}

func TestAnalyzeOpenStack(t *testing.T) {
	r := analyzed(t, recorded(t, "openstack_2k.log"))
	if r.Format != "openstack" || r.Requests != 1017 || r.Skipped != 983 || r.Latency.Samples != 1017 {
		t.Errorf("%s, %d requests, %d skipped", r.Format, r.Requests, r.Skipped)
	}
	isAbout(t, "p50", r.Latency.P50, .259165, 5e-7)
	isAbout(t, "p95", r.Latency.P95, .385252, 5e-7)
	isAbout(t, "p99", r.Latency.P99, .504927, 5e-7)
	isAbout(t, "Apdex(0.3)", r.Apdex.Score, .9602, 5e-5)
	if r.Apdex.Threshold != .3 {
		t.Errorf("threshold %v", r.Apdex.Threshold)
	}
}

func TestAnalyzeNASA(t *testing.T) {
	r := analyzed(t, recorded(t, "nasa_per_second.tbz2"))
	if r.Requests != 3_461_610 || *r.Seconds != 5_059_950 {
		t.Errorf("%d requests in %v s", r.Requests, *r.Seconds)
	}
	isAbout(t, "peak", r.Peak.RPS1, 20, 0)
	isAbout(t, "dispersion at 1 s", r.Burst.Dispersion1, 1.669, .0005)
	isAbout(t, "dispersion at 60 s", r.Burst.Dispersion60, 21.26, .005)
}

func TestAnalyzeWeb12(t *testing.T) {
	for _, args := range [][]string{{}, {"--format", "trace:int32be"}} {
		r := analyzed(t, append(args, recorded(t, "web12.trace.xz"))...)
		if r.Format != "trace:int32be" || r.Requests != 95_607 || r.Keys.Distinct != 13_756 {
			t.Errorf("%s, %d requests, %d keys", r.Format, r.Requests, r.Keys.Distinct)
		}
		isAbout(t, "miss ratio", missRatioAt(t, r, 1375), .3152, 5e-5)
	}
}

func TestAnalyzeARC(t *testing.T) {
	r := analyzed(t, recorded(t, "arc_oltp.gz"))
	if r.Format != "trace:start-count" || r.Requests != 914_145 || r.Keys.Distinct != 186_880 {
		t.Errorf("%s, %d requests, %d keys", r.Format, r.Requests, r.Keys.Distinct)
	}
	isAbout(t, "miss ratio", missRatioAt(t, r, 18_688), .3348, 5e-5)
	isAbout(t, "head skew", r.Keys.ZipfS, .71, .005)
	if r.Keys.ZipfOf != "head" || r.Keys.ZipfFit != "not zipf" {
		t.Errorf("%s, %s", r.Keys.ZipfOf, r.Keys.ZipfFit)
	}
}

func TestAnalyzeSeveralLogs(t *testing.T) {
	text, err := os.ReadFile("testdata/apache_access_400.log")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	dir := t.TempDir()
	names := []string{filepath.Join(dir, "access.log"), filepath.Join(dir, "access.log.1")}
	for i, part := range [][]string{lines[200:], lines[:200]} { // as logs are rotated
		if err := os.WriteFile(names[i], []byte("broken\n"+strings.Join(part, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole, parts := analyzed(t, "testdata/apache_access_400.log"), analyzed(t, names...)
	if parts.Skipped != 2 {
		t.Errorf("%d lines skipped, 2 are broken", parts.Skipped)
	}
	parts.Skipped = 0
	a, _ := json.Marshal(whole)
	b, _ := json.Marshal(parts)
	if string(a) != string(b) {
		t.Errorf("in one:\n%s\nin two:\n%s", a, b)
	}
	_, stdout, _ := try(t.Context(), append([]string{"analyze"}, names...)...)
	for _, want := range []string{"2 logs: 400 requests, 2 lines skipped", `access.log:1 "broken"`, "access.log.1:1"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("without %q:\n%s", want, stdout)
		}
	}
}

func TestAnalyzeUsage(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"", "name logs, or a gateway with --live"},
		{"x --format magic", "magic"},
		{"x --format csv --format-string $time", "not both"},
		{"x --format-string $a$time_local", "nothing separates"},
		{"x --format-string $status", "neither a time nor a path"},
		{"x --field time", "NAME=FIELD"},
		{"x --field when=then", "NAME=FIELD"},
		{"x --key-template users", "{key}"},
		{"x --key-template /a{key}", "whole segment"},
		{"x --apdex-threshold 0s", "--apdex-threshold"},
		{"x --a=-1s", "--a and --b"},
		{"x --rtt=-1s", "--rtt"},
		{"x --cores 0", "--cores"},
		{"x --times 0", "--times"},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"analyze"}, strings.Fields(c.args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("analyze %s: code %d, stderr %q, want %q in it", c.args, code, stderr, c.stderr)
		}
	}
}

// What is no log ends with a message that says what it is.
func TestAnalyzeRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, args, want string }{
		"empty":       {"", "", "it is empty"},
		"binary":      {"\x7fELF\x02\x01\x00\x00" + strings.Repeat("\xff\x13\x00\x81", 99), "", "it is binary"},
		"zeros":       {strings.Repeat("\x00", 9999), "", "it is binary"},
		"prose":       {"It was a dark\nand stormy night\n", "", `no format that is known; the first is "It was a dark"`},
		"not.gz":      {"\x1f\x8bxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "", "begins like gzip"},
		"forced":      {"a\nb\n", "--format combined", `none of its 2 lines has the format combined; line 1 is "a"`},
		"only header": {"time,path\n", "--format csv", "no requests in it"},
		"long line":   {strings.Repeat("x", 5<<20), "", "no format that is known"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := try(t.Context(), append([]string{"analyze", file}, strings.Fields(c.args)...)...)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, file+": ") {
			t.Errorf("%s: code %d, stderr %q, want %q in it", name, code, stderr, c.want)
		}
	}
	for file, want := range map[string]string{filepath.Join(dir, "gone"): "no such file", dir: "it is a directory"} {
		if code, _, stderr := try(t.Context(), "analyze", file); code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, %s", file, code, stderr)
		}
	}
}

// What is advised can be put into a configuration as it stands.
func TestAdviceIsConfiguration(t *testing.T) {
	var trace strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&trace, "%.5f,/users/%d\n", float64(i)/20_000, i)
	}
	file := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(file, []byte(trace.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := try(t.Context(), "analyze", file, "--format", "csv", "--field", "1=time", "--field", "2=path", "--rtt", "1ms", "--html", file+".html")
	_, advice, ok := strings.Cut(stdout, "\n\n")
	if code != exitDone || !ok || !strings.Contains(advice, "\npolicy:\n") {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	text := "store: sqlite:x.db\nresources: {users: {table: users, key: id, columns: [id]}}\n" + advice
	if _, err := config.Parse("fulcrum.yaml", []byte(text), func(string) (string, bool) { return "", false }); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if html, err := os.ReadFile(file + ".html"); err != nil || !strings.Contains(string(html), "policy:") {
		t.Errorf("%v", err)
	}
}
