package faultproxy

import (
	"sync"
	"time"
)

const (
	firstSize = 64 << 10 // of the ring, bytes
	leastRoom = 16 << 10 // below this much free space the ring grows, bytes
)

// An ending says whether a stream goes on after a piece of data.
type ending int

const (
	goesOn    ending = iota
	finished         // the source sent its end
	broken           // the source was reset
	lastWords        // the hook said CutAfter
)

// A stamp says when the next n bytes are due and whether the stream ends then.
type stamp struct {
	due time.Time
	n   int
	end ending
}

// A queue is a ring of bytes with due times, between one reader and one
// writer. The reader reads straight into its free room and the writer writes
// straight from it, both without holding the lock: neither touches the other's
// part. The ring doubles up to its limit; a writer that still writes from the
// smaller ring does no harm, because nobody changes that one any more.
type queue struct {
	limit int

	mu       sync.Mutex // guards what follows
	moved    sync.Cond  // something was put, taken or closed
	ring     []byte
	from     int // position of the first byte held
	held     int // bytes
	stamps   []stamp
	isClosed bool
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit, ring: make([]byte, min(limit, firstSize))}
	q.moved.L = &q.mu
	return q
}

// room returns free space to read into, and waits for it if there is none. It
// is nil once the queue is closed.
func (q *queue) room() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.held == len(q.ring) && len(q.ring) == q.limit && !q.isClosed {
		q.moved.Wait()
	}
	if q.isClosed {
		return nil
	}
	if q.held == 0 {
		q.from = 0
	}
	if len(q.ring)-q.held < leastRoom && len(q.ring) < q.limit {
		q.grow()
	}
	start := q.from + q.held
	if start >= len(q.ring) {
		return q.ring[start-len(q.ring) : q.from]
	}
	return q.ring[start:]
}

// grow moves what is held to the start of a larger ring.
func (q *queue) grow() {
	ring := make([]byte, min(q.limit, 2*len(q.ring)))
	n := copy(ring, q.ring[q.from:min(q.from+q.held, len(q.ring))])
	copy(ring[n:], q.ring[:q.held-n])
	q.ring, q.from = ring, 0
}

// put makes the first n bytes of the last room part of the queue. They are not
// due before what was put earlier.
func (q *queue) put(n int, due time.Time, end ending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last := len(q.stamps) - 1; last >= 0 && due.Before(q.stamps[last].due) {
		due = q.stamps[last].due
	}
	q.held += n
	q.stamps = append(q.stamps, stamp{due: due, n: n, end: end})
	if len(q.stamps) == 1 {
		q.moved.Broadcast()
	}
}

// empty says whether everything that was put has been taken.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.stamps) == 0
}

// head waits for something and says when it is due; false once closed.
func (q *queue) head() (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.stamps) == 0 && !q.isClosed {
		q.moved.Wait()
	}
	if q.isClosed {
		return time.Time{}, false
	}
	return q.stamps[0].due, true
}

// ready returns what is due by now, as far as it lies in one piece, and
// whether the stream ends with it. take removes it.
func (q *queue) ready(now time.Time) (data []byte, end ending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, s := range q.stamps {
		if s.due.After(now) || end != goesOn {
			break
		}
		n += s.n
		end = s.end
	}
	if whole := len(q.ring) - q.from; n > whole {
		n, end = whole, goesOn
	}
	return q.ring[q.from : q.from+n], end
}

// take removes n bytes from the front, with the stamps they used up. The stamp
// that ends the stream stays: it needs no bytes, and ready must report it.
func (q *queue) take(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= n
	q.from += n
	if q.from >= len(q.ring) {
		q.from -= len(q.ring)
	}
	used := 0
	for used < len(q.stamps) && q.stamps[used].n <= n && q.stamps[used].end == goesOn {
		n -= q.stamps[used].n
		used++
	}
	if n > 0 {
		q.stamps[used].n -= n
	}
	q.stamps = q.stamps[:copy(q.stamps, q.stamps[used:])]
	q.moved.Broadcast()
}

// close wakes everybody for good.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.isClosed = true
	q.moved.Broadcast()
}
