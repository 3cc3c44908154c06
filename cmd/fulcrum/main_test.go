package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// TestMain lets a test start this binary as the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("FULCRUM_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// try runs a command and returns its exit code and what it wrote.
func try(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(terminal{ctx, &out, &errs}, args)
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"", 2, "", "demo"},
		{"frobnicate", 2, "", "unexpected argument frobnicate"},
		{"demo --frob", 2, "", "unknown flag --frob"},
		{"demo --for", 2, "", "--for"},
		{"demo --for soon", 2, "", "soon"},
		{"demo --for=-1s", 2, "", "--for: -1s is negative"},
		{"demo --rate 0", 2, "", "--rate: 0 is not between 1 and 1000000"},
		{"demo --profiles 0", 2, "", "--profiles: 0 is not between 1 and 10000000"},
		{"demo --seed x", 2, "", "--seed"},
		{"--help", 0, "demo", ""},
		{"demo --help", 0, "--rate", ""},
		{"version", 0, "fulcrum ", ""},
	} {
		code, stdout, stderr := try(t.Context(), strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("fulcrum %s: code %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, stdout, stderr)
		}
		if c.code == 0 && stderr != "" || c.code == 2 && stdout != "" {
			t.Errorf("fulcrum %s: written in the wrong place\nstdout: %s\nstderr: %s", c.args, stdout, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	_, stdout, _ := try(t.Context(), "version")
	if n := len(strings.Fields(stdout)); n < 4 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
}
