package shared

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Link is the way to one Redis, for any number of Tiers. It opens whether Redis is there or
// not, and looks for it in the background. It is safe for concurrent use; Close it.
type Link struct {
	cfg     LinkConfig
	dialect dialect
	client  atomic.Pointer[rueidis.Client] // nil until Redis was there once
	life    atomic.Pointer[life]           // nil while Redis is away, or not believed yet
	wake    chan struct{}                  // of the keeper
	ended   chan struct{}
	over    sync.WaitGroup
	slow    atomic.Int32  // calls in a row that took too long
	fills   chan struct{} // a place for each fill under way
	counts  linkCounts

	mu       sync.Mutex
	pending  pending
	told     life      // the one that is told of writes: zero if none is
	last     life      // the last one that was found
	away     time.Time // since when there is none that is believed
	awayFrom error     // and why
	tracker  tracker
}

// life is a Redis from its start to its end.
type life struct {
	name string // no other has it
	sha  string // of the script, which no other knows
}

// dialect is what tests change, to see that they notice.
type dialect struct {
	script string
	name   func(id string) string // of the life of a Redis with this run_id
}

func (l life) none() bool { return l.sha == "" }

const (
	tooSlow     = 3 // calls in a row that are too slow: then it is away
	leastRetry  = 20 * time.Millisecond
	mostRetry   = 250 * time.Millisecond
	lookTime    = time.Second // for the look at a Redis that is back
	mostFilling = 64          // fills at once; more are left out
)

// Open makes a Link. The error says what is wrong with the configuration; that Redis is
// away is none.
func Open(cfg LinkConfig) (*Link, error) {
	return open(cfg, dialect{script, func(id string) string { return id }})
}

func open(cfg LinkConfig, d dialect) (*Link, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Link{cfg: cfg.withDefaults(), dialect: d, wake: make(chan struct{}, 1), ended: make(chan struct{}), fills: make(chan struct{}, mostFilling)}
	l.away, l.awayFrom = time.Now(), errors.New("it was not reached yet")
	l.pending.init()
	l.tracker.init(l)
	l.over.Go(l.keep)
	l.over.Go(l.tracker.run)
	return l, nil
}

// Reach waits until Redis is told of writes; the error says why it is not.
func (l *Link) Reach(ctx context.Context) error {
	for {
		l.mu.Lock()
		found, err := !l.told.none(), l.awayFrom
		l.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(leastRetry / 4):
		}
	}
}

// Close ends it. Before that Redis has a second to be told what it was not told yet.
func (l *Link) Close() {
	for until := time.Now().Add(lookTime); l.pending.n.Load() > 0 && time.Now().Before(until); {
		time.Sleep(leastRetry / 4)
	}
	close(l.ended)
	l.over.Wait()
	if c := l.client.Load(); c != nil {
		(*c).Close()
	}
}

