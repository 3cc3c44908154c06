package shared

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"
)

// notice is what Redis is to be told of a write.
type notice struct {
	resource string
	keys     []string // nil: all
	writer   string
	begins   bool
	hold     time.Duration // so long nothing is kept; 0: the writer is done
	number   uint64        // of those pending
}

// to tells a life.
func (n *notice) to(l *Link, in life, within time.Duration) error {
	hold := strconv.FormatInt(n.hold.Milliseconds(), 10)
	at := l.place(in, n.resource)
	if n.keys == nil {
		keys := []string{at.epoch, at.writers}
		return l.call(context.Background(), in, within, keys, "all", n.writer, hold, token(), millis(epochTime)).Error()
	}
	for from := 0; from < len(n.keys); from += mostRows {
		keys := at.rows(nil, n.keys[from:min(len(n.keys), from+mostRows)])
		if err := l.call(context.Background(), in, within, keys, "rows", n.writer, hold).Error(); err != nil {
			return err
		}
	}
	return nil
}

const (
	mostRows  = 1000             // of one call
	epochTime = 25 * time.Hour   // of an epoch that nobody asks for: longer than any TTL
	leaseTime = 30 * time.Second // of a token: a fill comes within that or not at all
)

func millis(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }

// place is where a resource is in Redis.
type place struct{ epoch, writers, values, tokens, writersOf string }

// tracked is what the names of all writers' keys begin with, in all lives.
func (l *Link) tracked() string { return l.cfg.Namespace + ":w:" }

func (l *Link) place(in life, resource string) place {
	at := in.name + ":" + resource + ":"
	ns := l.cfg.Namespace
	return place{ns + ":e:" + at, l.tracked() + at + "a", ns + ":v:" + at, ns + ":l:" + at, l.tracked() + at + "k"}
}

// rows appends the three keys of each row.
func (p *place) rows(to, keys []string) []string {
	for _, k := range keys {
		to = append(to, p.values+k, p.tokens+k, p.writersOf+k)
	}
	return to
}

// pending is what Redis is to be told when it is back, in order. The Link's lock guards it,
// but for n.
type pending struct {
	n     atomic.Int64 // notices; read without the lock
	keys  int
	queue []notice
	last  uint64
	all   map[string]bool // resources of which everything is to be forgotten
}

func (p *pending) init() { p.all = map[string]bool{} }

// add remembers a notice, true if there is no room: then everything of its resource and of
// the others is to be forgotten.
func (p *pending) add(n notice, most int) (overflowed bool) {
	if p.all[n.resource] && n.hold == 0 { // that will do
		return false
	}
	p.last++
	n.number = p.last
	p.queue = append(p.queue, n)
	p.keys += max(1, len(n.keys))
	if p.keys > most {
		overflowed = true
		held := map[string]time.Duration{}
		for _, q := range p.queue {
			held[q.resource] = max(held[q.resource], q.hold)
		}
		p.queue, p.keys = nil, 0
		for resource, hold := range held {
			p.last++
			p.queue = append(p.queue, notice{resource: resource, writer: n.writer, hold: hold, number: p.last})
			p.keys++
			p.all[resource] = true
		}
	}
	p.n.Store(int64(len(p.queue)))
	return overflowed
}

func (p *pending) first() (notice, bool) {
	if len(p.queue) == 0 {
		return notice{}, false
	}
	n := p.queue[0]
	if n.keys == nil { // what comes from now on is to be told after it
		delete(p.all, n.resource)
	}
	return n, true
}

// done takes a notice out, unless it went when there was no room.
func (p *pending) done(n notice) {
	if len(p.queue) > 0 && p.queue[0].number == n.number {
		p.queue = p.queue[1:]
		p.keys -= max(1, len(n.keys))
	}
	if len(p.queue) == 0 {
		p.queue, p.keys = nil, 0
	}
	p.n.Store(int64(len(p.queue)))
}
