//go:build unix

package shared

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

// heartbeat of the gateways below, and after how long the checker wants them to have heard
// of a write that Redis knows of: 3 heartbeats, and what the scheduler may take.
const (
	heartbeat = 100 * time.Millisecond
	mustHear  = 3*heartbeat + 700*time.Millisecond
)

// ledger is a table of versions, and the checker of what is read from it through two
// gateways. No read returns a version older than one that was acknowledged before the read
// began: by its own gateway, however long ago; by the other one, mustHear ago, counted
// from when that one had told Redis of it.
type ledger struct {
	mu      sync.Mutex
	rows    map[int]int
	acked   [2]map[int]int  // by gateway and key
	settled map[int]int     // by key: acknowledged, and known to Redis long enough
	recent  map[int][]known // by key: not yet long enough
	lies    []string
	reads   int
	over    atomic.Bool
}

// known is a version that Redis was told of.
type known struct {
	version int
	at      time.Time
}

func newLedger() *ledger {
	return &ledger{rows: map[int]int{}, acked: [2]map[int]int{{}, {}}, settled: map[int]int{}, recent: map[int][]known{}}
}

func (l *ledger) fetch(_ context.Context, b *fulcrum.Batch[int, int]) error {
	l.mu.Lock()
	for i, k := range b.Keys() {
		b.SetAt(i, l.rows[k])
	}
	l.mu.Unlock()
	pause(3 * time.Millisecond)
	return nil
}

// pause takes no time, mostly.
func pause(upTo time.Duration) {
	if rand.IntN(3) == 0 {
		time.Sleep(rand.N(upTo))
	}
}

// floor is the oldest version that a read through a gateway may return which begins now.
func (l *ledger) floor(gateway, key int) (version int, why string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.recent[key]
	for len(all) > 0 && now.Sub(all[0].at) > mustHear {
		l.settled[key] = max(l.settled[key], all[0].version)
		all = all[1:]
	}
	l.recent[key] = all
	if own := l.acked[gateway][key]; own >= l.settled[key] {
		return own, "its own gateway had acknowledged it"
	}
	return l.settled[key], "the other gateway had told Redis of it long ago"
}

func (l *ledger) check(key, version, floor int, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if version < floor {
		l.lies = append(l.lies, fmt.Sprintf("key %d: version %d, not %d: %s", key, version, floor, why))
	}
}

// land makes a write.
func (l *ledger) land(key int) (version int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows[key]++
	return l.rows[key]
}

func (l *ledger) acknowledge(gateway, key, version int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[gateway][key] = max(l.acked[gateway][key], version)
}

func (l *ledger) knows(all map[int]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, version := range all {
		l.recent[key] = append(l.recent[key], known{version, time.Now()})
	}
}

// planted is a gateway that may be wrong in one place.
type planted struct {
	name    string
	dialect dialect
	hold    func(*cache.Near[int, int]) func() func()
	write   func(p *process, key int) (end func())
}

func rightDialect() dialect { return dialect{script, func(id string) string { return id }} }

func rightHold(n *cache.Near[int, int]) func() func() {
	return func() func() { w := n.BeginAll(); return func() { w.End(true) } }
}

func rightWrite(p *process, key int) func() {
	n, s := p.near.Begin(key), p.tier.Begin(key)
	return func() {
		s.End(true)
		n.End(true)
	}
}

// with has a part of the script be another.
func with(old, other string) dialect {
	d := rightDialect()
	if !strings.Contains(d.script, old) {
		panic("the script has no " + old)
	}
	d.script = strings.ReplaceAll(d.script, old, other)
	return d
}

var right = planted{"right", rightDialect(), rightHold, rightWrite}

var bugs = []planted{
	{"fills without a token", with("redis.call('GET', KEYS[i + 1]) == ARGV[a] and redis.call('EXISTS', KEYS[i + 2]) == 0", "true"), rightHold, rightWrite},
	{"believes any Redis", dialect{script, func(string) string { return "any" }}, rightHold, rightWrite},
	{"does not mind that nobody tells it", rightDialect(), func(*cache.Near[int, int]) func() func() {
		return func() func() { return func() {} }
	}, rightWrite},
	{"tells Redis before the commit alone", rightDialect(), rightHold, func(p *process, key int) func() {
		n := p.near.Begin(key)
		p.tier.Begin(key).End(true)
		return func() { n.End(true) }
	}},
	{"forgets what Redis could not be told", rightDialect(), rightHold, func(p *process, key int) func() {
		end := rightWrite(p, key)
		return func() {
			end()
			p.link.mu.Lock()
			defer p.link.mu.Unlock()
			p.link.pending.queue, p.link.pending.keys = nil, 0
			p.link.pending.n.Store(0)
		}
	}},
	{"tells only its own memory", rightDialect(), rightHold, func(p *process, key int) func() {
		n := p.near.Begin(key)
		return func() { n.End(true) }
	}},
}

// process is a gateway: memory, Redis behind the batch, and a Reader.
type process struct {
	*fulcrum.Reader[int, int]
	number int
	link   *Link
	tier   *Tier[int, int]
	near   *cache.Near[int, int]

	mu      sync.Mutex
	waiting map[int]int // by key: versions of which Redis may not know yet
}

