//go:build unix

package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/cache/shared"
	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

// history is what two gateways have acknowledged and told of some rows. The version of a
// row is its name; each row has one writer.
type history struct {
	mu    sync.Mutex
	acked map[int][]acked // by row, in order
	lies  []string
	reads int
}

type acked struct {
	version, gateway int
	at               time.Time
}

// mustHear is how long after its acknowledgement a write is seen through the other gateway
// at the latest: 3 heartbeats of 200 ms, the time until a connection that was cut is there
// again, and what a busy machine may take.
const mustHear = 2500 * time.Millisecond

// floor is the oldest version that a read may return which begins now.
func (h *history) floor(key, gateway int) (version int) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.acked[key] {
		if a.gateway == gateway || now.Sub(a.at) > mustHear {
			version = max(version, a.version)
		}
	}
	return version
}

func (h *history) acknowledge(key, version, gateway int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[key] = append(h.acked[key], acked{version, gateway, time.Now()})
}

func (h *history) check(key, gateway, version, floor int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	if version < floor {
		h.lies = append(h.lies, fmt.Sprintf("row %d through gateway %d: version %d, want at least %d", key, gateway, version, floor))
	}
}

const historyRows = 12

// write makes a new version of each of its rows, again and again, mostly through the same
// gateway: what the other one keeps is made old by what it hears alone.
func (h *history) write(t *testing.T, both [2]*Gateway, first int, until time.Time) {
	for version := 1; time.Now().Before(until); version++ {
		for key := first; key <= historyRows; key += 4 {
			g := key % 2
			if rand.IntN(100) == 0 {
				g = 1 - g
			}
			w := httptest.NewRecorder()
			body := fmt.Sprintf(`{"name":"%d","email":"%d@example.org"}`, version, key)
			both[g].Data().ServeHTTP(w, httptest.NewRequest("PUT", fmt.Sprintf("/v1/users/%d", 100+key), strings.NewReader(body)))
			if w.Code != http.StatusNoContent && w.Code != http.StatusCreated {
				t.Errorf("PUT: %d %s", w.Code, w.Body)
				return
			}
			h.acknowledge(key, version, g)
			time.Sleep(rand.N(20 * time.Millisecond)) // reads come in between
		}
	}
}

func (h *history) read(t *testing.T, g *Gateway, gateway int, until time.Time) {
	for time.Now().Before(until) {
		key := 1 + rand.IntN(historyRows)
		floor := h.floor(key, gateway)
		w := httptest.NewRecorder()
		g.Data().ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("/v1/users/%d", 100+key), nil))
		version := 0
		if w.Code == http.StatusOK {
			var row struct{ Name string }
			if err := json.Unmarshal(w.Body.Bytes(), &row); err != nil {
				t.Error(err)
				return
			}
			version, _ = strconv.Atoi(row.Name)
		} else if w.Code != http.StatusNotFound {
			t.Errorf("GET: %d %s", w.Code, w.Body)
			return
		}
		h.check(key, gateway, version, floor)
	}
}

// live has writers and readers use both gateways for a while, and trouble Redis.
func (h *history) live(t *testing.T, a, b *Gateway, lasting time.Duration, trouble func()) {
	t.Helper()
	until := time.Now().Add(lasting)
	var wg sync.WaitGroup
	for first := 1; first <= 4; first++ {
		wg.Go(func() { h.write(t, [2]*Gateway{a, b}, first, until) })
	}
	for range 4 {
		wg.Go(func() { h.read(t, a, 0, until) })
		wg.Go(func() { h.read(t, b, 1, until) })
	}
	for time.Now().Before(until) {
		time.Sleep(rand.N(600 * time.Millisecond))
		trouble()
	}
	wg.Wait()
}

// No read through either of two gateways is older than it may be, while their Redis is
// started anew and their connections are cut.
func TestGatewaysTellTheTruth(t *testing.T) {
	lasting := 6 * time.Second
	if os.Getenv("FULCRUM_LONG") != "" {
		lasting = time.Minute
	}
	r := redistest.Start(t)
	cfg, _ := cachedConfig(t)
	cfg.Shared = &Shared{Link: shared.LinkConfig{URL: r.URL(), Timeout: 200 * time.Millisecond, Settle: 50 * time.Millisecond, Heartbeat: 200 * time.Millisecond}}
	a, b := served(t, cfg), served(t, cfg)
	eventually(t, "Redis", together(a))
	eventually(t, "Redis", together(b))
	h := &history{acked: map[int][]acked{}}
	restarts, cuts := 0, 0
	h.live(t, a, b, lasting, func() {
		if rand.IntN(4) == 0 {
			r.Restart()
			restarts++
		} else {
			r.Do("CLIENT", "KILL", "TYPE", "normal")
			cuts++
		}
	})
	hits := a.caches["users"].Stats().Hits + b.caches["users"].Stats().Hits
	inRedis := a.caches["users"].tier.Stats().Hits + b.caches["users"].tier.Stats().Hits
	t.Logf("%d reads, %d told from memory, %d from Redis; %d restarts, %d times all connections cut", h.reads, hits, inRedis, restarts, cuts)
	if len(h.lies) > 0 {
		t.Errorf("%d lies, such as: %s", len(h.lies), h.lies[0])
	}
	if hits == 0 || inRedis == 0 && lasting > time.Minute/2 {
		t.Error("nothing was kept: this shows nothing")
	}
}

// Two gateways that do not share what they hear are seen to lie.
func TestGatewaysThatHearNothingAreCaught(t *testing.T) {
	cfg, _ := cachedConfig(t)
	h := &history{acked: map[int][]acked{}}
	h.live(t, served(t, cfg), served(t, cfg), 4*time.Second, func() {})
	if len(h.lies) == 0 {
		t.Errorf("no read of %d was too old", h.reads)
	}
}
