package mode

import (
	"fmt"
	"math"
	"time"
)

// Switch decides the mode of one backend and whether it may be asked. It is not safe
// for concurrent use.
type Switch struct {
	cfg     Config
	now     time.Duration
	circuit circuit
	seen    Observation

	chosen   Mode          // what would hold if the circuit were closed
	changed  time.Duration // when chosen changed last
	want     Mode          // what chosen should become
	wanted   time.Duration // since when
	override time.Duration // until when chosen is somebody's wish; 0: it is not

	shed      Shed
	shedding  time.Duration // when shed changed last
	slowSince time.Duration // since when waiting makes responses slow; -1: it does not
	calmSince time.Duration // since when responses are quick; -1: they are not

	cause  Cause
	reason string
	since  time.Duration
	events []Event
}

// New makes a switch whose circuit is closed.
func New(cfg Config) (*Switch, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Switch{cfg: cfg, chosen: cfg.Mode, want: cfg.Mode, changed: -never, shedding: -never, slowSince: -1, calmSince: -1}
	s.circuit = circuit{cfg: &s.cfg, nextDue: never, changed: s.circuitChanged}
	return s, nil
}

// Begin says whether a call to the backend may leave now. If it may, End must follow.
// After timeout it counts as failed though it has not ended; 0 means never.
func (s *Switch) Begin(now, timeout time.Duration) (Call, bool) {
	return s.circuit.begin(s.clock(now), timeout)
}

// End tells what became of a call.
func (s *Switch) End(now time.Duration, c Call, o Outcome) { s.circuit.end(s.clock(now), c, o) }

// Pending says that there are events that Step has not returned yet.
func (s *Switch) Pending() bool { return len(s.events) > 0 }

// Step takes what was observed, and returns what holds now and what has changed since
// the last Step, oldest first. Some ten times a second is enough, and once more
// whenever Pending.
func (s *Switch) Step(now time.Duration, o Observation) (Decision, []Event) {
	now = s.clock(now)
	s.seen = o.plausible()
	s.circuit.advance(now)
	s.circuit.calls.roll(now, s.cfg.Window)
	if o.Queued > 0 {
		s.circuit.stuck(now)
	}
	if s.override != 0 && now >= s.override {
		s.endOverride(now, OverrideEnded, "the time of the override is over")
	}
	if s.circuit.state == Closed {
		s.choose(now)
		s.protect(now)
	}
	events := s.events
	s.events = nil
	return s.Decision(), events
}

// Decision is what holds as of the last call of any method.
func (s *Switch) Decision() Decision {
	d := Decision{
		Mode: s.mode(), Circuit: s.circuit.state, Shed: s.shed,
		Cause: s.cause, Reason: s.reason, Since: s.since, Until: s.override,
	}
	if d.Circuit == Open {
		d.RetryAt = s.circuit.retryAt
	}
	d.Probe = d.Circuit == HalfOpen && s.circuit.probes < s.cfg.Probes
	return d
}

// maxOverride is the longest an override may last: a forgotten one must end.
const maxOverride = 24 * time.Hour

// Override sets the mode for a while, at most a day, whatever is observed. While the
// circuit is not closed the mode is degraded nevertheless.
func (s *Switch) Override(now time.Duration, m Mode, lasting time.Duration) error {
	if m > Throughput {
		return fmt.Errorf("mode: override: %s cannot be asked for; use balanced, latency or throughput", m)
	}
	if lasting <= 0 || lasting > maxOverride {
		return fmt.Errorf("mode: override: %s is not more than 0 and at most %s", lasting, maxOverride)
	}
	now = s.clock(now)
	s.override = now + lasting
	s.turn(now, m, Overridden, fmt.Sprintf("asked for by hand for %s", short(lasting)))
	return nil
}

// ClearOverride ends an override.
func (s *Switch) ClearOverride(now time.Duration) {
	if s.override != 0 {
		s.endOverride(s.clock(now), OverrideCleared, "the override was taken back")
	}
}

