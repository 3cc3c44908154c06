package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/fulcrum-data/fulcrum"
)

// browser is a tab of a real Chromium, and what its console said.
type browser struct {
	context.Context
	mu     sync.Mutex
	errors []string
}

// longest is how long anything in a browser may take before a test gives up.
const longest = time.Minute

// open starts Chromium with a window of that size and loads a page.
func open(t *testing.T, url string, width, height int) *browser {
	t.Helper()
	return openIn(t, newBrowser(t, width, height), url)
}

func newBrowser(t *testing.T, width, height int) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: scripts/deps.sh installs it on Debian", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(width, height), chromedp.WSURLReadTimeout(longest), chromedp.Flag("disable-dev-shm-usage", true))
	all, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(all, chromedp.WithErrorf(func(string, ...any) {})) // it complains of what it does not know yet
	t.Cleanup(closeTab)
	return tab
}

func openIn(t *testing.T, tab context.Context, url string) *browser {
	t.Helper()
	if err := chromedp.Run(tab); err != nil { // without a bound: the browser ends with the context of its first action
		t.Fatal(err)
	}
	b := &browser{Context: tab}
	chromedp.ListenTarget(tab, b.hear)
	b.run(t, log.Enable(), chromedp.Navigate(url))
	b.until(t, `document.documentElement.dataset.tick !== undefined`)
	return b
}

// hear keeps what a developer would see in red.
func (b *browser) hear(e any) {
	text := ""
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			text = fmt.Sprint(e.Type)
			for _, a := range e.Args {
				text += " " + string(a.Value)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			text = e.Entry.Text + " " + e.Entry.URL
		}
	}
	if text != "" {
		b.mu.Lock()
		b.errors = append(b.errors, text)
		b.mu.Unlock()
	}
}

// quiet checks that the console has said nothing.
func (b *browser) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.errors {
		t.Errorf("console: %s", text)
	}
}

func (b *browser) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, longest)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// eval runs JavaScript and keeps what it gives.
func (b *browser) eval(t *testing.T, script string, into any) {
	t.Helper()
	b.run(t, chromedp.Evaluate(script, into, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// until waits for a condition in the page and says how long that took.
func (b *browser) until(t *testing.T, condition string) time.Duration {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < longest {
		var holds bool
		b.eval(t, "!!("+condition+")", &holds)
		if holds {
			return time.Since(begin)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
	var seen string
	b.eval(t, `document.body.innerText`, &seen)
	t.Fatalf("never came: %s\n%s", condition, seen)
	return 0
}

func (b *browser) text(t *testing.T, id string) string {
	t.Helper()
	var s string
	b.eval(t, fmt.Sprintf("document.getElementById(%q).textContent", id), &s)
	return s
}

// busy makes a gateway with regions, promises and traffic until the test ends.
func busy(t *testing.T, address string) (*Gateway, func()) {
	t.Helper()
	cfg := testConfig(&memory{})
	cfg.Regions = theFour()
	cfg.Regions[0].Policy.SLO.Percentile, cfg.Regions[0].Policy.SLO.Target = 99, 20*time.Millisecond
	cfg.Regions[4].Policy.SLO.Percentile, cfg.Regions[4].Policy.SLO.Target = 50, time.Nanosecond
	cfg.Admin = address
	g := newGateway(t, cfg)
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { _ = g.Serve() })
	ctx, cancel := context.WithCancel(t.Context())
	client := newClient(t)
	for caller := range 3 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, _, _ = getFrom(client, fmt.Sprintf("http://%s/v1/users/%d", g.Addr(), i%50+caller), []string{"default", "us-east", "asia"}[caller])
				time.Sleep(2 * time.Millisecond) // think time
			}
		})
	}
	stop := sync.OnceFunc(func() {
		cancel()
		_ = g.Shutdown(context.Background())
		all.Wait()
	})
	t.Cleanup(stop)
	return g, stop
}

func modeNow(t *testing.T, g *Gateway) modeJSON {
	t.Helper()
	status, body, err := get(newClient(t), "http://"+g.AdminAddr()+"/api/v1/mode")
	var m modeJSON
	if err == nil {
		err = json.Unmarshal([]byte(body), &m)
	}
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	return m
}

