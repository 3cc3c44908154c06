package mode

import (
	"fmt"
	"time"
)

// Mode is the aim that is served.
type Mode uint8

// The modes.
const (
	Balanced   Mode = iota // near both; configured, it lets the switch choose
	Latency                // batches never wait for company
	Throughput             // small batches may wait, so that more is answered
	Degraded               // the circuit is not closed; never configured
)

// String names the mode as configuration and metrics do.
func (m Mode) String() string {
	return name(m, "balanced", "latency", "throughput", "degraded")
}

// Circuit says whether a backend may be asked.
type Circuit uint8

// The states of a circuit.
const (
	Closed   Circuit = iota // it may
	Open                    // it may not
	HalfOpen                // by probes only
)

// String names the state as metrics do.
func (c Circuit) String() string {
	return name(c, "closed", "open", "half-open")
}

// Outcome is what became of a call, as far as it says something of the backend.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = iota // it was answered, be it with not found
	Failed                 // transport error, time-out, or a server that is down
	Ignored                // says nothing of the backend, such as bad data or a cancellation
)

// Shed says which requests are to be refused to protect the others.
type Shed uint8

// The steps of shedding, from none to the most.
const (
	ShedNone   Shed = iota // none
	ShedBulk               // bulk requests
	ShedNormal             // bulk, and normal ones that would wait longer than the threshold
)

// String names the step as metrics do.
func (s Shed) String() string {
	return name(s, "none", "bulk", "normal")
}

// Kind says what an event changed.
type Kind uint8

// The kinds of events.
const (
	ModeChanged Kind = iota
	CircuitChanged
	SheddingChanged
	SlotsChanged // told by the shell: K was cut for urgent requests, or given back
)

// String names the kind as the events' stream does.
func (k Kind) String() string {
	return name(k, "mode", "circuit", "shed", "slots")
}

// Cause says why something changed, in one word for metrics.
type Cause uint8

// The causes.
const (
	Started         Cause = iota // nothing has changed yet
	Queueing                     // responses are slow because requests wait for a slot
	Service                      // responses are slow because the backend is
	Calm                         // responses have stayed quick
	Failures                     // too many calls failed
	Overdue                      // too many calls did not come back in time
	Backoff                      // the backoff has ended
	ProbeFailed                  // a probe failed
	Probed                       // enough probes succeeded
	CircuitOpened                // of the mode: the circuit left closed
	CircuitClosed                // of the mode: it is closed again
	Overridden                   // somebody asked for this mode
	OverrideEnded                // that time is over
	OverrideCleared              // somebody took it back
	Configured                   // the configuration changed
	Urgent                       // of slots: urgent requests missed their target, or keep it
)

// String names the cause as metrics do.
func (c Cause) String() string {
	return name(c, "started", "queueing", "service", "calm", "failures", "overdue", "backoff", "probe_failed", "probed",
		"circuit_opened", "circuit_closed", "override", "override_ended", "override_cleared", "configured", "urgent")
}

// name looks a value's name up; a value out of range has none.
func name[T ~uint8](v T, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return "unknown"
}

// Observation is what was seen of a backend over the last seconds. Times are 95th
// percentiles of requests that were answered.
type Observation struct {
	Samples    int           // requests that the times are of
	Response   time.Duration // from due to answered
	Queue      time.Duration // from due to sent
	Service    time.Duration // from sent to answered
	Queued     int           // requests that wait now
	Offered    float64       // requests that came, 1/s; 0 or NaN: unknown
	Throughput float64       // requests that were answered, 1/s; 0 or NaN: unknown
}

// Figures are what an event rests on: the last observation, and the calls that the
// circuit has counted.
type Figures struct {
	Observation
	Calls   int // in the window
	Failed  int // of these, overdue ones included
	Overdue int // of these
}

// Event is one change.
type Event struct {
	Time     time.Duration // since the shell's epoch
	Kind     Kind
	From, To string
	Cause    Cause
	Reason   string // for people
	Figures  Figures
}

// String is the event in one line.
func (e Event) String() string {
	return fmt.Sprintf("%s %s → %s (%s): %s", e.Kind, e.From, e.To, e.Cause, e.Reason)
}

// Decision is what holds now.
type Decision struct {
	Mode    Mode
	Circuit Circuit
	Shed    Shed
	Cause   Cause         // of the mode
	Reason  string        // of the mode, for people; empty at the start
	Since   time.Duration // when the mode changed last, since the shell's epoch
	Until   time.Duration // when the override ends; 0: there is none
	RetryAt time.Duration // when the open circuit lets a probe through; 0: it is not open
	Probe   bool          // a probe may go: where no request comes, the shell can send a ping
}
