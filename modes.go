package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/mode"
)

// Event is a change of a Backend's mode, of its circuit or of what it sheds.
type Event struct {
	Backend  string        // BackendConfig.Name
	At       time.Duration // since the Backend was made
	Kind     string        // mode, circuit, shed or slots
	From, To string        // balanced, latency, throughput, degraded; closed, open, half-open; none, bulk, normal
	Cause    string        // in one word, such as queueing, failures or override
	Reason   string        // for people
	Figures  EventFigures
}

// String is the event in one line.
func (e Event) String() string {
	return fmt.Sprintf("%s %s → %s (%s): %s", e.Kind, e.From, e.To, e.Cause, e.Reason)
}

// EventFigures are what an event rests on. Times are 95th percentiles of the normal
// and bulk requests that were answered in the second before; the oldest request of each
// batch stands for all of it.
type EventFigures struct {
	Samples    int           // requests that the times are of
	Response   time.Duration // from admission to the answer
	Queue      time.Duration // from admission to leaving
	Service    time.Duration // from leaving to the answer
	Queued     int           // keys that waited
	Offered    float64       // requests that came, 1/s
	Throughput float64       // requests that were answered, 1/s
	Calls      int           // that the circuit counted, within its window of 10 s
	Failed     int           // of these
	Overdue    int           // of these, calls that did not come back in time
}

// ModeStats is what a Backend aims at, and whether it may be asked.
type ModeStats struct {
	Mode    string            // balanced, latency, throughput or degraded
	Circuit string            // closed, open or half-open
	Shed    string            // none, bulk or normal: from which class on requests are refused
	Cause   string            // of the mode, in one word
	Reason  string            // of the mode; empty at the start
	Since   time.Duration     // when the mode changed last, since the Backend was made
	Until   time.Duration     // when an Override ends, since the Backend was made; 0: there is none
	RetryIn time.Duration     // until the open circuit lets a probe through; 0: it is not open
	Changes map[string]uint64 // how many there were, by "kind from to"
}

func (b *Backend) modeStats(d mode.Decision) ModeStats {
	s := ModeStats{
		Mode: d.Mode.String(), Circuit: d.Circuit.String(), Shed: d.Shed.String(), Cause: d.Cause.String(), Reason: d.Reason,
		Since: d.Since, Until: d.Until, Changes: maps.Clone(b.events),
	}
	if d.RetryAt > 0 {
		s.RetryIn = max(0, d.RetryAt-b.now())
	}
	return s
}

// Mode names the mode that holds now: latency, throughput, balanced or degraded. It takes
// no lock.
func (b *Backend) Mode() string { return b.stance.Load().mode.Mode.String() }

func (b *Backend) now() time.Duration { return time.Since(b.epoch) }

// Override sets the mode for a while, at most a day, whatever happens; ModeBalanced
// has neither latency nor throughput chosen. While the circuit is not closed the mode
// is degraded nevertheless.
func (b *Backend) Override(m Mode, lasting time.Duration) error {
	if int(m) >= len(modes) {
		return fmt.Errorf("fulcrum: backend %q: Override: %d is no mode; use ModeBalanced, ModeLatency or ModeThroughput", b.cfg.Name, m)
	}
	now := b.now()
	b.mu.Lock()
	err := b.modes.Override(now, modes[m], lasting)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("fulcrum: backend %q: %w", b.cfg.Name, err)
	}
	b.step(now)
	return nil
}

// ClearOverride ends an Override.
func (b *Backend) ClearOverride() {
	now := b.now()
	b.mu.Lock()
	b.modes.ClearOverride(now)
	b.mu.Unlock()
	b.step(now)
}

// SetMode changes what is aimed at, as BackendConfig.Mode says it. An Override stays.
func (b *Backend) SetMode(m Mode) error {
	if int(m) >= len(modes) {
		return fmt.Errorf("fulcrum: backend %q: SetMode: %d is no mode; use ModeBalanced, ModeLatency or ModeThroughput", b.cfg.Name, m)
	}
	now := b.now()
	b.mu.Lock()
	err := b.modes.SetMode(now, modes[m])
	b.mu.Unlock()
	b.step(now)
	return err
}

// stepEvery is how often modes are looked at.
const stepEvery = 100 * time.Millisecond

// Watch keeps what a Backend says of itself true while no requests come, until ctx
// ends: otherwise modes and circuit change with the next request. While the circuit is
// half-open it probes with ping, if that is not nil, so that no request has to. It also
// asks the Copies how far they lag.
func (b *Backend) Watch(ctx context.Context, ping func(context.Context) error) {
	tick := time.NewTicker(stepEvery)
	defer tick.Stop()
	for checked := time.Duration(-checkEvery); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.step(b.now())
		if now := b.now(); b.copies != nil && now-checked >= checkEvery {
			checked = now
			b.check(ctx)
		}
		if b.copies != nil {
			ping = b.anyAnswers(ping)
		}
		if ping != nil && b.stance.Load().mode.Probe {
			b.probe(ctx, ping)
		}
	}
}

func (b *Backend) probe(ctx context.Context, ping func(context.Context) error) {
	began := b.now()
	call, err := b.begin(began, b.cfg.CallTimeout)
	if err != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, b.cfg.CallTimeout)
	defer cancel()
	o := mode.OK
	if err := ping(limited); err != nil {
		o = mode.Failed
	}
	b.end(b.now(), call, o)
}

