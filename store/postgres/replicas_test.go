package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// pairs has callers write an account and read it behind the write. It returns how many
// reads were older than their write.
func (c *cluster) pairs(callers, n int) (stale int64) {
	c.t.Helper()
	var older atomic.Int64
	var wg sync.WaitGroup
	each := clusterRows / callers
	for i := range callers {
		wg.Go(func() {
			for j := range n / callers {
				key := store.Key(fmt.Sprint(1 + i*each + j%each))
				version := int64(j + 1)
				token, err := c.write(context.Background(), key, version)
				if err != nil {
					c.t.Errorf("write: %v", err)
					return
				}
				got, err := c.read(context.Background(), key, fulcrum.After(token))
				if err != nil {
					c.t.Errorf("read: %v", err)
					return
				}
				if got < version {
					older.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return older.Load()
}

func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterConfig{})
	c.settled()
	if stale := c.pairs(64, rounds(6400, 50_048)); stale != 0 {
		t.Errorf("%d reads were older than their writes", stale)
	}
	replicas, primary := c.byReplicas.Load(), c.byPrimary.Load()
	share := float64(replicas) / float64(replicas+primary)
	t.Logf("fresh replicas: %d reads answered by replicas, %d by the primary: %.1f %%", replicas, primary, 100*share)
	if share <= 0.8 && long() { // on a busy machine replay has to wait for its turn
		t.Errorf("replicas, which were fresh, answered %.0f %% of the reads, want over 80 %%", 100*share)
	}

	ctx, cancel := context.WithCancel(t.Context())
	paused := make(chan struct{})
	go func() { // replay stops and goes on at random
		defer close(paused)
		rng := rand.New(rand.NewPCG(1, 2))
		for ctx.Err() == nil {
			r := c.replicas[[]string{"a", "b"}[rng.IntN(2)]]
			if err := r.PauseReplay(context.Background()); err != nil {
				t.Error(err)
			}
			pause(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
			if err := r.ResumeReplay(context.Background()); err != nil {
				t.Error(err)
			}
			pause(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
		}
	}()
	if stale := c.pairs(64, rounds(6400, 50_048)); stale != 0 {
		t.Errorf("while replay was paused and resumed, %d reads were older than their writes", stale)
	}
	cancel()
	<-paused
	t.Logf("while replay was paused and resumed: %d reads answered by replicas, %d by the primary", c.byReplicas.Load()-replicas, c.byPrimary.Load()-primary)
}

// pause waits, but not beyond the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Without the check, the same pairs show old rows: the test above would see it.
func TestReadYourWritesNoticesAMutant(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterConfig{blind: true})
	c.settled()
	for _, r := range c.replicas {
		if err := r.PauseReplay(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if stale := c.pairs(64, 640); stale == 0 {
		t.Error("no read was older than its write though replicas were believed blindly")
	}
}

func TestReadsOfManyComeBehindToo(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterConfig{})
	c.settled()
	for _, r := range c.replicas {
		if err := r.PauseReplay(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	token, err := c.write(t.Context(), "7", 70)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.read(t.Context(), "7"); err != nil || v != 0 {
		t.Errorf("the replicas are paused: got %d, %v", v, err)
	}
	rows, err := c.reader.GetMany(t.Context(), []store.Key{"6", "7"}, fulcrum.After(token))
	if err != nil || !strings.Contains(string(rows["7"]), "70") {
		t.Errorf("got %s, %v", rows, err)
	}
	if v, err := c.read(t.Context(), "7", fulcrum.After(token), fulcrum.Urgent); err != nil || v != 70 {
		t.Errorf("urgent: got %d, %v", v, err)
	}
	if v, err := c.read(t.Context(), "7", fulcrum.Fresh); err != nil || v != 70 {
		t.Errorf("fresh: got %d, %v", v, err)
	}
	until(t, "a lag that is known", func() bool {
		for _, s := range c.backend.Copies().Copies {
			if !s.Primary && s.Lag.Time < 500*time.Millisecond {
				return false
			}
		}
		return true
	})
	if v, err := c.read(t.Context(), "7", fulcrum.MaxStaleness(300*time.Millisecond)); err != nil || v != 70 {
		t.Errorf("at most 300 ms old: got %d, %v", v, err)
	}
	for _, wrong := range []fulcrum.Token{"pg:", "pg:1:00000001:0/1", "pg:x:y:z", token + "0", token[:len(token)-1] + "g", future(token)} {
		if _, err := c.read(t.Context(), "7", fulcrum.After(wrong)); !errors.Is(err, fulcrum.ErrToken) {
			t.Errorf("token %q: got %v", wrong, err)
		}
	}
	if v, err := c.read(t.Context(), "7", fulcrum.After("of a journal", token)); err != nil || v != 70 {
		t.Errorf("a token that is not of the database: got %d, %v", v, err)
	}
}

// future is a token of a time that has not been yet.
func future(t fulcrum.Token) fulcrum.Token {
	parts := strings.Split(string(t), ":")
	parts[3] = "FFFF/0"
	return fulcrum.Token(strings.Join(parts, ":"))
}

// A replica that fails in any way costs no read that another copy could answer.
func TestAnotherCopyAnswers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, trouble := range map[string]struct{ begin, end func(*cluster) error }{
		"stopped":   {func(c *cluster) error { return c.replicas["b"].Stop(pgtest.Fast) }, func(c *cluster) error { return c.replicas["b"].StartAgain(ctx) }},
		"paused":    {func(c *cluster) error { return c.replicas["b"].Pause() }, func(c *cluster) error { return c.replicas["b"].Resume() }},
		"cut off":   {func(c *cluster) error { c.proxies["b"].Cut(); return nil }, func(c *cluster) error { return c.proxies["b"].Heal() }},
		"silent":    {func(c *cluster) error { c.proxies["b"].Hang(); return nil }, func(c *cluster) error { return c.proxies["b"].Heal() }},
		"restarted": {func(c *cluster) error { return c.replicas["b"].Restart(ctx) }, func(*cluster) error { return nil }},
		"killed":    {func(c *cluster) error { return c.replicas["b"].Kill() }, func(c *cluster) error { return c.replicas["b"].StartAgain(ctx) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, clusterConfig{})
			c.settled()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var reads, slowest atomic.Int64
			for i := range 16 {
				wg.Go(func() {
					for n := i; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						bounded, cancel := context.WithTimeout(ctx, 8*time.Second)
						began := time.Now()
						_, err := c.read(bounded, store.Key(fmt.Sprint(1+n%clusterRows)))
						cancel()
						for took := int64(time.Since(began)); ; {
							was := slowest.Load()
							if took <= was || slowest.CompareAndSwap(was, took) {
								break
							}
						}
						if err != nil {
							t.Errorf("a read failed: %v", err)
							return
						}
						reads.Add(1)
					}
				})
			}
			more := func(what string) {
				t.Helper()
				at := reads.Load()
				until(t, what, func() bool { return reads.Load() > at+3000 })
			}
			more("reads before")
			if err := trouble.begin(c); err != nil {
				t.Error(err)
			}
			more("reads meanwhile")
			if err := trouble.end(c); err != nil {
				t.Error(err)
			}
			at := c.calls("b")
			until(t, "reads of the replica that is back", func() bool { return c.calls("b") > at+20 })
			more("reads after")
			close(stop)
			wg.Wait()
			t.Logf("%d reads, the slowest took %s", reads.Load(), time.Duration(slowest.Load()))
		})
	}
}

// A replica takes over: what was acknowledged is seen by whoever has its token.
func TestFailOver(t *testing.T) {
	t.Parallel()
	// a confirms each commit, so that none is lost with the primary.
	c := startCluster(t, clusterConfig{failover: true, confirms: "a"})
	c.settled()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	promoted := make(chan struct{})
	var older, after, failedReads atomic.Int64
	each := clusterRows / 16
	for i := range 16 {
		wg.Go(func() {
			var tokens [8]fulcrum.Token // older ones are asked for too
			var versions [8]int64
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				slot := j % len(tokens)
				key := store.Key(fmt.Sprint(1 + i*each + slot))
				bounded, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				version := int64(j + 1)
				if token, err := c.write(bounded, key, version); err == nil {
					tokens[slot], versions[slot] = token, version
				}
				old := rand.IntN(len(tokens))
				if tokens[old] != "" {
					got, err := c.read(bounded, store.Key(fmt.Sprint(1+i*each+old)), fulcrum.After(tokens[old]))
					switch {
					case err != nil:
						failedReads.Add(1) // while nobody takes writes
					case got < versions[old]:
						older.Add(1)
						t.Errorf("token %s: got version %d, want %d", tokens[old], got, versions[old])
					default:
						select {
						case <-promoted:
							after.Add(1)
						default:
						}
					}
				}
				cancel()
			}
		})
	}
	pause(t.Context(), time.Second)
	if err := c.primary.Kill(); err != nil {
		t.Error(err)
	}
	if err := c.replicas["a"].Promote(t.Context()); err != nil {
		t.Error(err)
	}
	close(promoted)
	until(t, "reads behind writes after the fail-over", func() bool { return after.Load() > 2000 })
	close(stop)
	wg.Wait()
	token, err := c.write(t.Context(), "1", 1<<40)
	if err != nil || !strings.Contains(string(token), ":00000002:") {
		t.Errorf("the token of a write after the promotion: %q, %v: want timeline 2", token, err)
	}
	t.Logf("%d reads behind writes after the fail-over, %d failed while nobody took writes, %d were older than their writes", after.Load(), failedReads.Load(), older.Load())
}

func TestReplicasComeAndGo(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterConfig{})
	c.settled()
	all := []postgres.Replica{{Name: "a", DSN: c.replicas["a"].DSN()}, {Name: "b", DSN: c.replicas["b"].DSN()}}
	for _, wrong := range [][]postgres.Replica{
		{{DSN: "x"}}, {{Name: "primary", DSN: all[0].DSN}}, {all[0], all[0]}, {{Name: "c"}}, {{Name: "c", DSN: "postgres://%"}},
	} {
		if err := c.db.SetReplicas(wrong); err == nil {
			t.Errorf("%+v: no error", wrong)
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.read(context.Background(), store.Key(fmt.Sprint(1+n%clusterRows))); err != nil {
					t.Errorf("a read failed: %v", err)
					return
				}
			}
		})
	}
	for i := range 30 {
		if err := c.db.SetReplicas(all[:i%3]); err != nil {
			t.Error(err)
		}
		copies := c.db.Copies()
		if copies == nil {
			copies = []fulcrum.Copy{{Name: postgres.Primary, Primary: true}}
		}
		if err := c.backend.SetCopies(copies); err != nil {
			t.Error(err)
		}
		pause(t.Context(), 20*time.Millisecond)
	}
	close(stop)
	wg.Wait()
}

