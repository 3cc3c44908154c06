package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// visitsFile is an initialised database for beacons alone.
func visitsFile(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil {
		err = db.Init(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// tell sends a beacon and wants a status.
func tell(t *testing.T, g *Gateway, id, view, satisfaction, want int) {
	t.Helper()
	uuid := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }
	body := fmt.Sprintf(`{"id":%q,"view":%q,"session":%q,"region":"europe","vitals":{"TTFB":0.2},"wait":1,"satisfaction":%d}`, uuid(id), uuid(view), uuid(1), satisfaction)
	r := httptest.NewRequest(http.MethodPost, "http://shop.test/v1/experience", strings.NewReader(body))
	r.Header.Set("Origin", "http://shop.test")
	w := httptest.NewRecorder()
	if g.Data().ServeHTTP(w, r); w.Code != want {
		t.Fatalf("beacon %d: %d %s, want %d", id, w.Code, w.Body, want)
	}
}

func felt(t *testing.T, g *Gateway) (e Experience) {
	t.Helper()
	if err := json.Unmarshal([]byte(ask(t, g.Admin(), "GET", "/api/v1/experience", "").text), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// What browsers told is there after a restart, the last of each view, and is not taken
// a second time.
func TestVisitsOutliveARestart(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Experience, cfg.Visits = &beacon.Config{}, visitsFile(t, filepath.Join(t.TempDir(), "visits.db"))
	g := newGateway(t, cfg)
	for view := range 50 {
		tell(t, g, view, view, 1, 204)
	}
	tell(t, g, 100, 7, 5, 204) // the same view knows more
	if err := g.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := newGateway(t, cfg)
	e := felt(t, again)
	if e.All == nil || e.All.Visits != 50 || e.Beacons.Kept != 50 || e.Beacons.Accepted != 0 || e.Satisfaction.Share.Hits != 1 || e.Lost != 0 || e.Missing.Visits != 0 {
		t.Errorf("%+v %+v", e.Beacons, e.All)
	}
	tell(t, again, 100, 7, 5, 409)
	tell(t, again, 101, 101, 5, 204)
	if err := again.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, err := cfg.Visits.(store.Keeper).Beacons(t.Context(), 1000)
	if err != nil || len(kept) != 51 || !strings.HasSuffix(kept[50].View, "65") {
		t.Errorf("%d kept, %v", len(kept), err)
	}
}

// A database that fails costs what is kept, not what is taken.
func TestVisitsThatCannotBeKept(t *testing.T) {
	cfg := testConfig(&memory{})
	file := visitsFile(t, filepath.Join(t.TempDir(), "visits.db"))
	cfg.Experience, cfg.Visits = &beacon.Config{}, file
	g := newGateway(t, cfg)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for view := range 3 {
		tell(t, g, view, view, 1, 204)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	g.visits.shutdown(over)
	if e := felt(t, g); e.Lost != 3 || e.Beacons.Accepted != 3 || e.All.Visits != 3 {
		t.Errorf("%+v, %d lost", e.Beacons, e.Lost)
	}
	tell(t, g, 9, 9, 1, 204) // after the end
	if e := felt(t, g); e.Lost != 4 {
		t.Errorf("%d lost", e.Lost)
	}
}

func TestVisitsRefuseWhatKeepsNothing(t *testing.T) {
	cfg := testConfig(&memory{})
	cfg.Experience, cfg.Visits = &beacon.Config{}, cfg.DB
	_, err := New(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "Visits: where beacons are kept: this database has no tables of ours") {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "bare.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bare, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	cfg.Visits = bare
	if _, err = New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "run fulcrum init") {
		t.Error(err)
	}
}