// admit refuses a request if the circuit is open, and steps if that is due.
func (b *Backend) admit(now time.Duration) error {
	if due := b.nextAt.Load(); int64(now) >= due && b.nextAt.CompareAndSwap(due, int64(now+stepEvery)) {
		b.step(now)
	}
	if m := &b.stance.Load().mode; m.Circuit == mode.Open && now < m.RetryAt {
		return b.refusal(m.RetryAt - now)
	}
	return nil
}

func (b *Backend) refusal(retry time.Duration) error {
	return &CircuitOpenError{Backend: b.cfg.Name, RetryAfter: max(time.Millisecond, retry)}
}

// begin lets a call to the backend leave, or says when to come back. End must follow.
func (b *Backend) begin(now, timeout time.Duration) (mode.Call, error) {
	if b.cfg.NoCircuit {
		return mode.Call{}, nil
	}
	b.mu.Lock()
	call, ok := b.modes.Begin(now, min(timeout, b.cfg.CallTimeout))
	retry := b.modes.Decision().RetryAt
	pending := b.modes.Pending()
	b.mu.Unlock()
	if pending {
		b.step(now)
	}
	if !ok {
		return call, b.refusal(max(retry-now, stepEvery)) // half-open, the probes out will tell
	}
	return call, nil
}

// end says what became of a call.
func (b *Backend) end(now time.Duration, call mode.Call, o mode.Outcome) {
	if b.cfg.NoCircuit {
		return
	}
	b.mu.Lock()
	b.modes.End(now, call, o)
	pending := b.modes.Pending()
	b.mu.Unlock()
	if pending {
		b.step(now)
	}
}

// step looks at what happens, has the modes decide, and tells of what has changed.
func (b *Backend) step(now time.Duration) {
	b.slots.poke()
	p, shared, _ := b.slots.counted()
	b.mu.Lock()
	o := b.look(now, p)
	m, events := b.modes.Step(now, o)
	was := b.stance.Load()
	reason, yielded := b.protect(now, shared, was.InFlight)
	if m != was.mode || yielded {
		b.settle(was.Decision, m)
	}
	if yielded {
		from, to := strconv.Itoa(was.k), strconv.Itoa(b.stance.Load().k)
		events = append(events, mode.Event{Time: now, Kind: mode.SlotsChanged, From: from, To: to, Cause: mode.Urgent, Reason: reason})
	}
	for _, e := range events {
		what := e.Kind.String()
		if e.Kind != mode.SlotsChanged {
			what += " " + e.From + " " + e.To
		}
		b.events[what]++
	}
	b.mu.Unlock()
	if b.cfg.OnEvent != nil {
		for _, e := range events {
			b.cfg.OnEvent(b.event(e))
		}
	}
}

// protect has K yield to urgent requests that miss their target. The lock is held.
func (b *Backend) protect(now time.Duration, shared, k int) (reason string, changed bool) {
	if b.yield == nil {
		return "", false
	}
	u := b.urgently.Snapshot(now)
	return b.yield.Step(now, u.Quantile(.99), int(u.Count()), shared, k)
}

// look is what was observed in the last second. The lock is held.
func (b *Backend) look(now time.Duration, p pressure) mode.Observation {
	response := b.response.Snapshot(now)
	o := mode.Observation{
		Samples: int(response.Count()), Response: response.Quantile(.95), Queued: p.queued,
		Queue: b.queue.Snapshot(now).Quantile(.95), Service: b.service.Snapshot(now).Quantile(.95),
	}
	answered := b.answered.Load()
	if took := (now - b.looked).Seconds(); took >= stepEvery.Seconds()/2 {
		o.Offered, o.Throughput = float64(p.arrived-b.arrived)/took, float64(answered-b.done)/took
		b.looked, b.arrived, b.done = now, p.arrived, answered
		b.obs.Rate = o.Offered
	}
	b.obs.P95, b.obs.P99 = o.Response, response.Quantile(.99)
	return o
}

func (b *Backend) event(e mode.Event) Event {
	f := e.Figures
	return Event{
		Backend: b.cfg.Name, At: e.Time, Kind: e.Kind.String(), From: e.From, To: e.To, Cause: e.Cause.String(), Reason: e.Reason,
		Figures: EventFigures{
			Samples: f.Samples, Response: f.Response, Queue: f.Queue, Service: f.Service, Queued: f.Queued,
			Offered: f.Offered, Throughput: f.Throughput, Calls: f.Calls, Failed: f.Failed, Overdue: f.Overdue,
		},
	}
}

// A time-out says something of the backend only if a call took far longer than such
// calls do: else it says that the deadline was tight.
const (
	lateTimes = 10
	lateAtAll = 10 * time.Millisecond
)

// outcomeOf says what a call's error tells of the backend; expected is how long such
// calls take, 0 if that is not known.
func outcomeOf(err error, took, expected time.Duration) (o mode.Outcome) {
	defer func() {
		if recover() != nil { // an error that cannot be looked into, as in isNotFound
			o = mode.Ignored
		}
	}()
	var network net.Error
	isNetwork := errors.As(err, &network)
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return mode.OK
	case errors.Is(err, ErrUnavailable):
		return mode.Failed
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isNetwork && network.Timeout():
		if took >= max(lateAtAll, lateTimes*expected) {
			return mode.Failed
		}
	case isNetwork:
		return mode.Failed
	}
	return mode.Ignored
}