// A server of another cluster is no replica.
func TestStrangeReplica(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterConfig{})
	c.settled()
	stranger := pgtest.Start(t, pgtest.Databases("test"), func(p *pgtest.Config) { p.OwnCluster = true })
	if err := c.db.SetReplicas([]postgres.Replica{{Name: "stranger", DSN: stranger.DSN()}}); err != nil {
		t.Fatal(err)
	}
	for _, copied := range c.db.Copies() {
		_, err := copied.Check(t.Context())
		if got := err != nil && strings.Contains(err.Error(), "another database cluster"); got != (copied.Name == "stranger") {
			t.Errorf("%s: got %v", copied.Name, err)
		}
	}
}

// What is read as a token says the same when it is written again.
func FuzzToken(f *testing.F) {
	f.Add("pg:7312345678901234567:00000001:0/16B3748")
	f.Add("pg::::")
	f.Add("pg:1:+1:0/-1")
	f.Fuzz(func(t *testing.T, text string) {
		system, timeline, at, err := postgres.ReadToken(fulcrum.Token(text))
		if err != nil {
			if !errors.Is(err, fulcrum.ErrToken) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again := fmt.Sprintf("pg:%s:%08X:%X/%X", system, timeline, at>>32, at&0xffffffff)
		s, l, a, err := postgres.ReadToken(fulcrum.Token(again))
		if err != nil || s != system || l != timeline || a != at {
			t.Errorf("%q was read as %q, which is %s, %d, %d, %v", text, again, s, l, a, err)
		}
	})
}
