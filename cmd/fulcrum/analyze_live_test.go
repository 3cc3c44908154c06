package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// A running gateway is listened to as if it were a log.
func TestAnalyzeLive(t *testing.T) {
	dir := shop(t)
	p := serve(t, write(t, dir, free+"usage: true\n"+wholeShop))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			ask(t.Context(), "GET", fmt.Sprintf("%s/v1/users/%d", p.data, i%7), "", "")
		}
	})
	code, stdout, stderr := try(t.Context(), "analyze", "--live", p.admin, "--for", "2s", "--json")
	stop()
	wg.Wait()
	var report struct {
		Format   string `json:"format"`
		Requests int    `json:"requests"`
		Skipped  int    `json:"skipped_lines"`
		Keys     struct {
			Distinct int `json:"distinct"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
		t.Fatalf("code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if report.Format != "json" || report.Requests < 10 || report.Keys.Distinct != 7 || report.Skipped > 1 { // the last line may be cut
		t.Errorf("%+v", report)
	}
	idle := serve(t, write(t, dir, free+"usage: true\n"+wholeShop))
	if code, _, stderr := try(t.Context(), "analyze", "--live", idle.admin, "--for", "50ms"); code != 1 || !strings.Contains(stderr, "within 50ms") {
		t.Errorf("nobody asked: code %d %s", code, stderr)
	}
	off := serve(t, write(t, dir, free+wholeShop))
	if code, _, stderr := try(t.Context(), "analyze", "--live", off.admin); code != 1 || !strings.Contains(stderr, "usage: true") {
		t.Errorf("off: code %d %s", code, stderr)
	}
	for _, args := range [][]string{{"--live", "gateway"}, {"--live", "ftp://x"}, {}, {"--live", p.admin, "a.log"}, {"--live", p.admin, "--for", "0s"}} {
		if code, _, stderr := try(t.Context(), append([]string{"analyze"}, args...)...); code != 2 || stderr == "" {
			t.Errorf("%q: code %d %s", args, code, stderr)
		}
	}
}
