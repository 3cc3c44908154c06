package gateway

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/fulcrum-data/fulcrum"
)

// TestScreenshots takes the pictures of docs/dashboard of a gateway that runs, such as
// that of fulcrum demo:
//
//	FULCRUM_SCREENSHOTS=docs/dashboard FULCRUM_DASHBOARD=http://127.0.0.1:8081/ go test ./internal/gateway -run TestScreenshots
func TestScreenshots(t *testing.T) {
	folder, url := os.Getenv("FULCRUM_SCREENSHOTS"), os.Getenv("FULCRUM_DASHBOARD")
	if folder == "" || url == "" {
		t.Skip("FULCRUM_SCREENSHOTS and FULCRUM_DASHBOARD are not set")
	}
	tab := newBrowser(t, 1360, 900)
	b := openIn(t, tab, url)
	for _, call := range []string{`{ method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{"mode":"latency","for":"5m"}' }`, `{ method: 'DELETE' }`} {
		time.Sleep(15 * time.Second) // of history, so that there is something to see
		b.eval(t, `fetch('/api/v1/mode', `+call+`).then((a) => a.status)`, new(int))
	}
	time.Sleep(10 * time.Second)
	for _, theme := range []string{"light", "dark"} {
		b.run(t, chromedp.SetValue("#theme", theme), chromedp.Evaluate(`document.getElementById('theme').dispatchEvent(new Event('change'))`, nil))
		for _, size := range []struct {
			name   string
			pixels int64
		}{{"wide", 1360}, {"narrow", 390}} {
			b.run(t, emulation.SetDeviceMetricsOverride(size.pixels, 900, 1, false), chromedp.Sleep(2*time.Second))
			name := fmt.Sprintf("%s-%s", theme, size.name)
			b.picture(t, filepath.Join(folder, name+".png"), true)
			b.run(t, chromedp.Evaluate(`document.getElementById('pin').click()`, nil))
			b.picture(t, filepath.Join(folder, "pin-"+name+".png"), false)
			b.run(t, chromedp.Evaluate(`document.getElementById('pin-dialog').close()`, nil))
		}
	}
	b.quiet(t)
}

// picture keeps what is seen, or the whole page.
func (b *browser) picture(t *testing.T, path string, whole bool) {
	t.Helper()
	var seen []byte
	if whole {
		b.run(t, chromedp.FullScreenshot(&seen, 100))
	} else {
		b.run(t, chromedp.CaptureScreenshot(&seen))
	}
	full, err := png.Decode(bytes.NewReader(seen))
	if err != nil {
		t.Fatal(err)
	}
	var small bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&small, paletted(full)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// paletted keeps the 256 commonest colours: a third of the size, and nobody sees it.
func paletted(full image.Image) image.Image {
	counts := map[color.Color]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[full.At(x, y)]++
		}
	}
	commonest := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	small := image.NewPaletted(bounds, commonest[:min(256, len(commonest))])
	draw.Draw(small, bounds, full, bounds.Min, draw.Src)
	return small
}

// TestTroubledScreenshots takes the pictures of what seldom shows: panels with something in
// them, and a database that does not answer. It needs no gateway, only FULCRUM_SCREENSHOTS.
func TestTroubledScreenshots(t *testing.T) {
	folder := os.Getenv("FULCRUM_SCREENSHOTS")
	if folder == "" {
		t.Skip("FULCRUM_SCREENSHOTS is not set")
	}
	views := func(b *browser, name string, more func()) {
		for _, theme := range []string{"light", "dark"} {
			b.run(t, chromedp.SetValue("#theme", theme), chromedp.Evaluate(`document.getElementById('theme').dispatchEvent(new Event('change'))`, nil))
			for _, size := range []struct {
				name   string
				pixels int64
			}{{"wide", 1360}, {"narrow", 390}} {
				b.run(t, emulation.SetDeviceMetricsOverride(size.pixels, 900, 1, false), chromedp.Sleep(time.Second))
				b.picture(t, filepath.Join(folder, fmt.Sprintf("%s-%s-%s.png", name, theme, size.name)), true)
			}
		}
		if more != nil {
			more()
		}
	}
	g := panelled(t)
	b := openIn(t, newBrowser(t, 1360, 900), "http://"+g.AdminAddr()+"/")
	for _, id := range []string{"letters-card", "people-card", "usage-card"} {
		b.until(t, fmt.Sprintf(`!document.getElementById(%q).hidden`, id))
	}
	views(b, "panels", func() {
		b.run(t, chromedp.Click(`#letters button`))
		b.until(t, `document.getElementById('letter-dialog').open`)
		b.run(t, chromedp.Click("#letter-ok"))
		b.until(t, `document.querySelector('#letter-dialog .error').textContent !== ''`)
		b.picture(t, filepath.Join(folder, "letter-dark-narrow.png"), false)
	})
	failing, stop := busy(t, "127.0.0.1:0")
	b = openIn(t, newBrowser(t, 1360, 900), "http://"+failing.AdminAddr()+"/")
	time.Sleep(5 * time.Second) // of history
	gone := error(fulcrum.ErrUnavailable)
	db := failing.cfg.DB.(*memory)
	db.ping.Store(&gone)
	db.away.Store(true)
	b.until(t, `document.getElementById('circuit').textContent.includes('open')`)
	views(b, "trouble", nil)
	stop()
	b.until(t, `document.getElementById('connection').dataset.state === 'cut'`)
	views(b, "cut", nil)
}
