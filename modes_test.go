package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// moody is a backend whose health is set from outside: every call takes 1 ms.
type moody struct {
	ill   atomic.Pointer[error] // what calls fail with; nil: they succeed
	hangs atomic.Bool           // calls do not return before their context ends
	calls atomic.Int64
}

func (m *moody) one(ctx context.Context, key int) (string, error) {
	m.calls.Add(1)
	if m.hangs.Load() {
		<-ctx.Done()
		return "", ctx.Err()
	}
	time.Sleep(time.Millisecond)
	if e := m.ill.Load(); e != nil {
		return "", *e
	}
	return value("", key), nil
}

func (m *moody) fetch(ctx context.Context, b *fulcrum.Batch[int, string]) error {
	for i, key := range b.Keys() {
		v, err := m.one(ctx, key)
		if err != nil {
			return err
		}
		b.SetAt(i, v)
	}
	return nil
}

func (m *moody) fails(err error) { m.ill.Store(&err) }

// diary takes events down.
type diary struct {
	mu     sync.Mutex
	events []fulcrum.Event
}

func (d *diary) note(e fulcrum.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// changes are the changes of one kind: closed→open open→half-open.
func (d *diary) changes(kind string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, e := range d.events {
		if e.Kind == kind {
			all = append(all, e.From+"→"+e.To)
		}
	}
	return strings.Join(all, " ")
}

func moodyReader(t *testing.T, cfg fulcrum.BackendConfig) (*fulcrum.Reader[int, string], *fulcrum.Backend, *moody, *diary) {
	t.Helper()
	d := &diary{}
	cfg.OnEvent = d.note
	b, err := fulcrum.NewBackend(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{}
	return newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: m.fetch, One: m.one, Backend: b}), b, m, d
}

// poll asks once every so often, for a while, and counts the answers and the refusals.
func poll(r *fulcrum.Reader[int, string], every, lasting, timeout time.Duration) (answered, refused, failed int) {
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(every) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		_, err := r.Get(ctx, 1)
		cancel()
		switch {
		case err == nil:
			answered++
		case errors.Is(err, fulcrum.ErrCircuitOpen):
			refused++
		default:
			failed++
		}
	}
	return answered, refused, failed
}

func TestTheCircuitOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, m, d := moodyReader(t, fulcrum.BackendConfig{})
		if answered, _, _ := poll(r, 10*time.Millisecond, 100*time.Millisecond, time.Second); answered < 9 {
			t.Fatalf("%d answered by a healthy backend", answered)
		}
		m.fails(fmt.Errorf("gone: %w", fulcrum.ErrUnavailable))
		_, refused, failed := poll(r, 10*time.Millisecond, 3*time.Second, time.Second)
		if refused < 100 || failed > 120 {
			t.Errorf("of a backend that is gone: %d refused at once, %d failed", refused, failed)
		}
		if s := b.Stats().Modes; s.Mode != "degraded" || s.Circuit == "closed" || s.Reason == "" {
			t.Errorf("%+v", s)
		}
		m.ill.Store(nil)
		poll(r, 10*time.Millisecond, 6*time.Second, time.Second)
		if answered, refused, failed := poll(r, 10*time.Millisecond, time.Second, time.Second); refused+failed > 0 || answered < 80 {
			t.Errorf("it is back: %d answered, %d refused, %d failed", answered, refused, failed)
		}
		if s := b.Stats().Modes; s.Mode != "balanced" || s.Circuit != "closed" || s.Changes["circuit closed open"] != 1 {
			t.Errorf("%+v", s)
		}
		if got := d.changes("circuit"); !strings.HasPrefix(got, "closed→open open→half-open") || !strings.HasSuffix(got, "half-open→closed") {
			t.Errorf("events: %s", got)
		}
		if got := d.changes("mode"); got != "balanced→degraded degraded→balanced" {
			t.Errorf("modes: %s", got)
		}
	})
}

// A refusal says when to come back, and then the circuit lets a probe through.
func TestCircuitOpenError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, m, _ := moodyReader(t, fulcrum.BackendConfig{Name: "shop"})
		m.fails(fulcrum.ErrUnavailable)
		var err error
		for range 20 {
			if _, err = r.Get(context.Background(), 1); errors.Is(err, fulcrum.ErrCircuitOpen) {
				break
			}
		}
		var open *fulcrum.CircuitOpenError
		if !errors.As(err, &open) || open.Backend != "shop" || open.RetryAfter <= 0 || !strings.Contains(err.Error(), "shop") {
			t.Fatalf("%v", err)
		}
		if _, err := r.Get(context.Background(), 1, fulcrum.Urgent); !errors.Is(err, fulcrum.ErrCircuitOpen) {
			t.Errorf("urgent requests pass the circuit too: %v", err)
		}
		if _, err := r.GetMany(context.Background(), []int{1, 2}); !errors.Is(err, fulcrum.ErrCircuitOpen) {
			t.Errorf("many: %v", err)
		}
		if s := r.Stats(); s.Classes["normal"].Refused["circuit_open"] < 3 || s.Classes["urgent"].Refused["circuit_open"] != 1 {
			t.Errorf("counted: %+v", s.Classes)
		}
		m.ill.Store(nil)
		time.Sleep(open.RetryAfter)
		for range 3 {
			if _, err = r.Get(context.Background(), 1); err != nil {
				t.Errorf("after RetryAfter: %v", err)
			}
		}
	})
}

