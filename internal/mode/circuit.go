package mode

import (
	"fmt"
	"math"
	"time"
)

// Call is one call that is out. The zero Call is none.
type Call struct {
	slot   int    // from 1
	serial uint64 // so that a slot that was given away is not ended by its last owner
}

// flight is a call that has not ended.
type flight struct {
	serial  uint64        // 0: the slot is free
	period  uint64        // of the circuit when it began
	due     time.Duration // when it counts as failed
	counted bool          // as overdue
}

// circuit is the circuit breaker of one backend.
type circuit struct {
	cfg    *Config
	state  Circuit
	period uint64 // counts state changes: outcomes of earlier periods say nothing now

	calls   tally
	row     int           // failures since a call succeeded
	rowFrom time.Duration // when a call succeeded last, or the circuit closed
	rowLast time.Duration // when a call failed last
	flights []flight
	free    []int // slots from 1
	serial  uint64
	nextDue time.Duration // no call is due earlier

	probes   int // out in this period
	probed   int // successes in a row
	backoff  time.Duration
	retryAt  time.Duration
	closedAt time.Duration

	changed func(from, to Circuit, why Cause, reason string)
}

// never is when a call is due that has no time-out.
const never = time.Duration(math.MaxInt64)

func (c *circuit) open(now time.Duration) bool {
	c.advance(now)
	switch c.state {
	case Open:
		return false
	case HalfOpen:
		return c.probes < c.cfg.Probes
	}
	return true
}

// begin lets a call go, or not.
func (c *circuit) begin(now, timeout time.Duration) (Call, bool) {
	if !c.open(now) {
		return Call{}, false
	}
	if c.state == HalfOpen {
		c.probes++
	}
	c.serial++
	f := flight{serial: c.serial, period: c.period, due: never}
	if timeout > 0 && timeout < never-now {
		f.due = now + timeout
	}
	c.nextDue = min(c.nextDue, f.due)
	slot := len(c.flights) + 1
	if n := len(c.free); n > 0 {
		slot, c.free = c.free[n-1], c.free[:n-1]
		c.flights[slot-1] = f
	} else {
		c.flights = append(c.flights, f)
	}
	return Call{slot, f.serial}, true
}

// end takes a call's outcome. A call that was never begun, or has ended, is passed
// over.
func (c *circuit) end(now time.Duration, call Call, o Outcome) {
	c.advance(now) // it may have been late
	if call.slot < 1 || call.slot > len(c.flights) || c.flights[call.slot-1].serial != call.serial || call.serial == 0 {
		return
	}
	f := c.flights[call.slot-1]
	c.flights[call.slot-1] = flight{}
	c.free = append(c.free, call.slot)
	if f.period != c.period || f.counted {
		return
	}
	c.count(now, o, false)
}

// advance does what is due by now.
func (c *circuit) advance(now time.Duration) {
	if now >= c.nextDue {
		c.expire(now)
	}
	if c.state == Open && now >= c.retryAt {
		c.become(now, HalfOpen, Backoff, fmt.Sprintf("open for %s: a probe may go", short(c.backoff)))
	}
}

// expire counts the calls that are overdue.
func (c *circuit) expire(now time.Duration) {
	c.nextDue = never
	for i := range c.flights {
		f := &c.flights[i]
		switch {
		case f.serial == 0 || f.counted || f.due == never:
		case f.due > now:
			c.nextDue = min(c.nextDue, f.due)
		default:
			f.counted = true
			if f.period == c.period {
				c.count(now, Failed, true)
			}
		}
	}
}

// count takes an outcome of this period.
func (c *circuit) count(now time.Duration, o Outcome, overdue bool) {
	if c.state == HalfOpen {
		c.countProbe(now, o, overdue)
		return
	}
	if o >= Ignored || c.state == Open {
		return
	}
	c.calls.add(now, c.cfg.Window, o == Failed, overdue)
	if o == OK {
		c.row, c.rowFrom = 0, now
		return
	}
	if now-c.rowLast > c.cfg.Window {
		c.row = 0
	}
	c.row++
	c.rowLast = now
	c.judge(now)
}

