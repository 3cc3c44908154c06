// Package dispatch decides what leaves for the backend, when, and in whose
// company.
//
// It is a pure, single-threaded state machine: time is passed in, nothing
// blocks, nothing is locked, no goroutine is started. The library's shell feeds
// it under a mutex, the simulator in virtual time, the scenario tests from text.
//
// # The way of one request
//
//	Submit ─┬─ Run    a slot is free and nobody is queued: ask at once, alone
//	        ├─ Lead   queued; a slot is free: yield once, then Take
//	        ├─ Wait   queued or joined; a later Take brings it along
//	        └─ Refuse shed, with its reason
//	Take ────── a batch leaves, with the reason why it left
//	Done ────── its slot is free again; says whether to Take once more
//	Wanted ──── work and a slot are there and nobody is coming: start a taker
//
// Batches are clocked by completions: while K of them are in flight the next
// one gathers in the queue, so nobody waits when nobody else is there. With
// service time T(n) = a + b·n the batch settles at n* = λa/(K − λb).
//
// # Lanes and slots
//
// K slots are shared by normal and bulk work. U more are reserved for urgent
// work, because a priority queue alone cannot help once normal work holds the
// connections. Bulk gets at least a tenth of the shared batches when it waits.
// Scopes take turns inside a lane and never share a batch.
//
// # Conservation
//
// At every step admitted = answered + failed + cancelled + queued + in flight.
// Under the build tag "invariants" each call checks it.
package dispatch