// The page shows what /api/v1/stats says at the same tick.
func TestDashboardFigures(t *testing.T) {
	g, _ := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	b.until(t, `document.getElementById('load').textContent !== '–' && document.getElementById('offered').textContent !== '0'`)
	// The formats are the page's own; the figures are those that the server gave.
	var same []string
	b.eval(t, `(async () => {
		const { count } = await import('/dashboard/advice.js');
		const wrong = [];
		for (let tries = 0; tries < 20; tries++) {
			wrong.length = 0;
			const tick = document.documentElement.dataset.tick;
			const s = await (await fetch('/api/v1/stats')).json();
			const near = Math.abs(s.uptime_seconds - Number(tick)) <= 1.5;
			for (const name of ['offered', 'goodput', 'refused', 'throughput']) {
				const shown = document.getElementById(name).textContent, want = count(s.rates[name + '_rps']);
				if (shown !== want || !near) wrong.push(name + ': ' + shown + ', want ' + want + ', tick ' + tick + ' of ' + s.uptime_seconds);
			}
			for (const [id, want] of [['mode', s.backend.modes.mode], ['k', String(s.backend.in_flight_limit)]]) {
				if (document.getElementById(id).textContent !== want) wrong.push(id);
			}
			if (!wrong.length) return [];
			await new Promise((go) => setTimeout(go, 130)); // a tick came between the two looks
		}
		return wrong;
	})()`, &same)
	if len(same) > 0 {
		t.Errorf("%q", same)
	}
	for id, want := range map[string]string{"regions": "missed", "advice": "asia misses its promise p50=1ns", "mode-why": "since the start", "resources": "members"} {
		if text := b.text(t, id); !strings.Contains(text, want) {
			t.Errorf("%s: %q, want %q", id, text, want)
		}
	}
	b.quiet(t)
}

// A mode that the server changes appears with its event: within two seconds on a
// machine that is not busy, which is where FULCRUM_MEASURE is set.
func TestDashboardShowsAModeChange(t *testing.T) {
	g, _ := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	if err := g.backend.Override(fulcrum.ModeThroughput, time.Hour); err != nil {
		t.Fatal(err)
	}
	took := b.until(t, `document.getElementById('mode').textContent === 'throughput' &&
		document.getElementById('events').textContent.includes('balanced → throughput')`)
	t.Logf("it took %v", took)
	if os.Getenv("FULCRUM_MEASURE") != "" && took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	var spoken string
	b.eval(t, `document.querySelector('[aria-live]').textContent`, &spoken)
	if !strings.Contains(spoken, "Mode throughput") {
		t.Errorf("announced %q", spoken)
	}
	b.quiet(t)
}

// Pinned by keyboard alone, seen in the API, and released.
func TestDashboardPinsAMode(t *testing.T) {
	g, _ := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	b.run(t, chromedp.Focus("#pin"), chromedp.KeyEvent("\r"))
	b.until(t, `document.getElementById('pin-dialog').open`)
	if m := modeNow(t, g); m.Until != 0 {
		t.Error("pinned before it was confirmed")
	}
	b.run(t, chromedp.Click(`#pin-dialog input[value=throughput]`), chromedp.Focus("#pin-dialog .main"), chromedp.KeyEvent("\r"))
	b.until(t, `!document.getElementById('pin-dialog').open && document.getElementById('mode').textContent === 'throughput'`)
	if m := modeNow(t, g); m.Mode != "throughput" || m.Until < 800 || m.Until > 900 || m.Cause != "override" {
		t.Errorf("the API says %+v", m)
	}
	if why := b.text(t, "mode-why"); !strings.Contains(why, "Pinned by hand for another 15 min") {
		t.Error(why)
	}
	b.until(t, `!document.getElementById('release').hidden`)
	b.run(t, chromedp.Click("#release"), chromedp.Click("#release-dialog .main"))
	b.until(t, `document.getElementById('mode-why').textContent.includes('Pinned') === false`)
	if m := modeNow(t, g); m.Until != 0 {
		t.Errorf("the API says %+v", m)
	}
	b.quiet(t)
}

// The page says that it is cut off, and goes on with another process at the address.
func TestDashboardSurvivesARestart(t *testing.T) {
	g, stop := busy(t, "127.0.0.1:0")
	address := g.AdminAddr()
	b := open(t, "http://"+address+"/", 1280, 900)
	stop()
	b.until(t, `document.getElementById('connection').textContent.startsWith('cut off')`)
	again, _ := busy(t, address)
	b.until(t, `document.getElementById('connection').textContent === 'live'`)
	b.until(t, `Number(document.documentElement.dataset.tick) < 30`)
	if err := again.backend.Override(fulcrum.ModeLatency, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.until(t, `document.getElementById('mode').textContent === 'latency'`)
}

// While nothing is answered the page says so, of the resource that is asked for.
func TestDashboardWithoutAnswers(t *testing.T) {
	g, _ := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	gone := error(fulcrum.ErrUnavailable)
	db := g.cfg.DB.(*memory)
	db.ping.Store(&gone)
	db.away.Store(true)
	b.until(t, `document.getElementById('circuit').textContent.includes('circuit open')`)
	b.until(t, `document.getElementById('load').textContent === 'no answers' && document.getElementById('load-sub').textContent.includes('and none is answered')`)
	b.until(t, `document.getElementById('resource').value === 'users'`)
	if text := b.text(t, "advice"); !strings.Contains(text, "Look at the database") {
		t.Error(text)
	}
}