// SetMode changes the configured mode. An override stays.
func (s *Switch) SetMode(now time.Duration, m Mode) error {
	if m > Throughput {
		return fmt.Errorf("mode: %s cannot be configured; use balanced, latency or throughput", m)
	}
	if s.cfg.Mode == m {
		return nil
	}
	s.cfg.Mode = m
	if s.override == 0 {
		s.turn(s.clock(now), m, Configured, "the configuration says so now")
	}
	return nil
}

func (s *Switch) endOverride(now time.Duration, why Cause, reason string) {
	s.override = 0
	s.turn(now, s.cfg.Mode, why, reason)
}

// clock never goes back, and stays where sums of it do not overflow.
func (s *Switch) clock(now time.Duration) time.Duration {
	s.now = max(s.now, min(now, never/2))
	return s.now
}

func (s *Switch) mode() Mode {
	if s.circuit.state != Closed {
		return Degraded
	}
	return s.chosen
}

// choose changes the mode if what was observed has asked for another one long enough.
func (s *Switch) choose(now time.Duration) {
	if s.override != 0 || s.cfg.Mode != Balanced {
		return
	}
	want, why := s.wish()
	if want != s.want {
		s.want, s.wanted = want, now
	}
	patience := s.cfg.Confirm
	if want == Balanced {
		patience = s.cfg.Dwell
	}
	if want != s.chosen && now-s.wanted >= patience && now-s.dwelt() >= s.cfg.Dwell {
		s.turn(now, want, why, s.because(why))
	}
}

// dwelt is when the mode changed last, in terms that can be subtracted.
func (s *Switch) dwelt() time.Duration { return max(s.changed, -s.cfg.Dwell) }

// wish is the mode that the observation asks for, and why.
func (s *Switch) wish() (Mode, Cause) {
	switch {
	case s.calm():
		return Balanced, Calm
	case !s.slow():
		return s.chosen, Calm
	}
	share := s.seen.queueShare()
	switch s.chosen { // what holds needs less evidence than what would change it
	case Throughput:
		share += margin
	case Latency:
		share -= margin
	}
	if share >= 0.5 {
		return Throughput, Queueing
	}
	return Latency, Service
}

// margin is by how much the other cause must outweigh the one that is acted on.
const margin = 0.1

// slow says that responses are over the threshold.
func (s *Switch) slow() bool {
	return s.seen.Samples >= s.cfg.MinSamples && s.seen.Response >= s.cfg.Threshold
}

// calm says that responses are well under the threshold, or that nobody asks. Few
// answers while requests wait are no evidence of calm.
func (s *Switch) calm() bool {
	if s.seen.Samples < s.cfg.MinSamples {
		return s.seen.Queued == 0
	}
	return s.seen.Response < s.leave()
}

func (s *Switch) leave() time.Duration {
	return time.Duration(s.cfg.Leave * float64(s.cfg.Threshold))
}

// protect goes up and down the steps of shedding. The way up needs that waiting is
// the cause, the second step also that more comes than is answered: else the queue
// empties by itself.
func (s *Switch) protect(now time.Duration) {
	slow := s.slow() && s.seen.queueShare() >= 0.5-margin
	mark(&s.slowSince, now, slow)
	mark(&s.calmSince, now, s.calm())
	rested := now-max(s.shedding, -s.cfg.Dwell) >= s.cfg.Dwell
	switch {
	case !rested:
	case slow && s.shed == ShedNone && now-s.slowSince >= s.cfg.Confirm:
		s.setShed(now, ShedBulk, Queueing, s.because(Queueing))
	case slow && s.shed == ShedBulk && s.seen.Offered > s.seen.Throughput && s.seen.Throughput > 0:
		s.setShed(now, ShedNormal, Queueing, s.because(Queueing))
	case s.shed > ShedNone && s.calmSince >= 0 && now-s.calmSince >= s.cfg.Dwell:
		s.setShed(now, s.shed-1, Calm, s.because(Calm))
	}
}

// mark notes since when something holds; -1 if it does not.
func mark(since *time.Duration, now time.Duration, holds bool) {
	switch {
	case !holds:
		*since = -1
	case *since < 0:
		*since = now
	}
}

