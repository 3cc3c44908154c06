package usage

import (
	"bytes"
	"math"

	"github.com/cespare/xxhash/v2"
)

const (
	runGap    = second // between two requests of a run
	longRun   = 5      // requests that make a run an N+1 pattern
	runSlots  = 1 << 16
	maxShapes = 256
)

// runs looks for clients that ask for many rows one after the other, where one
// request for all would do. A run is what one client asks of one path, in which only
// an identifier changes, with at most a second between two requests.
type runs struct {
	slots []run
	all   uint64 // runs that ended
	long  uint64
	in    uint64 // requests in long ones
	paths map[uint64]*runPath
}

type run struct {
	client, shape, key uint64
	last               int64
	n                  uint32
}

type runPath struct {
	path     string
	runs     uint64
	requests uint64
}

func (r *runs) add(client uint64, path []byte, at int64) {
	prefix, rest, ok := shapeOf(path)
	if !ok {
		return
	}
	if r.slots == nil {
		r.slots = make([]run, runSlots)
		r.paths = map[uint64]*runPath{}
	}
	shape := xxhash.Sum64(prefix) ^ xxhash.Sum64(rest)*3
	key := xxhash.Sum64(path)
	s := &r.slots[client%runSlots]
	gap := at - s.last
	if s.n > 0 && s.client == client && s.shape == shape && gap <= runGap && gap >= -runGap {
		if key != s.key {
			if s.n++; s.n == longRun {
				r.note(shape, prefix, rest)
			}
		}
		s.key, s.last = key, max(at, s.last)
		return
	}
	r.end(s)
	*s = run{client, shape, key, at, 1}
}

// end counts a run.
func (r *runs) end(s *run) {
	if s.n == 0 {
		return
	}
	r.all++
	if s.n < longRun {
		return
	}
	r.long++
	r.in += uint64(s.n)
	if p := r.paths[s.shape]; p != nil {
		p.runs++
		p.requests += uint64(s.n)
	}
}

func (r *runs) note(shape uint64, prefix, rest []byte) {
	if r.paths[shape] == nil && len(r.paths) < maxShapes {
		r.paths[shape] = &runPath{path: string(clip(prefix)) + "{id}" + string(clip(rest))}
	}
}

// estimate counts the runs that are open as ended, and leaves them open.
func (r *runs) estimate() *NPlusOne {
	c := runs{all: r.all, long: r.long, in: r.in, paths: map[uint64]*runPath{}}
	for shape, p := range r.paths {
		c.paths[shape] = new(*p)
	}
	for i := range r.slots {
		c.end(&r.slots[i])
	}
	if c.all == 0 {
		return nil
	}
	e := &NPlusOne{Runs: c.all, Long: c.long, Requests: c.in, Rate: wilson(c.long, c.all)}
	for _, p := range c.paths {
		if p.runs > e.TopRuns {
			e.Path, e.TopRuns, e.MeanLength = p.path, p.runs, float64(p.requests)/float64(p.runs)
		}
	}
	return e
}

var staticEndings = [][]byte{[]byte(".png"), []byte(".jpg"), []byte(".jpeg"), []byte(".gif"), []byte(".svg"), []byte(".webp"), []byte(".css"), []byte(".js"), []byte(".ico"), []byte(".woff"), []byte(".woff2"), []byte(".ttf"), []byte(".map")}

// shapeOf splits a path around its first segment with a digit: /users/42/orders is
// /users/ and /orders. Paths without one have no shape, nor have files that pages are
// made of.
func shapeOf(path []byte) (prefix, rest []byte, ok bool) {
	begin, digit := 0, -1
	for i, c := range path {
		if c == '?' {
			path = path[:i]
			break
		}
		if c == '/' {
			if digit >= 0 {
				break
			}
			begin = i + 1
		} else if digit < 0 && c >= '0' && c <= '9' {
			digit = i
		}
	}
	if digit < 0 || isStatic(path) {
		return nil, nil, false
	}
	if i := bytes.IndexByte(path[begin:], '/'); i >= 0 {
		rest = path[begin+i:]
	}
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		rest = rest[:i]
	}
	return path[:begin], rest, true
}

func isStatic(path []byte) bool {
	dot := bytes.LastIndexByte(path[max(0, len(path)-6):], '.')
	if dot < 0 {
		return false
	}
	ending := path[max(0, len(path)-6)+dot:]
	for _, s := range staticEndings {
		if bytes.Equal(ending, s) {
			return true
		}
	}
	return false
}

// wilson is a share and its interval of 95 % after E. B. Wilson (1927).
func wilson(k, n uint64) Interval {
	p, m := float64(k)/float64(n), float64(n)
	z2 := z95 * z95
	mid := (p + z2/(2*m)) / (1 + z2/m)
	half := z95 / (1 + z2/m) * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	return Interval{p, max(0, mid-half), min(1, mid+half)}
}
