package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/fulcrum-data/fulcrum/internal/beacon"
)

func TestExperienceIsOff(t *testing.T) {
	g := newGateway(t, testConfig(&memory{}))
	wantProblem(t, ask(t, g.Data(), "GET", "/fulcrum.js", ""), 404, "unknown_path")
	if a := ask(t, g.Data(), "POST", "/v1/experience", "{}"); a.StatusCode == 204 {
		t.Error("a beacon was taken")
	}
	wantProblem(t, ask(t, g.Admin(), "GET", "/api/v1/experience", ""), 404, "unknown_path")
}

// Rows of a resource called experience stay reachable.
func TestExperienceHidesNothing(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Resources[0].Name = "experience"
	cfg.Experience = &beacon.Config{}
	if a := ask(t, newGateway(t, cfg).Data(), "GET", "/v1/experience/7", ""); a.StatusCode != 200 {
		t.Error(a.StatusCode, a.text)
	}
}

func TestExperienceBeforeAnybody(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Experience = &beacon.Config{}
	a := ask(t, newGateway(t, cfg).Admin(), "GET", "/api/v1/experience", "")
	if want := `{"beacons":{"accepted_total":0,"started_total":0,"abandoned_total":0,"refused_total":{},"kept":0},"lost_total":0}` + "\n"; a.text != want {
		t.Error(a.text)
	}
}

// experienceNow reads the report once so many beacons are there.
func experienceNow(t *testing.T, g *Gateway, accepted uint64) Experience {
	t.Helper()
	var e Experience
	for begin := time.Now(); time.Since(begin) < longest; time.Sleep(20 * time.Millisecond) {
		_, body, err := get(newClient(t), "http://"+g.AdminAddr()+"/api/v1/experience")
		if err != nil {
			t.Fatal(err)
		}
		e = Experience{}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if e.Beacons.Accepted >= accepted {
			return e
		}
	}
	t.Fatalf("never came: %+v", e.Beacons)
	return e
}

// A shop of another origin, whose server takes its time, in a real browser: the time to
// first byte that arrives is the server's, within a fifth, and what the visitor said
// and did comes with it. Without consent nothing is sent.
func TestShop(t *testing.T) {
	const thinks = 600 * time.Millisecond
	cfg := testConfig(&memory{})
	cfg.Experience = &beacon.Config{}
	shop := httptest.NewUnstartedServer(nil)
	cfg.Experience.Origins = []string{"http://" + shop.Listener.Addr().String()}
	g, _ := start(t, cfg)
	var took atomic.Int64
	shop.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/favicon.ico" {
			return
		}
		time.Sleep(thinks)
		w.Header().Set("Server-Timing", `lane;desc=urgent, queue;dur=1.5, batch;desc="n=37", db;dur=2, mode;desc=throughput`)
		fmt.Fprintf(w, `<!doctype html><title>Shop</title><h1>Shop</h1><script src="http://%s/fulcrum.js" data-region=europe %s></script><script>
			document.documentElement.dataset.tick = 1; fulcrum.rate(5); fulcrum.convert('checkout', 12.5);</script>`, g.Addr(), r.URL.RawQuery)
		took.Store(int64(time.Since(begin)))
	})
	shop.Start()
	defer shop.Close()
	tab := newBrowser(t, 800, 600)
	b := openIn(t, tab, shop.URL+"/cart?data-consent=wait")
	b.run(t, chromedp.Navigate("about:blank"))
	b.run(t, chromedp.Navigate(shop.URL+"/cart"))
	b.until(t, `performance.getEntriesByType('paint').length > 0 && performance.getEntriesByType('navigation')[0].loadEventEnd > 0`)
	b.run(t, chromedp.Navigate("about:blank"))
	e := experienceNow(t, g, 1)
	if e.All == nil || e.All.Visits != 1 || e.Beacons.Accepted != 1 || len(e.Beacons.Refused) != 0 || e.Beacons.Started != 2 {
		t.Fatalf("%+v", e)
	}
	server := time.Duration(took.Load()).Seconds()
	if ttfb := e.All.Vitals["TTFB"].P75; ttfb < server*.8 || ttfb > server*1.2 {
		t.Errorf("TTFB %v s, the server took %v s", ttfb, server)
	} else {
		t.Logf("TTFB %.3f s, the server took %.3f s", ttfb, server)
	}
	if e.Conversions.Share.Hits != 1 || e.Satisfaction.Share.Hits != 1 || e.All.Vitals["FCP"].Samples != 1 || e.Missing.Visits != 1 {
		t.Errorf("%+v %+v %+v", e.Conversions, e.Satisfaction, e.All.Vitals)
	}
	lanes := map[string]string{}
	for _, p := range e.Parts {
		lanes[p.Dimension] = p.Value
	}
	if lanes["lane"] != "urgent" || lanes["region"] != "europe" || lanes["device"] != "desktop" || lanes["mode"] != "throughput" || lanes["batch"] != "10 to 99" {
		t.Errorf("parts %v", lanes)
	}
	b.quiet(t)
}
