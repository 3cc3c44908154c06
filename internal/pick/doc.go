// Package pick decides which of several copies of the same data a read goes to. It is
// pure: time is passed in, chance comes from a seed, and there is no clock, goroutine,
// lock or database in it.
//
// One [Picker] belongs to one set of copies. Its shell tells it of every call and, some
// times a second, of how far each replica lags:
//
//	c, ok := p.Pick(now, want)           // which copy, and why
//	p.Begin(c.Node)                      // the call leaves
//	p.Done(now, c.Node, pick.OK, ratio)  // what became of it
//	p.Lag(now, node, lag)                // how far behind a replica is
//
// # The fastest
//
// Of two copies chosen by chance the one with the lower load is taken. The load is the
// peak-sensitive moving average of what calls there cost, times the calls in flight
// there and this one:
//
//	s    = ratio / calls in flight there
//	cost ← s                             if s > cost
//	cost ← cost·w + s·(1−w)              else, w = exp(−Δt/τ)
//	load = cost·exp(−Δt/τ)·(in flight + 1)
//
// The division is our own: what a call took holds the wait for those beside it already, and
// the load would count them twice. Without it a copy that was twenty times slower, and idle,
// looked as good as a fast one with five calls in flight.
//
// The ratio of a call is the time it took to the time that the model expects of a batch
// of its size, so that a copy which happens to get the larger batches is not taken for
// a slow one. Reading decays, so that a copy which was slow is tried again. The idea is
// that of the peak EWMA balancer of Finagle, with the power of two choices (Mitzenmacher
// 2001).
//
// # Fresh enough
//
// A replica lags if it is further behind than both a time and a number of bytes, three
// looks in a row: the time alone misfires on a primary that has nothing to do. Reads go
//
//  1. to replicas that do not lag;
//  2. if all do: to those within twice the limit;
//  3. else to any replica, and a share of them, which is capped, to the primary;
//  4. if no replica may be asked, to the primary.
//
// Who wants more goes elsewhere at once: a read that must be no older than so much goes
// to a replica of which that is known, and a read behind a write to a replica that has not
// just said that it has not seen such a write; else both go to the primary.
//
// # Ejection
//
// A copy that fails five times in a row is not asked for 30 s, twice that the next
// time and so on up to 5 minutes; after that one call at a time, until one succeeds.
// The last copy is never ejected: whether nobody may be asked is up to the circuit.
package pick
