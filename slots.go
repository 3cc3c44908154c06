package fulcrum

import (
	"slices"
	"sync"
)

// slots are the places at one backend that several Readers take turns at: K for
// normal and bulk batches, U more for urgent ones. They are shared max-min fair: a
// slot that becomes free goes to the Reader that waits and has the fewest.
//
// A Reader looks at its share when it takes its own lock, which keeps one free slot
// for it, lets its dispatcher act within the share (one batch may leave under one
// lock), and reports what came of that before it gives the lock back.
type slots struct {
	mu              sync.Mutex
	members         []*member
	inFlight        int       // K
	reserved        int       // U
	shared, urgent  int       // taken
	granted         int       // kept for members that look, or were woken to
	kept            int       // for members that look, for urgent batches
	waiting         []*member // want one more normal or bulk batch, longest first
	urgents         []*member // want one more urgent batch
	arrived         uint64    // requests of normal and bulk class, by all members
	blocked, missed uint64    // of them, those that found no slot free, and those refused for want of room
	queued          int       // normal and bulk keys
}

// member is one Reader's part in the slots.
type member struct {
	slots          *slots
	wake           func() // has the Reader look at its share; called on a goroutine of its own
	shared, urgent int    // taken
	granted        int    // kept for it
	seen           int    // of granted, since it last looked
	kept           int    // kept for it until it reports, if it is for an urgent batch
	waits          bool   // is in slots.waiting
	urgentWaits    bool   // is in slots.urgents
	pressure       pressure
}

// join makes a Reader a member.
func (s *slots) join(wake func()) *member {
	m := &member{slots: s, wake: wake}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = append(s.members, m)
	return m
}

// part ends a membership. The Reader has nothing in flight and nothing queued.
func (m *member) part() {
	s := m.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.members, m); i >= 0 {
		s.members = slices.Delete(s.members, i, i+1)
	}
}

// poke has the members that wait for batches look at what has come meanwhile: while
// all slots are taken, nobody else would.
func (s *slots) poke() {
	s.mu.Lock()
	var busy []*member
	for _, m := range s.members {
		if m.shared+m.urgent > 0 {
			busy = append(busy, m)
		}
	}
	s.mu.Unlock()
	for _, m := range busy {
		m.wake()
	}
}

// pressure is what a dispatcher has counted since its start, and what waits there.
type pressure struct {
	arrived, blocked, missed uint64
	queued                   int // normal and bulk keys
}

// share is what a Reader may have in flight.
type share struct {
	shared   int // normal and bulk batches, those that are in flight included
	reserved int // further urgent ones, likewise
	others   int // normal and bulk batches of other Readers
}

// look is the member's share at the moment. One free slot is kept until it reports.
func (m *member) look() share {
	s := m.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.granted == 0 && s.free() > 0:
		m.granted++
		s.granted++
	case m.granted > 0 && s.free() < 0: // K has fallen meanwhile
		m.granted--
		s.granted--
	}
	if m.granted == 0 && s.room() > 0 {
		m.kept++
		s.kept++
	}
	m.seen = m.granted
	shared := m.granted + max(0, s.free())
	all := m.granted + m.kept + max(0, s.room())
	return share{
		shared:   m.shared + shared,
		reserved: m.urgent + all - shared,
		others:   s.shared - m.shared,
	}
}

// demand is what a Reader has in flight and what waits there.
type demand struct {
	shared, urgent int  // batches in flight
	queued         bool // normal or bulk keys wait
	urgentQueued   bool // urgent ones do
	coming         bool // a taker is on its way and will look again
	pressure       pressure
}

// report says what has become of the member's share. True asks it to look again: it
// was given more.
func (m *member) report(d demand) (more bool) {
	s := m.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(m, d)
	switch {
	case !d.queued, !d.coming && m.seen > 0: // no need, or no use as yet
		s.granted -= m.granted
		m.granted = 0
		m.leave()
	case !d.coming && m.granted > 0: // given since it looked
		more = true
	case !d.coming && !m.waits:
		m.waits = true
		s.waiting = append(s.waiting, m)
	}
	if d.urgentQueued && !d.coming && !m.urgentWaits {
		m.urgentWaits = true
		s.urgents = append(s.urgents, m)
	}
	return s.grant(m) || more
}

// count takes over what a member has in flight and what it has counted. The lock is
// held.
func (s *slots) count(m *member, d demand) {
	p := d.pressure
	s.arrived += p.arrived - m.pressure.arrived
	s.blocked += p.blocked - m.pressure.blocked
	s.missed += p.missed - m.pressure.missed
	s.queued += p.queued - m.pressure.queued
	m.pressure = p
	s.kept -= m.kept
	m.kept = 0
	used := min(m.granted, max(0, d.shared-m.shared))
	s.shared += d.shared - m.shared
	s.urgent += d.urgent - m.urgent
	s.granted -= used
	m.granted -= used
	m.seen -= min(m.seen, used)
	m.shared, m.urgent = d.shared, d.urgent
}

// room is how many batches of any class may leave, those that slots are kept for
// counted as if they had; below 0 after K has fallen.
func (s *slots) room() int {
	return s.inFlight + s.reserved - s.shared - s.urgent - s.granted - s.kept
}

// free is how many of them may be normal or bulk.
func (s *slots) free() int { return min(s.inFlight-s.shared-s.granted, s.room()) }

// leave takes the member off the list. The lock is held.
func (m *member) leave() {
	if !m.waits {
		return
	}
	m.waits = false
	w := m.slots.waiting
	i := slices.Index(w, m)
	m.slots.waiting = slices.Delete(w, i, i+1)
}

// grant gives free slots to those who wait: to who has the fewest, and of those to
// who has waited longest. Urgent work is only woken: it may take any slot, and comes
// again if another was quicker. The caller looks for itself. The lock is held.
func (s *slots) grant(caller *member) (more bool) {
	for s.room() > 0 && len(s.urgents) > 0 {
		m := s.urgents[0]
		s.urgents = slices.Delete(s.urgents, 0, 1)
		m.urgentWaits = false
		more = m.call(caller) || more
	}
	for s.free() > 0 && len(s.waiting) > 0 {
		least := s.waiting[0]
		for _, m := range s.waiting[1:] {
			if m.shared+m.granted < least.shared+least.granted {
				least = m
			}
		}
		least.leave()
		least.granted++
		s.granted++
		more = least.call(caller) || more
	}
	return more
}

// call has a member look at its share, unless it is the caller.
func (m *member) call(caller *member) (self bool) {
	if m != caller {
		go m.wake()
	}
	return m == caller
}

// resize changes K.
func (s *slots) resize(inFlight int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight = inFlight
	s.grant(nil)
}

// counted is what all members have counted, and how many slots are taken.
func (s *slots) counted() (p pressure, shared, urgent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pressure{s.arrived, s.blocked, s.missed, s.queued}, s.shared, s.urgent
}
