// Package events keeps the last events of a kind and hands them to those who follow.
//
// A [Log] is a ring. Who follows it has nothing but a place in the ring: a slow
// follower costs no memory and holds nobody up. One whose place has been written over
// is told so, by a reset, and goes on with the oldest event that is left.
package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Entry is one event in its log.
type Entry[T any] struct {
	Seq   uint64 // from 1, without gaps
	Time  time.Time
	Value T
}

// ID says which event of which log somebody has seen last, across restarts. Its text
// is what server-sent events carry as id. The zero ID is before every event.
type ID struct {
	Epoch string // of the log; letters, digits and dashes
	Seq   uint64
}

// String is EPOCH.SEQ.
func (id ID) String() string { return id.Epoch + "." + strconv.FormatUint(id.Seq, 10) }

// ParseID reads what String writes; empty text is the zero ID.
func ParseID(text string) (ID, error) {
	if text == "" {
		return ID{}, nil
	}
	epoch, seq, ok := strings.Cut(text, ".")
	n, err := strconv.ParseUint(seq, 10, 64)
	if !ok || err != nil || epoch == "" || len(text) > 128 {
		return ID{}, fmt.Errorf("events: %.40q is no id: want EPOCH.NUMBER", text)
	}
	return ID{epoch, n}, nil
}

// Log keeps the last events. It is safe for concurrent use and must not be copied.
type Log[T any] struct {
	epoch string

	mu     sync.Mutex // guards what follows
	ring   []Entry[T]
	last   uint64        // sequence of the newest event
	more   chan struct{} // closed when the next event comes, or the log ends
	closed bool
}

// New makes a log of the last capacity events, at least 1. The epoch tells this log
// from those before a restart: its time of start is a good one.
func New[T any](capacity int, epoch string) *Log[T] {
	return &Log[T]{epoch: epoch, ring: make([]Entry[T], max(1, capacity)), more: make(chan struct{})}
}

// Append adds an event and wakes all who wait. After Close it does nothing.
func (l *Log[T]) Append(at time.Time, value T) ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ID{l.epoch, l.last}
	}
	l.last++
	*l.slot(l.last) = Entry[T]{Seq: l.last, Time: at, Value: value}
	close(l.more)
	l.more = make(chan struct{})
	return ID{l.epoch, l.last}
}

func (l *Log[T]) slot(seq uint64) *Entry[T] { return &l.ring[seq%uint64(len(l.ring))] }

// oldest is the sequence of the first event that is still there.
func (l *Log[T]) oldest() uint64 {
	if n := uint64(len(l.ring)); l.last > n {
		return l.last - n + 1
	}
	return 1
}

// ID is that of an event of this log.
func (l *Log[T]) ID(seq uint64) ID { return ID{l.epoch, seq} }

// Recent has the last n events, oldest first.
func (l *Log[T]) Recent(n int) []Entry[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.oldest()
	if have := l.last + 1 - from; uint64(max(0, n)) < have {
		from = l.last + 1 - uint64(max(0, n))
	}
	var all []Entry[T]
	for seq := from; seq <= l.last; seq++ {
		all = append(all, *l.slot(seq))
	}
	return all
}

// Total is how many events there ever were.
func (l *Log[T]) Total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Close ends the log: followers get what is left, then ErrClosed.
func (l *Log[T]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.more)
	}
}

// ErrClosed says that a log has ended.
var ErrClosed = errors.New("events: the log is closed")

// Follower reads a log from a place on. It is for one goroutine, needs no closing, and
// must come from Follow.
type Follower[T any] struct {
	log   *Log[T]
	next  uint64
	reset bool
}

// Follow starts after the event with that ID. The zero ID is the oldest event that is
// there. An ID of another epoch, or of an event that is yet to come, begins with a
// reset.
func (l *Log[T]) Follow(after ID) *Follower[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &Follower[T]{log: l, next: after.Seq + 1}
	switch {
	case after == ID{}:
		f.next = l.oldest()
	case after.Epoch != l.epoch || after.Seq > l.last:
		f.next, f.reset = l.oldest(), true
	}
	return f
}

// Next waits for the next event. Reset says that events before it are missing, or that
// the follower's ID was of another log: whoever keeps a state should begin anew. When
// ctx ends, its error is returned.
func (f *Follower[T]) Next(ctx context.Context) (e Entry[T], id ID, reset bool, err error) {
	for {
		e, more, err := f.take()
		if err != nil {
			return e, ID{}, false, err
		}
		if more == nil {
			reset, f.reset = f.reset, false
			return e, ID{f.log.epoch, e.Seq}, reset, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return e, ID{}, false, ctx.Err()
		}
	}
}

// take has the next event, or a channel that closes when there may be one.
func (f *Follower[T]) take() (e Entry[T], more <-chan struct{}, err error) {
	l := f.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := l.oldest(); f.next < oldest {
		f.next, f.reset = oldest, true
	}
	switch {
	case f.next <= l.last:
		e = *l.slot(f.next)
		f.next++
		return e, nil, nil
	case l.closed:
		return e, nil, ErrClosed
	}
	return e, l.more, nil
}