func (b planted) start(t *testing.T, l *ledger, number int, url string) *process {
	t.Helper()
	p := &process{number: number, waiting: map[int]int{}}
	var err error
	if p.link, err = open(LinkConfig{URL: url, Settle: 20 * time.Millisecond, Heartbeat: heartbeat}, b.dialect); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.link.Close)
	if p.tier, err = New(p.link, Config[int, int]{
		Resource: "rows", Key: strconv.Itoa,
		Parse:  func(s string) (int, bool) { n, err := strconv.Atoi(s); return n, err == nil },
		Encode: func(n int) ([]byte, error) { return []byte(strconv.Itoa(n)), nil },
		Decode: func(b []byte) (int, error) { return strconv.Atoi(string(b)) },
	}); err != nil {
		t.Fatal(err)
	}
	if p.near, err = cache.New(cache.Config[int, int]{Entries: 100_000}); err != nil {
		t.Fatal(err)
	}
	p.tier.Tell(Listener[int]{Forget: p.near.Forget, Hold: b.hold(p.near)})
	if p.Reader, err = fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{Fetch: p.tier.Fetch(l.fetch), Cache: p.near}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) reads(l *ledger) {
	for !l.over.Load() {
		key := anyKey()
		floor, why := l.floor(p.number, key)
		if version, err := p.Get(context.Background(), key); err == nil {
			l.check(key, version, floor, why)
		}
		pause(500 * time.Microsecond)
	}
}

func (p *process) writes(l *ledger, write func(*process, int) func()) {
	for !l.over.Load() {
		key := anyKey()
		end := write(p, key)
		pause(2 * time.Millisecond)
		version := l.land(key)
		pause(2 * time.Millisecond)
		end()
		p.mu.Lock()
		p.waiting[key] = max(p.waiting[key], version)
		p.mu.Unlock()
		l.acknowledge(p.number, key, version)
		time.Sleep(rand.N(20 * time.Millisecond))
	}
}

// tells the checker what Redis knows: all that was acknowledged before nothing was pending.
func (p *process) tells(l *ledger) {
	for !l.over.Load() {
		p.mu.Lock()
		all := p.waiting
		p.waiting = map[int]int{}
		p.mu.Unlock()
		for p.link.pending.n.Load() > 0 && !l.over.Load() {
			time.Sleep(time.Millisecond)
		}
		l.knows(all)
		time.Sleep(5 * time.Millisecond)
	}
}

// rows are enough for what nobody heard of not to be written again at once.
const rows = 150

// anyKey is a low one, mostly: some are read while they are written.
func anyKey() int { return rand.IntN(1 + rand.IntN(rows)) }

// chaos troubles a Redis until it is over.
func chaos(r *redistest.Server, l *ledger) (done map[string]int) {
	done = map[string]int{}
	for !l.over.Load() {
		time.Sleep(50*time.Millisecond + rand.N(350*time.Millisecond))
		what := "kill all connections"
		switch rand.IntN(6) {
		case 0:
			what = "restart, empty"
			r.Do("FLUSHALL")
			r.Save()
			r.Restart()
		case 1, 2:
			what = "restart with an old snapshot"
			r.Save()
			time.Sleep(rand.N(200 * time.Millisecond))
			r.Kill()
			time.Sleep(rand.N(100 * time.Millisecond))
			r.Start()
		case 3:
			what = "freeze"
			r.Freeze()
			time.Sleep(rand.N(400 * time.Millisecond))
			r.Thaw()
		case 4:
			what = "kill one connection"
			clients := strings.Split(strings.TrimSpace(r.Do("CLIENT", "LIST", "TYPE", "normal")), "\n")
			id, _, _ := strings.Cut(strings.TrimPrefix(clients[rand.IntN(len(clients))], "id="), " ")
			r.Do("CLIENT", "KILL", "ID", id, "SKIPME", "yes")
		default:
			r.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		}
		done[what]++
	}
	return done
}

// history has readers and writers at a ledger through two gateways for a while.
func (b planted) history(t *testing.T, span time.Duration) (*ledger, [2]*process) {
	r, l := redistest.Start(t), newLedger()
	both := [2]*process{b.start(t, l, 0, r.URL()), b.start(t, l, 1, r.URL())}
	var all sync.WaitGroup
	for _, p := range both {
		for range 3 {
			all.Go(func() { p.reads(l) })
		}
		all.Go(func() { p.writes(l, b.write) })
		all.Go(func() { p.tells(l) })
	}
	all.Go(func() {
		for begin := time.Now(); time.Since(begin) < span && !t.Failed(); time.Sleep(10 * time.Millisecond) {
			l.mu.Lock()
			found := len(l.lies) > 0
			l.mu.Unlock()
			if found {
				break
			}
		}
		l.over.Store(true)
	})
	done := chaos(r, l)
	all.Wait()
	t.Log(b.name, ": ", done)
	return l, both
}

// Histories of readers and writers through two gateways, while Redis restarts, hangs, and
// loses its connections.
func TestTruth(t *testing.T) {
	span := 6 * time.Second
	if os.Getenv("FULCRUM_LONG") != "" {
		span = 5 * time.Minute
	}
	l, both := right.history(t, span)
	if len(l.lies) > 0 {
		t.Fatalf("%d of %d reads were wrong, among them: %s", len(l.lies), l.reads, l.lies[0])
	}
	near, tier := both[0].near.Stats(), both[0].tier.Stats()
	t.Logf("%d reads; of one gateway: memory %+v, Redis %+v, %+v", l.reads, near, tier, both[0].link.Health())
	if near.Hits == 0 || tier.Hits == 0 || tier.Invalidations == 0 {
		t.Error("nothing was tested")
	}
}

// The checker sees what is wrong with gateways that are.
func TestTruthSeesLies(t *testing.T) {
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			l, _ := b.history(t, time.Minute)
			if len(l.lies) == 0 {
				t.Fatalf("%d reads, and nothing was noticed", l.reads)
			}
			t.Log("after ", l.reads, " reads: ", l.lies[0])
		})
	}
}
