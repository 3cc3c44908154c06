package gateway

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"
)

// maxTransfer is what the page and all its parts may weigh on the wire, in bytes.
const maxTransfer = 150_000

func (b *browser) transferred(t *testing.T) int {
	t.Helper()
	var bytes int
	b.eval(t, `['navigation', 'resource'].flatMap((k) => performance.getEntriesByType(k))
		.filter((e) => !e.name.includes('/api/')).reduce((sum, e) => sum + e.transferSize, 0)`, &bytes)
	return bytes
}

func TestDashboardIsLight(t *testing.T) {
	g, _ := start(t, testConfig(&memory{}))
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	if n := b.transferred(t); n < 10_000 || n > maxTransfer {
		t.Errorf("%d bytes were transferred, want at most %d", n, maxTransfer)
	}
	b.quiet(t)
}

// contrasts finds text whose contrast with what is behind it is below AA: 4.5, or 3
// where it is large. A canvas turns every notation of colours into numbers.
const contrasts = `(() => {
	const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
	const mix = (layers) => {
		pen.clearRect(0, 0, 1, 1);
		for (const l of layers) { pen.fillStyle = l; pen.fillRect(0, 0, 1, 1); }
		return [...pen.getImageData(0, 0, 1, 1).data];
	};
	const light = (c) => {
		const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const bad = [];
	let seen = 0;
	for (const e of document.querySelectorAll('body *')) {
		const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
		if (!own || !e.checkVisibility() || e.closest('.hidden, noscript, option')) continue;
		const layers = [];
		for (let p = e; p; p = p.parentElement) layers.unshift(getComputedStyle(p).backgroundColor);
		const style = getComputedStyle(e);
		const back = light(mix(layers)), front = light(mix([...layers, style.color]));
		const ratio = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
		seen++;
		if (ratio < (large ? 3 : 4.5)) bad.push(ratio.toFixed(2) + ' ' + e.tagName + ' ' + e.textContent.slice(0, 40));
	}
	return seen < 50 ? ['only ' + seen + ' texts seen'] : bad;
})()`

// Text has the contrast that AA asks for, in light and dark, with a dialog, with all
// tones, and after the connection was lost.
func TestDashboardContrast(t *testing.T) {
	g, stop := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	look := func(state string) {
		for _, theme := range []string{"light", "dark"} {
			b.run(t, chromedp.Evaluate(fmt.Sprintf(`document.documentElement.dataset.theme = %q`, theme), nil))
			var bad []string
			b.eval(t, contrasts, &bad)
			if len(bad) > 0 {
				t.Errorf("%s, %s:\n%s", state, theme, strings.Join(bad, "\n"))
			}
		}
	}
	b.until(t, `document.getElementById('regions').textContent.includes('missed')`)
	look("live")
	var planted []string
	b.run(t, chromedp.Evaluate(`document.getElementById('wait-sub').id = 'pale'; document.getElementById('pale').style.color = 'rgb(128 128 128 / .6)'`, nil))
	b.eval(t, contrasts, &planted)
	if len(planted) != 1 {
		t.Errorf("pale text was planted, and %q found", planted)
	}
	b.run(t, chromedp.Evaluate(`document.getElementById('pale').style.color = ''; document.getElementById('pale').id = 'wait-sub'`, nil))
	b.run(t, chromedp.Evaluate(`document.getElementById('circuit').dataset.tone = 'warn'; document.getElementById('pin').click()`, nil))
	look("dialog")
	b.run(t, chromedp.Evaluate(`document.getElementById('pin-dialog').close()`, nil))
	stop()
	b.until(t, `document.getElementById('connection').dataset.state === 'cut'`)
	look("cut off")
}

// What a screen reader needs: a name for all that can be used or is a picture, and
// landmarks.
func TestDashboardNames(t *testing.T) {
	g, _ := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	var nameless []string
	b.eval(t, `[...document.querySelectorAll('button, select, input, [role=img], [role=region], [role=meter], section, article, dialog')]
		.filter((e) => !(e.getAttribute('aria-label') || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent ||
			e.labels?.[0]?.textContent.trim() || e.tagName === 'BUTTON' && e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80))`, &nameless)
	if len(nameless) > 0 {
		t.Errorf("without a name: %q", nameless)
	}
	var counts []int
	b.eval(t, `['main', 'header', 'footer', 'h1', '[aria-live]', 'html[lang]', 'table caption'].map((s) => document.querySelectorAll(s).length)`, &counts)
	for i, n := range counts {
		if n == 0 {
			t.Errorf("landmark %d is missing: %v", i, counts)
		}
	}
	b.run(t, chromedp.Evaluate(`document.querySelectorAll('details').forEach((d) => { d.open = true; })`, nil))
	b.until(t, `[...document.querySelectorAll('details table')].length === 2 && document.querySelector('details table tbody').rows.length > 0`)
	b.quiet(t)
}

// No view is wider than a phone; only tables scroll.
func TestDashboardIsNarrow(t *testing.T) {
	g, _ := busy(t, "127.0.0.1:0")
	b := open(t, "http://"+g.AdminAddr()+"/", 500, 800)
	b.run(t, chromedp.EmulateViewport(360, 740))
	b.until(t, `document.documentElement.clientWidth === 360 && document.documentElement.scrollWidth <= 360`)
}

// TestDashboardGates measures what depends on the machine; make bench-dashboard runs it.
func TestDashboardGates(t *testing.T) {
	if os.Getenv("FULCRUM_MEASURE") == "" {
		t.Skip("FULCRUM_MEASURE is not set: times depend on the machine")
	}
	const window = 20 * time.Second
	g, _ := start(t, testConfig(&memory{}))
	tab := newBrowser(t, 1280, 900)
	b := openIn(t, tab, "http://"+g.AdminAddr()+"/")
	var paint float64
	b.eval(t, `performance.getEntriesByName('first-contentful-paint')[0].startTime`, &paint)
	time.Sleep(5 * time.Second) // until the start is over
	before := b.cpu(t)
	time.Sleep(window)
	share := (b.cpu(t) - before) / window.Seconds()
	t.Logf("transferred %d bytes, first contentful paint %.0f ms, idle and open %.1f %% of a core (all processes of the browser)", b.transferred(t), paint, share*100)
	if paint >= 500 || share >= 0.05 {
		t.Error("want under 500 ms and under 5 %")
	}
}

// cpu is the time that all processes of the browser have used, in seconds.
func (b *browser) cpu(t *testing.T) float64 {
	t.Helper()
	c := chromedp.FromContext(b.Context)
	all, err := systeminfo.GetProcessInfo().Do(cdp.WithExecutor(b.Context, c.Browser))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, p := range all {
		sum += p.CPUTime
	}
	return sum
}
