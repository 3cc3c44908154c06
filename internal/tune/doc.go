// Package tune decides how many batches may be in flight to one backend at once,
// K, how large they may become, and whether small ones should wait for company.
//
// A tuner is pure: it has no clock, no goroutine and no lock. Its owner calls Step
// once for each finished batch and applies what comes back:
//
//	t, err := tune.New(tune.Config{MaxInFlight: 64, MaxBatch: 200})
//	d := t.Decision() // where it starts
//	…
//	if d, decided := t.Step(now, &tune.Observation{…}); decided {
//		// d.InFlight, d.MaxBatch and d.Hold are what holds from now on; d.String() says why
//	}
//
// # Auto
//
// The service time of a batch of n keys is T(n) = a + b·n while nobody else is
// there. Auto begins with one batch in flight, where T can hold no queue of our own
// making, and judges every batch by its inflation
//
//	m = T/(a + b·n)
//
// so that a larger batch is not mistaken for a queue. What K slots gain shows in how
// m rises with them, the elasticity e = Δln m/Δln K:
//
//	m │                    ╱ e → 1: twice the batches take twice as long;
//	  │                  ╱      what was gained is a queue in the backend
//	  │          _,.-·‾‾
//	1 │──────·‾‾   e ≈ 0: the backend has room
//	  └───────────────────── K (log)
//
// K doubles while e stays under e* = min(¼, u + (1−u)/(2K+1)), where u = bn/(a+bn)
// is the share of T that is the keys' own: more slots make smaller batches, which
// pays only as far as the backend does not slow down for it. Then a level rule holds m
// near 1.10 and steps K down by 0.7 where m is beyond 1.13. A K that was cut twice
// to no avail was not the cause: then the backend itself became slower, and the
// baseline is set anew ("rebase").
//
// # Fixed and threshold
//
// Fixed never changes anything. Threshold is the rule that first comes to mind, kept
// so that it can be measured: a p95 over 200 ms shrinks the largest batch, a load
// under 1,000 requests per second lets it grow. Under load it makes matters worse:
// smaller batches cost more each, so queues grow, so p95 rises.
package tune