// A backend that hangs is noticed though no call comes back, and asked again.
func TestTheCircuitSeesAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, m, _ := moodyReader(t, fulcrum.BackendConfig{CallTimeout: 500 * time.Millisecond})
		poll(r, 10*time.Millisecond, time.Second, time.Second)
		m.hangs.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		var wg, watch sync.WaitGroup
		watch.Go(func() { b.Watch(ctx, nil) }) // callers who all wait ask nothing new
		var refused atomic.Int64
		for range 20 {
			wg.Go(func() {
				_, n, _ := poll(r, 20*time.Millisecond, 5*time.Second, 10*time.Second)
				refused.Add(int64(n))
			})
		}
		time.Sleep(4 * time.Second)
		if s := b.Stats().Modes; s.Circuit == "closed" {
			t.Errorf("%+v", s)
		}
		wg.Wait()
		m.hangs.Store(false)
		time.Sleep(30 * time.Second)
		poll(r, 10*time.Millisecond, time.Second, time.Second)
		if answered, refused, failed := poll(r, 10*time.Millisecond, time.Second, time.Second); answered < 80 {
			t.Errorf("afterwards: %d answered, %d refused, %d failed", answered, refused, failed)
		}
		stop()
		watch.Wait()
	})
}

// What is no fault of the backend leaves the circuit closed.
func TestTheCircuitStaysClosed(t *testing.T) {
	for name, err := range map[string]error{
		"not found": fulcrum.ErrNotFound, "data": errors.New("wrong type"), "canceled": context.Canceled, "a key": fulcrum.Divisible(errors.New("bad")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, b, m, _ := moodyReader(t, fulcrum.BackendConfig{})
				m.fails(err)
				if _, refused, _ := poll(r, 10*time.Millisecond, 3*time.Second, time.Second); refused > 0 || b.Stats().Modes.Circuit != "closed" {
					t.Errorf("%d refused, %+v", refused, b.Stats().Modes)
				}
			})
		})
	}
	t.Run("tight deadlines", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, b, m, _ := moodyReader(t, fulcrum.BackendConfig{})
			m.hangs.Store(true)
			if _, refused, _ := poll(r, 10*time.Millisecond, 3*time.Second, 5*time.Millisecond); refused > 0 {
				t.Errorf("%d refused: %+v", refused, b.Stats().Modes)
			}
		})
	})
	t.Run("switched off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, _, m, _ := moodyReader(t, fulcrum.BackendConfig{NoCircuit: true})
			m.fails(fulcrum.ErrUnavailable)
			if _, refused, _ := poll(r, 10*time.Millisecond, 3*time.Second, time.Second); refused > 0 {
				t.Errorf("%d refused", refused)
			}
		})
	})
}

// Where nobody asks, a ping finds out that the backend is back.
func TestWatchProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, m, _ := moodyReader(t, fulcrum.BackendConfig{})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			b.Watch(ctx, func(ctx context.Context) error { _, err := m.one(ctx, 0); return err })
		})
		m.fails(fulcrum.ErrUnavailable)
		poll(r, 10*time.Millisecond, 200*time.Millisecond, time.Second)
		if s := b.Stats().Modes; s.Circuit != "open" {
			t.Fatalf("%+v", s)
		}
		m.ill.Store(nil)
		time.Sleep(5 * time.Second)
		if s := b.Stats().Modes; s.Circuit != "closed" {
			t.Errorf("%+v", s)
		}
		stop()
		wg.Wait()
	})
}

func TestOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b, _, d := moodyReader(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed})
		if err := b.Override(fulcrum.ModeThroughput, time.Minute); err != nil {
			t.Fatal(err)
		}
		s := b.Stats()
		if s.Modes.Mode != "throughput" || s.Modes.Until != time.Minute || s.Modes.Cause != "override" || !s.Hold {
			t.Errorf("%+v", s)
		}
		b.ClearOverride()
		if s := b.Stats(); s.Modes.Mode != "balanced" || s.Modes.Until != 0 || s.Hold {
			t.Errorf("%+v", s)
		}
		if err := b.Override(fulcrum.ModeLatency, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		poll(r, 10*time.Millisecond, 10*time.Millisecond, time.Second)
		if s := b.Stats().Modes; s.Mode != "balanced" || s.Cause != "override_ended" {
			t.Errorf("after its time: %+v", s)
		}
		if err := b.SetMode(fulcrum.ModeLatency); err != nil || b.Stats().Modes.Mode != "latency" {
			t.Errorf("%v, %+v", err, b.Stats().Modes)
		}
		if got := d.changes("mode"); got != "balanced→throughput throughput→balanced balanced→latency latency→balanced balanced→latency" {
			t.Errorf("events: %s", got)
		}
		for _, err := range []error{b.Override(9, time.Second), b.SetMode(9), b.Override(fulcrum.ModeLatency, 0), b.Override(fulcrum.ModeLatency, 48*time.Hour)} {
			if err == nil || !strings.Contains(err.Error(), "backend") {
				t.Errorf("%v", err)
			}
		}
	})
}

