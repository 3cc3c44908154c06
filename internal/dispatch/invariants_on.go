//go:build invariants

package dispatch

import "fmt"

// check panics if the books do not balance.
func (d *Dispatcher[K, P]) check() {
	c := d.counts
	sum := c.Answered + c.Failed + c.Cancelled + uint64(c.Queued) + uint64(c.InFlight)
	if c.Admitted != sum || c.Queued < 0 || c.InFlight < 0 {
		panic(fmt.Sprintf("dispatch: conservation broken: %+v", c))
	}
	if d.shared < 0 || d.urgent < 0 || d.starting < 0 {
		panic(fmt.Sprintf("dispatch: slots broken: shared %d urgent %d starting %d", d.shared, d.urgent, d.starting))
	}
	if d.queued() <= deepCheck {
		d.checkQueues()
	}
}

// deepCheck is the queue length up to which every item is looked at.
const deepCheck = 64

func (d *Dispatcher[K, P]) checkQueues() {
	waiters, keys := 0, 0
	for _, s := range d.scopes {
		if len(s.index) != s.queued() {
			panic(fmt.Sprintf("dispatch: scope %q: %d keys indexed, %d queued", s.name, len(s.index), s.queued()))
		}
		for c := range s.queues {
			if inTurn := s.turn[c].after != nil; (s.queues[c].n > 0) != inTurn {
				panic(fmt.Sprintf("dispatch: scope %q has %d %s keys, in turn: %t", s.name, s.queues[c].n, Class(c), inTurn))
			}
			for it := s.queues[c].head; it != nil; it = it.next {
				waiters += it.n
				keys++
			}
		}
	}
	if waiters != d.counts.Queued || keys != d.queued() {
		panic(fmt.Sprintf("dispatch: %d waiters and %d keys found, %d and %d booked", waiters, keys, d.counts.Queued, d.queued()))
	}
}