// judge opens the circuit if too many calls have failed: their share of the window,
// or all of them for a tenth of it. The latter notices a backend that hangs, with all
// slots in it, while the successes of before still outnumber these few.
func (c *circuit) judge(now time.Duration) {
	calls, failed, late := c.calls.sum()
	many := calls >= c.cfg.MinCalls && float64(failed) >= c.cfg.OpenAt*float64(calls)
	silent := c.row >= c.cfg.MinCalls && now-c.rowFrom >= c.cfg.Window/parts
	if !many && !silent {
		return
	}
	why := Failures
	if 2*late > failed {
		why = Overdue
	}
	text := fmt.Sprintf("%d of %d calls failed within %s", failed, calls, short(c.cfg.Window))
	if !many {
		text = fmt.Sprintf("the last %d calls failed, none has succeeded for %s", c.row, short(now-c.rowFrom))
	}
	if late > 0 {
		text += fmt.Sprintf(" (%d did not come back in time)", late)
	}
	c.trip(now, why, text)
}

// stuck opens the circuit if every call that is out is overdue, while others wait for
// its slot: so few slots may be no evidence by their number, but nobody gets past them.
func (c *circuit) stuck(now time.Duration) {
	out, late := 0, 0
	for _, f := range c.flights {
		if f.serial != 0 && f.period == c.period {
			out++
			if f.counted {
				late++
			}
		}
	}
	if c.state == Closed && late > 0 && late == out && now-c.rowFrom >= c.cfg.Window/parts {
		c.trip(now, Overdue, fmt.Sprintf("none of the %d calls that are out came back in time, others wait, none has succeeded for %s", out, short(now-c.rowFrom)))
	}
}

// trip opens the circuit.
func (c *circuit) trip(now time.Duration, why Cause, text string) {
	if c.backoff == 0 || now-c.closedAt > c.cfg.Window {
		c.backoff = c.cfg.Backoff
	} else { // it has only just been closed
		c.lengthen()
	}
	c.retryAt = now + c.backoff
	c.become(now, Open, why, fmt.Sprintf("%s: open for %s", text, short(c.backoff)))
}

func (c *circuit) countProbe(now time.Duration, o Outcome, overdue bool) {
	c.probes--
	switch o {
	case OK:
		if c.probed++; c.probed >= c.cfg.CloseAfter {
			c.closedAt = now
			c.become(now, Closed, Probed, fmt.Sprintf("probes succeeded, %d in a row", c.probed))
		}
	case Failed:
		c.lengthen()
		c.retryAt = now + c.backoff
		what := "a probe failed"
		if overdue {
			what = "a probe did not come back in time"
		}
		c.become(now, Open, ProbeFailed, fmt.Sprintf("%s: open for %s", what, short(c.backoff)))
	}
}

func (c *circuit) lengthen() { c.backoff = min(2*c.backoff, c.cfg.MaxBackoff) }

// become changes the state. What is out belongs to the period before.
func (c *circuit) become(now time.Duration, to Circuit, why Cause, reason string) {
	from := c.state
	c.state = to
	c.period++
	c.probes, c.probed = 0, 0
	c.changed(from, to, why, reason)
	if from == Closed { // not before: the event tells them
		c.calls = tally{}
	}
	if to == Closed {
		c.row, c.rowFrom = 0, now
	}
}

// parts of a window.
const parts = 10

// tally counts outcomes over a rolling window, to a tenth of it.
type tally struct {
	part  int64 // of time that is counted in now
	parts [parts]struct{ calls, failed, overdue int }
}

func (t *tally) add(now, window time.Duration, failed, overdue bool) {
	t.roll(now, window)
	p := &t.parts[t.part%parts]
	p.calls++
	if failed {
		p.failed++
	}
	if overdue {
		p.overdue++
	}
}

// roll forgets what the window has left behind.
func (t *tally) roll(now, window time.Duration) {
	part := int64(now / (window / parts))
	for next := max(t.part+1, part-parts+1); next <= part; next++ {
		t.parts[next%parts] = struct{ calls, failed, overdue int }{}
	}
	t.part = max(t.part, part)
}

func (t *tally) sum() (calls, failed, overdue int) {
	for _, p := range t.parts {
		calls += p.calls
		failed += p.failed
		overdue += p.overdue
	}
	return calls, failed, overdue
}

// short is a duration as people write it: three digits are enough.
func short(d time.Duration) string {
	for unit := time.Duration(1); unit <= time.Minute; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}