func (s *Switch) setShed(now time.Duration, to Shed, why Cause, reason string) {
	from := s.shed
	s.shed, s.shedding = to, now
	s.tell(Event{Time: now, Kind: SheddingChanged, From: from.String(), To: to.String(), Cause: why, Reason: reason})
}

// because is the observation in words.
func (s *Switch) because(why Cause) string {
	o := s.seen
	switch {
	case why == Calm && o.Samples < s.cfg.MinSamples:
		return fmt.Sprintf("hardly anybody has asked for %s", short(s.cfg.Dwell))
	case why == Calm:
		return fmt.Sprintf("response p95 %s (n=%d): under %s for %s", short(o.Response), o.Samples, short(s.leave()), short(s.cfg.Dwell))
	}
	waited := math.Round(100 * o.queueShare())
	text := fmt.Sprintf("response p95 %s (n=%d) is over %s: %.0f%% of it waiting, %.0f%% in the backend",
		short(o.Response), o.Samples, short(s.cfg.Threshold), waited, 100-waited)
	if why == Queueing && o.Offered > 0 && o.Throughput > 0 {
		text += fmt.Sprintf("; %.0f/s come, %.0f/s are answered", o.Offered, o.Throughput)
	}
	return text
}

// turn makes m the chosen mode. While the circuit is not closed, nobody sees it.
func (s *Switch) turn(now time.Duration, m Mode, why Cause, reason string) {
	from := s.mode()
	s.chosen, s.changed = m, now
	s.want, s.wanted = m, now
	s.announce(now, from, why, reason)
}

// announce tells of a mode that is no longer from.
func (s *Switch) announce(now time.Duration, from Mode, why Cause, reason string) {
	to := s.mode()
	if to != Degraded || from != Degraded {
		s.cause, s.reason = why, reason // of the same mode too: it may be a wish now
	}
	if to == from {
		return
	}
	s.since = now
	s.tell(Event{Time: now, Kind: ModeChanged, From: from.String(), To: to.String(), Cause: why, Reason: reason})
}

// circuitChanged follows the circuit. What was observed of a backend that was down
// says nothing of one that is back: wishes begin anew.
func (s *Switch) circuitChanged(from, to Circuit, why Cause, reason string) {
	s.tell(Event{Time: s.now, Kind: CircuitChanged, From: from.String(), To: to.String(), Cause: why, Reason: reason})
	switch {
	case from == Closed:
		s.slowSince, s.calmSince = -1, -1
		if s.shed != ShedNone {
			s.setShed(s.now, ShedNone, CircuitOpened, "there is nothing to protect")
		}
		s.announce(s.now, s.chosen, CircuitOpened, "the circuit opened: "+reason)
	case to == Closed:
		s.changed, s.want, s.wanted = s.now, s.chosen, s.now
		s.announce(s.now, Degraded, CircuitClosed, "the circuit closed: "+reason)
	}
}

// maxPending bounds the events of a shell that never steps.
const maxPending = 1000

func (s *Switch) tell(e Event) {
	e.Figures.Observation = s.seen
	e.Figures.Calls, e.Figures.Failed, e.Figures.Overdue = s.circuit.calls.sum()
	if len(s.events) == maxPending {
		s.events = append(s.events[:0], s.events[1:]...)
	}
	s.events = append(s.events, e)
}

// queueShare is the part of a response that is spent waiting, 0 to 1.
func (o Observation) queueShare() float64 {
	if o.Queue+o.Service <= 0 {
		return 0
	}
	return float64(o.Queue) / (float64(o.Queue) + float64(o.Service))
}

// plausible takes out what cannot be.
func (o Observation) plausible() Observation {
	o.Samples, o.Queued = max(0, o.Samples), max(0, o.Queued)
	for _, d := range []*time.Duration{&o.Response, &o.Queue, &o.Service} {
		*d = max(0, min(*d, never/4))
	}
	for _, f := range []*float64{&o.Offered, &o.Throughput} {
		if !(*f > 0) || math.IsInf(*f, 0) { // so that NaN is taken out too
			*f = 0
		}
	}
	return o
}
