package dispatch

import "time"

// Class is the caller's label; it names the lane that a request queues in.
type Class uint8

// The classes, most urgent first.
const (
	Urgent Class = iota // answered on reserved slots, alone where possible
	Normal              // shares its query with whoever is there
	Bulk                // as Normal, but behind it and shed first

	Lanes // how many lanes there are
)

// String names the class as configuration, headers and metrics do.
func (c Class) String() string {
	switch c {
	case Urgent:
		return "urgent"
	case Normal:
		return "normal"
	case Bulk:
		return "bulk"
	}
	return "unknown"
}

// Reason says why a batch left, or why a request was refused.
type Reason uint8

// Why a batch left.
const (
	ReasonIdle     Reason = iota // nothing else was there: the request went at once
	ReasonUrgent                 // an urgent request took a reserved slot
	ReasonSlot                   // a slot was free for what had gathered
	ReasonFull                   // the batch had reached its maximum
	ReasonHeld                   // it was held for company until its linger ended
	ReasonDeadline               // a tight deadline let it go alone
	ReasonFlush                  // it was asked to leave
	ReasonClose                  // the dispatcher drains
	leaveReasons
)

// Why a request was refused.
const (
	RefusedQueue    Reason = iota + leaveReasons // its lane is full
	RefusedWaiters                               // too many callers wait for this key already
	RefusedDeadline                              // by the model it cannot make its deadline
	RefusedExpired                               // its deadline had passed before it came
	RefusedClosed                                // the dispatcher is closing
	RefusedOverload                              // more comes than is answered: it would wait too long
	RefusedCircuit                               // told by the shell: its backend's circuit is open
	RefusedBytes                                 // told by the shell: what waits there holds too many bytes

	Reasons // how many reasons there are
)

var reasonNames = [Reasons]string{
	"idle", "urgent", "slot", "full", "held", "deadline", "flush", "close",
	"queue_full", "too_many_waiters", "deadline_unreachable", "expired", "closed", "overload", "circuit_open", "too_many_bytes",
}

// String names the reason as metrics and logs do.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Action is what the shell has to do after Submit.
type Action uint8

// The actions.
const (
	Wait   Action = iota // nothing: the answer will come
	Run                  // run Verdict.Batch now; it holds this request alone
	Lead                 // yield once, then Take: it is the first of those who may come
	Refuse               // tell the caller Verdict.Reason
)

// Verdict is the answer to Submit.
type Verdict[K comparable, P any] struct {
	Action Action
	Reason Reason       // of Run and Refuse
	Batch  *Batch[K, P] // of Run
	Joined bool         // an identical key was queued already: its query is shared
}

// Limits bound what may be queued and in flight. They may change at any time.
type Limits struct {
	InFlight   int           // K: shared batches in flight, at least 1
	Reserved   int           // U: further slots that only urgent work may take, 0 or more
	MaxBatch   int           // keys in one batch, at least 1
	MaxWaiters int           // callers that may wait for one key, at least 1
	MaxQueued  [Lanes]int    // keys queued in each lane, at least 1
	Hold       bool          // hold small batches for company while another is in flight
	Linger     time.Duration // longest hold; only with Hold

	// MaxWait is how long a key should be queued at most while there is overload;
	// beyond it requests are refused. 0: no bound; AutoWait: the time of three batches
	// that are large enough to be efficient, between 10 and 50 ms.
	MaxWait time.Duration
	// Shed has the same refused in this lane and less urgent ones without waiting for
	// signs of overload. Urgent: in none.
	Shed Class
}

// Cost is what a batch of n keys takes: T(n) = A + B·n. The zero value says
// that nothing is known.
type Cost struct {
	A, B         time.Duration
	TrustedUntil time.Duration // until then it rests on enough recent samples to refuse work by it
}

// Of is the expected service time of a batch of n keys.
func (c Cost) Of(n int) time.Duration { return c.A + time.Duration(n)*c.B }

// size is the number of keys at which the per-batch share of the cost has
// fallen to 1/(f+1): n = f·A/B, at most most. With B = 0, or while nothing is known,
// larger is always better.
func (c Cost) size(f, most int) int {
	if c.B <= 0 {
		return most
	}
	return max(1, min(most, int(time.Duration(f)*c.A/c.B)))
}

// longBatch is how long a batch may take that is efficient already: beyond, it only has
// those wait who come next, and the tuner learn late.
const longBatch = 20 * time.Millisecond

// Most is the largest batch that is worth while, at most limit keys.
func (c Cost) Most(limit int) int {
	if c.B <= 0 {
		return limit
	}
	return min(limit, max(c.size(efficient, limit), int((longBatch-c.A)/c.B)))
}

// Counts is the ledger of requests: Admitted = Answered + Failed + Cancelled +
// Queued + InFlight, always.
type Counts struct {
	Admitted, Answered, Failed, Cancelled uint64
	Queued, InFlight                      int
}
