// Package faultproxy is a TCP proxy on loopback that stands in front of one
// address and behaves like a bad network: a longer way, a broken one, a silent
// one, or one that breaks at a chosen byte.
//
//	p, err := faultproxy.New(db.Addr(), faultproxy.Options{Delay: 5 * time.Millisecond})
//	…
//	p.Hang() // nothing passes any more
//	p.Heal() // what was held passes now
//
// It is meant for tests and benchmarks.
//
// # A delay line
//
// Every direction of every connection is a queue. What is read gets a due time
// and is written when that has come; reading goes on meanwhile, so messages
// keep their order and their distance and pipelining works. A round trip takes
// Delay longer, half of it each way.
//
// Go's own timers are a millisecond late on an idle Linux process, so there
// every direction waits on a timerfd of its own in the network poller. What is
// left is the time to wake a thread, some tens of microseconds.
//
// Without a delay and without a fault nothing is queued: what is read is
// written by the same goroutine.
package faultproxy
