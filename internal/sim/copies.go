package sim

import (
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/pick"
	"github.com/fulcrum-data/fulcrum/internal/tune"
)

// MaxCopies is how many databases there can be.
const MaxCopies = pick.MaxNodes

// Copy is one more database with the same data.
type Copy struct {
	Backend Backend
	Tuner   tune.Tuner
}

// copies are the databases of a run: one, or several among which a picker chooses.
type copies struct {
	all    []site
	picker *pick.Picker // nil if there is one
	due    *server      // whose turn it is next
}

// site is one of them.
type site struct {
	server  *server
	tuner   tune.Tuner
	batches uint64 // sent, ever
}

func newCopies(s *Setup) copies {
	c := copies{all: []site{{server: newServer(s.Backend, s.Seed), tuner: s.Tuner}}}
	if len(s.Copies) == 0 {
		return c
	}
	nodes := []pick.Node{{Name: "0"}}
	for i, cp := range s.Copies {
		c.all = append(c.all, site{server: newServer(cp.Backend, s.Seed+uint64(i)+1), tuner: cp.Tuner})
		nodes = append(nodes, pick.Node{Name: fmt.Sprint(i + 1)})
	}
	var err error
	if c.picker, err = pick.New(pick.Config{Seed: s.Seed}, nodes); err != nil {
		panic(err) // more than there can be
	}
	return c
}

// next is when the next of them has something to do.
func (c *copies) next() time.Duration {
	c.due = c.all[0].server
	at := c.due.next()
	for i := 1; i < len(c.all); i++ {
		if t := c.all[i].server.next(); t < at {
			at, c.due = t, c.all[i].server
		}
	}
	return at
}

// choose names the one that a batch goes to.
func (c *copies) choose(now time.Duration) (i int) {
	if c.picker != nil {
		choice, _ := c.picker.Pick(now, pick.Want{})
		i = choice.Node
		c.picker.Begin(i)
	}
	c.all[i].batches++
	return i
}

// done learns of a batch that is back, as the library does, and says whether its database
// is much slower than another one, and how many batches were there, 0 if there is one.
func (c *copies) done(now time.Duration, f *flight, ok bool, service, expected time.Duration) (slow bool, inFlight int) {
	if c.picker == nil {
		return false, 0
	}
	inFlight = c.picker.InFlight(f.copy)
	o, ratio := pick.OK, 0.0
	if !ok {
		o = pick.Failed
	}
	if expected > 0 {
		ratio = float64(service) / float64(expected)
	}
	c.picker.Done(now, f.copy, o, ratio)
	return c.picker.Slow(now, f.copy), inFlight
}

// together is what the tuners have decided for all that serve.
func (c *copies) together(now time.Duration) tune.Decision {
	d := c.all[0].tuner.Decision()
	if c.picker == nil {
		return d
	}
	k := 0
	for i := range c.all {
		if c.picker.Able(i) && !c.picker.Slow(now, i) {
			k += c.all[i].tuner.Decision().InFlight
		}
	}
	d.InFlight = max(1, k)
	return d
}

// expected is how long a batch takes by what was learnt; 0: nothing was.
func (r *run) expected(n int) time.Duration {
	switch {
	case r.copies.picker == nil:
		return 0
	case r.model == nil:
		return r.Backend.RoundTrip + r.Cost.Of(n)
	}
	return time.Duration(r.model.Predict(n))
}
