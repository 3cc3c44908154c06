// Package mode decides which aim is served and whether the backend may be asked at
// all. It is pure: time is passed in, and there is no clock, goroutine, lock or
// chance in it.
//
// One [Switch] belongs to one backend. Its shell tells it of every call and, some
// ten times a second, of what was observed:
//
//	call, ok := s.Begin(now, timeout)   // may this call leave?
//	s.End(now, call, mode.OK)           // what became of it
//	decision, events := s.Step(now, o)  // the aim, and all that has changed since
//
// # The circuit
//
//	closed ──(half of the calls fail,──► open ──(backoff)──► half-open
//	   ▲       or all for a second)       ▲                    │    │
//	   │                                  └──(a probe fails)───┘    │
//	   └───────────────(probes in a row succeed)────────────────────┘
//
// Calls count over a rolling window, from a least number on. A call that is still
// out after its timeout counts as failed then and there, so that a backend which
// hangs is noticed without its answer. What is no fault of the backend (a missing
// row, bad data, a caller who left) the shell reports as Ignored. In half-open a
// bounded number of probes is out at once; each failure doubles the backoff, and so
// does opening again soon after closing.
//
// # The mode
//
// In balanced, the switch chooses. While the 95th percentile of the response time
// is over a threshold, the larger part of it is the cause: waiting for a slot asks
// for throughput mode and for shedding, bulk requests first; a slow backend asks for
// latency mode, because larger batches would make it slower. Back to balanced it
// goes when the response time has stayed under a lower threshold. No two choices are
// closer than the dwell time. While the circuit is not closed, the mode is degraded.
//
// A decision carries its reason, and each change is an [Event] with figures.
package mode
