package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/store"
)

// panelled is a gateway with something to show in all panels.
func panelled(t *testing.T) *Gateway {
	t.Helper()
	cfg := writableConfig(t)
	if err := cfg.DB.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.Usage, cfg.Experience, cfg.Journal = true, &beacon.Config{}, t.TempDir()
	cfg.Tokens = []Token{{Name: "night shift", SHA256: sha256.Sum256([]byte("night-secret")), Allow: []string{AdminGrant, "*:read", "*:write"}}}
	g, _ := start(t, cfg)
	for i := range 2 {
		bury(t, g, int64(1+i), store.Change{Op: store.Put, Key: store.Key(fmt.Sprint(10 + i)), Body: []byte(`{"name":"x","email":"ada@example.org"}`)})
	}
	for i := range 300 {
		tell(t, g, i, i, 1+i%5, 204)
	}
	for i := range 50 {
		ask(t, g.Data(), "GET", fmt.Sprintf("/v1/users/%d", 1+i%3), "", "Authorization", "Bearer night-secret")
	}
	return g
}

// The panels say what the API says; what is settled asks first, and for a token.
func TestDashboardPanels(t *testing.T) {
	g := panelled(t)
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	for _, id := range []string{"letters-card", "people-card", "usage-card"} {
		b.until(t, fmt.Sprintf(`!document.getElementById(%q).hidden`, id))
	}
	for id, want := range map[string][]string{
		"letters":       {"put users 10", "put users 11", "store: the row breaks constraint users.email", "Replay …", "Discard …"},
		"letters-words": {"2 changes were acknowledged"},
		"people":        {"everybody", "300", "region europe", "200 ms"},
		"people-words":  {"0 of 300 beacons were refused"},
		"buckets":       {"1 s to", "40 %"}, // two of five said 4 or 5
		"usage-words":   {"requests, at most", "in a second"},
	} {
		got := b.text(t, id)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q lacks %q", id, got, w)
			}
		}
	}
	for _, theme := range []string{"light", "dark"} {
		b.run(t, chromedp.Evaluate(fmt.Sprintf(`document.documentElement.dataset.theme = %q`, theme), nil))
		var bad []string
		if b.eval(t, contrasts, &bad); len(bad) > 0 {
			t.Errorf("%s: %s", theme, strings.Join(bad, "\n"))
		}
	}
	b.quiet(t)
	b.run(t, chromedp.EmulateViewport(360, 740))
	b.until(t, `document.documentElement.clientWidth === 360 && document.documentElement.scrollWidth <= 360`)
}

// What is settled asks first, then for a token, and is gone; the other stays.
func TestDashboardSettlesADeadLetter(t *testing.T) {
	g := panelled(t)
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	b.until(t, `document.querySelectorAll('#letters button').length === 4`)
	b.run(t, chromedp.Focus(`#letters tr:nth-child(2) button:last-child`), chromedp.KeyEvent("\r"))
	b.until(t, `document.getElementById('letter-dialog').open && document.getElementById('letter-h').textContent === 'Discard dead letter 2'`)
	b.run(t, chromedp.Click("#letter-ok"))
	b.until(t, `document.querySelector('#letter-dialog .error').textContent.includes('Authorization header is missing')`)
	if left := ask(t, g.Admin(), "GET", deadLetterPath, "").text; strings.Count(left, `"op"`) != 2 {
		t.Errorf("without a token: %s", left)
	}
	b.run(t, chromedp.SendKeys(`#letter-dialog input[type=password]`, "night-secret"), chromedp.Click("#letter-ok"))
	b.until(t, `!document.getElementById('letter-dialog').open && document.querySelectorAll('#letters button').length === 2`)
	if left := ask(t, g.Admin(), "GET", deadLetterPath, "").text; strings.Count(left, `"op"`) != 1 || !strings.Contains(left, `"id":1,`) {
		t.Errorf("left %s", left)
	}
	// The token is known now: a mode is pinned without asking again.
	b.run(t, chromedp.Click("#pin"), chromedp.Click("#pin-dialog .main"))
	b.until(t, `!document.getElementById('pin-dialog').open && document.getElementById('mode').textContent === 'latency'`)
	// What fails again stays, and says why.
	b.run(t, chromedp.Click(`#letters button`))
	b.until(t, `document.getElementById('letter-h').textContent === 'Replay dead letter 1'`)
	b.run(t, chromedp.Click("#letter-ok"))
	b.until(t, `document.querySelector('#letter-dialog .error').textContent.includes('constraint')`)
}

// copiedMemory has replicas, one of which lags.
type copiedMemory struct{ memory }

func (m *copiedMemory) Copies() []fulcrum.Copy {
	lag := func(d time.Duration) func(context.Context) (fulcrum.Lag, error) {
		return func(context.Context) (fulcrum.Lag, error) { return fulcrum.Lag{Time: d, Bytes: -1}, nil }
	}
	return []fulcrum.Copy{{Name: "primary", Primary: true}, {Name: "db2", Region: "east", Check: lag(0)}, {Name: "db3", Check: lag(time.Hour)}}
}

func (m *copiedMemory) Vet(context.Context, fulcrum.Token) error { return nil }

// Each copy of the database is shown with its state; without copies there is no such card.
func TestDashboardShowsCopies(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.DB = &copiedMemory{memory{conns: 18}}
	g, _ := start(t, cfg)
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	b.until(t, `[...document.querySelectorAll('#copies tr')].some((r) => r.cells[0].textContent === 'db3' && r.cells[2].textContent === 'lagging')`)
	for range 20 {
		ask(t, g.Data(), "GET", "/v1/users/1", "")
	}
	b.until(t, `[...document.querySelectorAll('#copies tr')].some((r) => r.cells[0].textContent === 'db2' && r.cells[1].textContent === 'east' && r.cells[2].textContent === 'ok' && r.cells[3].textContent === '100 %')`)
	b.quiet(t)

	plain, _ := start(t, testConfig(&memory{}))
	b = open(t, "http://"+plain.AdminAddr()+"/", 1280, 900)
	b.until(t, `document.documentElement.dataset.tick && document.getElementById('copies-card').hidden`)
	b.quiet(t)
}

// The share of reads that the cache answered stands with its resource; others have none.
func TestDashboardShowsCaches(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Caches = map[string]cache.Config[store.Key, []byte]{"users": {Entries: 100}}
	g, _ := start(t, cfg)
	for range 4 {
		ask(t, g.Data(), "GET", "/v1/users/1", "")
	}
	b := open(t, "http://"+g.AdminAddr()+"/", 1280, 900)
	b.until(t, `[...document.querySelectorAll('#resources tr')].some((r) => r.cells[0].textContent === 'users' && r.cells[1].textContent === '75 %')`)
	b.until(t, `[...document.querySelectorAll('#resources tr')].some((r) => r.cells[0].textContent === 'things' && r.cells[1].textContent === '–')`)
	b.quiet(t)
}
