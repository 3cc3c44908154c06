package load

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// A Target is what is measured.
type Target interface {
	// Caller makes what sends requests one after the other on one goroutine. A run
	// makes one for each request that can be outstanding at once.
	Caller() Caller
}

// A Caller sends requests, one at a time.
type Caller interface {
	// Call sends a request and returns when its answer is there, all of it. An
	// error says that there is none, or a wrong one. It should end with ctx.
	Call(ctx context.Context, r *Request) error
}

// CallerFunc is a Caller, and a Target whose callers are all alike.
type CallerFunc func(ctx context.Context, r *Request) error

// Call calls f.
func (f CallerFunc) Call(ctx context.Context, r *Request) error { return f(ctx, r) }

// Caller is f itself.
func (f CallerFunc) Caller() Caller { return f }

// Request is what a caller sends. It is the caller's own until Call returns.
type Request struct {
	Seq       uint64        // its number in the run, from 0
	Class     fulcrum.Class // as the mix has it
	Write     bool          // as the mix has it: the row is written, not read
	Keys      []string      // at least one
	FirstByte time.Duration // the target may say how long the first byte took since Call; 0: unknown
}

// drawer fills requests so that request seq is the same whoever sends it, and
// whenever.
type drawer struct {
	keys  Keys
	mix   Mix
	chunk int
	seed  uint64
	pcg   rand.PCG
	rnd   *rand.Rand
	req   Request
}

func newDrawer(cfg *Config) *drawer {
	d := &drawer{keys: cfg.Keys, mix: cfg.Mix, chunk: cfg.Chunk, seed: cfg.Seed}
	d.rnd = rand.New(&d.pcg)
	d.req.Keys = make([]string, cfg.Chunk)
	return d
}

func (d *drawer) request(seq uint64) *Request {
	d.pcg.Seed(d.seed, seq)
	d.req.Seq, d.req.FirstByte = seq, 0
	k := d.mix.draw(d.rnd)
	d.req.Class, d.req.Write = k.class, k.write
	for i := range d.req.Keys {
		d.req.Keys[i] = d.keys.Draw(d.rnd, seq*uint64(d.chunk)+uint64(i))
	}
	return &d.req
}

// Probe is a request that asks whether a target answers at all.
func Probe(keys Keys) *Request { return newDrawer(&Config{Keys: keys, Chunk: 1}).request(0) }