// token is one that nobody has had before.
func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// call has the script do something in a life, soon.
func (l *Link) call(ctx context.Context, in life, within time.Duration, keys []string, args ...string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	c := *l.client.Load()
	r := c.Do(ctx, c.B().Evalsha().Sha1(in.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())
	err := r.Error()
	switch {
	case err == nil:
		l.slow.Store(0)
	case errors.Is(err, context.DeadlineExceeded) && l.slow.Add(1) < tooSlow:
		l.counts.errors.Add(1)
	default:
		l.counts.errors.Add(1)
		l.lose(in, err)
	}
	return r
}

// lose has all pass Redis over until it is found again.
func (l *Link) lose(in life, err error) {
	l.mu.Lock()
	if l.told == in {
		l.told = life{}
		if l.life.Swap(nil) != nil {
			l.away = time.Now()
		}
		l.awayFrom = err
	}
	l.mu.Unlock()
	l.rouse()
}

func (l *Link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// believed is the life whose values may be told: there is none while writes of our own wait
// to be told to it.
func (l *Link) believed() (life, bool) {
	if in := l.life.Load(); in != nil && l.pending.n.Load() == 0 {
		return *in, true
	}
	return life{}, false
}

// tell tells Redis of a write, or remembers to.
func (l *Link) tell(n notice) {
	l.mu.Lock()
	in := l.told
	l.mu.Unlock()
	if !in.none() && n.to(l, in, l.cfg.Timeout) == nil {
		return
	}
	if n.begins { // its end will be told, too
		return
	}
	l.mu.Lock()
	if l.pending.add(n, l.cfg.Pending) {
		l.counts.overflows.Add(1)
	}
	l.mu.Unlock()
	l.rouse()
}

// keep looks for Redis while it is away, and tells it what it has missed.
func (l *Link) keep() {
	pause := leastRetry
	for {
		if l.step() {
			pause = leastRetry
			select {
			case <-l.wake:
				continue
			case <-l.ended:
				return
			}
		}
		select {
		case <-time.After(pause):
			pause = min(mostRetry, 2*pause)
		case <-l.ended:
			return
		}
	}
}

// step gets one step closer to a Redis that is believed; true if there is no more to do.
func (l *Link) step() bool {
	l.mu.Lock()
	in := l.told
	l.mu.Unlock()
	if in.none() {
		found, err := l.look()
		if err != nil {
			l.mu.Lock()
			l.awayFrom = err
			l.mu.Unlock()
			return false
		}
		in = found
	}
	if !l.deliver(in) {
		return false
	}
	if l.life.Load() != nil {
		return true
	}
	select { // writes are told meanwhile, nothing is read
	case <-time.After(l.cfg.Settle):
	case <-l.ended:
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told != in {
		return false
	}
	l.away, l.awayFrom = time.Time{}, nil
	l.life.Store(&in)
	return l.pending.n.Load() == 0
}

// deliver tells a life what it has missed.
func (l *Link) deliver(in life) bool {
	for {
		l.mu.Lock()
		n, ok := l.pending.first()
		l.mu.Unlock()
		if !ok {
			return true
		}
		if n.to(l, in, max(lookTime, l.cfg.Timeout)) != nil {
			return false
		}
		l.mu.Lock()
		l.pending.done(n)
		l.mu.Unlock()
	}
}

// look finds out which life it is that Redis has.
func (l *Link) look() (life, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	if l.client.Load() == nil {
		o, err := l.cfg.option()
		if err != nil {
			return life{}, err
		}
		o.DisableCache = true
		c, err := rueidis.NewClient(o)
		if err != nil {
			return life{}, err
		}
		l.client.Store(&c)
	}
	c := *l.client.Load()
	l.mu.Lock()
	in := l.last
	l.mu.Unlock()
	if !in.none() && knows(ctx, c, in.sha) == nil { // it was only away
		l.found(in)
		return in, nil
	}
	sha, err := c.Do(ctx, c.B().ScriptLoad().Script("-- "+token()+token()+l.dialect.script).Build()).ToString()
	if err != nil {
		return life{}, err
	}
	info, err := c.Do(ctx, c.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return life{}, err
	}
	id, err := identity(info)
	if err != nil {
		return life{}, err
	}
	// It still knows the script: nobody else has come since, and the run_id is its own.
	if err := knows(ctx, c, sha); err != nil {
		return life{}, err
	}
	l.counts.lives.Add(1)
	in = life{l.dialect.name(id), sha}
	l.found(in)
	return in, nil
}

// oldest is the first version that keeps no scripts in its snapshots.
const oldest = 7

// identity is the run_id of a Redis by its INFO.
func identity(info string) (id string, err error) {
	lines := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		lines[name] = value
	}
	version, id := lines["redis_version"], lines["run_id"]
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldest {
		return "", fmt.Errorf("its version is %q: want %d or newer", version, oldest)
	}
	if len(id) < 16 {
		return "", fmt.Errorf("INFO server tells no run_id, but %q", id)
	}
	return id, nil
}

// knows is nil if Redis knows a script.
func knows(ctx context.Context, c rueidis.Client, sha string) error {
	return c.Do(ctx, c.B().Evalsha().Sha1(sha).Numkeys(0).Arg("none").Build()).Error()
}

func (l *Link) found(in life) {
	l.slow.Store(0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told, l.last = in, in
}