// A slow backend asks for latency mode, a queue before it for throughput mode, once a
// dwell time.
func TestStressChangesTheMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readers, b, _ := shared(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 1, Reserved: -1, MaxBatch: 10, SlowAt: 5 * time.Millisecond}, 1)
		ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
		defer stop()
		var wg sync.WaitGroup
		callers(t, ctx, &wg, readers[0], 100)
		time.Sleep(3 * time.Second)
		s := b.Stats().Modes
		if s.Mode != "throughput" || s.Cause != "queueing" || !strings.Contains(s.Reason, "waiting") {
			t.Errorf("%+v", s)
		}
		wg.Wait()
	})
}

// Urgent requests that miss their target have K cut, and get it back.
func TestKYieldsToUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		var inFlight atomic.Int64
		b, err := fulcrum.NewBackend(fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 8, MaxBatch: 10, UrgentP99: 5 * time.Millisecond, OnEvent: d.note})
		if err != nil {
			t.Fatal(err)
		}
		work := func(ctx context.Context, b *fulcrum.Batch[int, string]) error { // each in flight slows the others
			n := inFlight.Add(1)
			defer inFlight.Add(-1)
			time.Sleep(time.Duration(n) * time.Millisecond)
			for i, k := range b.Keys() {
				b.SetAt(i, value("", k))
			}
			return nil
		}
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Fetch: work, Backend: b})
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		var wg sync.WaitGroup
		callers(t, ctx, &wg, r, 200)
		callers(t, ctx, &wg, r, 1, fulcrum.Urgent)
		time.Sleep(4 * time.Second)
		if s := b.Stats(); s.InFlight > 5 || s.Modes.Changes["slots"] == 0 {
			t.Errorf("K %d of 8, changes %v", s.InFlight, s.Modes.Changes)
		}
		wg.Wait()
		time.Sleep(10 * time.Second)
		for range 40 {
			time.Sleep(250 * time.Millisecond)
			mustGet(t, r, t.Context(), 1)
		}
		if s := b.Stats(); s.InFlight != 8 {
			t.Errorf("K stays at %d: %s", s.InFlight, d.changes("slots"))
		}
	})
}

// At twice what can be answered, what is served keeps its time and the rest is refused.
func TestOverloadIsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readers, _, _ := shared(t, fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed, InFlight: 1, Reserved: -1, MaxBatch: 10}, 1)
		var wg sync.WaitGroup
		var answered, shed atomic.Int64
		var longest atomic.Int64
		begin := time.Now()
		for i := range 60_000 { // 18,000/s, of which 9,000 can be answered
			time.Sleep(time.Second / 18_000)
			wg.Go(func() {
				sent := time.Now()
				_, err := readers[0].Get(context.Background(), i)
				var refused *fulcrum.ShedError
				switch {
				case err == nil:
					answered.Add(1)
					if sent.Sub(begin) > time.Second {
						longest.Store(max(longest.Load(), int64(time.Since(sent))))
					}
				case errors.As(err, &refused) && refused.Reason == fulcrum.ShedOverload:
					shed.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if n := answered.Load(); n < 27_000 {
			t.Errorf("%d of 30,000 that can be answered were", n)
		}
		if w := time.Duration(longest.Load()); w > 30*time.Millisecond {
			t.Errorf("after the first second the longest response took %s", w)
		}
		if shed.Load() < 20_000 {
			t.Errorf("%d were shed", shed.Load())
		}
	})
}

func TestModesAreChecked(t *testing.T) {
	for want, cfg := range map[string]fulcrum.BackendConfig{
		"Mode":        {Mode: 7},
		"SlowAt":      {SlowAt: -1},
		"CallTimeout": {CallTimeout: 2 * time.Hour},
		"UrgentP99":   {UrgentP99: -1},
	} {
		if _, err := fulcrum.NewBackend(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want it to name %s", cfg, err, want)
		}
	}
	if _, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, string]{Fetch: new(moody).fetch, Policy: fulcrum.Policy{MaxQueueTime: time.Hour}}); err == nil || !strings.Contains(err.Error(), "MaxQueueTime") {
		t.Errorf("%v", err)
	}
}
