package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// eventually waits for a condition that must come.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A running gateway takes another configuration, whole or not at all, while requests
// run: on SIGHUP and when the file changes.
func TestServeReloads(t *testing.T) {
	dir := shop(t)
	config := func(maxBatch int, more string) string {
		return free + fmt.Sprintf("regions: {europe: {max_batch: %d}}\n", maxBatch) + more + wholeShop
	}
	p := serve(t, write(t, dir, config(1, "")))
	ctx, stop := context.WithCancel(t.Context())
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if status, body := ask(t.Context(), "GET", p.data+"/v1/users/42", "", ""); status != 200 {
					t.Errorf("%d %s", status, body)
				}
				answered.Add(1)
			}
		})
	}
	batch := func() int {
		_, body := ask(t.Context(), "GET", p.admin+"/api/v1/stats", "", "")
		var s struct {
			Resources map[string]struct {
				Regions map[string]struct {
					Policy struct {
						MaxBatch int `json:"max_batch"`
					} `json:"policy"`
				} `json:"regions"`
			} `json:"resources"`
		}
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		return s.Resources["users"].Regions["europe"].Policy.MaxBatch
	}
	hup := func() {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= 10; i++ {
		write(t, dir, config(10*i, ""))
		hup()
		eventually(t, "the new policy", func() bool { return batch() == 10*i })
		write(t, dir, config(7, []string{"regoins: {}\n", "limits: {keys: 5}\n", "policy: {linger: 1h}\n", "pool: {max: 3}\n", "geoip: DIR/none.mmdb\n"}[i%5]))
		hup()
		eventually(t, "the refusal", func() bool { return len(p.logged("configuration not reloaded, the old one holds")) >= i })
		if got := batch(); got != 10*i {
			t.Fatalf("after a wrong file: batches up to %d", got)
		}
	}
	file := write(t, dir, config(123, ""))
	if err := os.Chtimes(file, time.Now(), time.Now().Add(time.Second)); err != nil { // a file system may not tell two writes apart
		t.Fatal(err)
	}
	eventually(t, "the changed file", func() bool { return batch() == 123 })
	if err := os.Remove(file); err != nil { // what is gone is no configuration
		t.Fatal(err)
	}
	hup()
	eventually(t, "the missing file", func() bool { return len(p.logged("configuration not reloaded, the old one holds")) >= 11 })
	stop()
	wg.Wait()
	if answered.Load() == 0 || batch() != 123 {
		t.Errorf("%d answered, batches up to %d", answered.Load(), batch())
	}
	if _, body := ask(t.Context(), "GET", p.admin+"/metrics", "", ""); !regexp.MustCompile(`fulcrum_reloads_total\{result="ok"\} 1[1-9]`).MatchString(body) {
		t.Error("the reloads were not counted")
	}
	p.terminate()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
