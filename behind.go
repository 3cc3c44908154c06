package fulcrum

import (
	"context"
	"errors"
	"sync"
	"time"
)

// pumps make the writes that were answered before they are made.
type pumps[T, R any] struct {
	mu      sync.Mutex
	queue   []*write[T, R] // those that have their turn
	running int
	ended   chan struct{} // closed by stop; nil until somebody needs it
	stopped bool
}

const (
	// A pump that meets a backend in trouble pauses so long before it tries again.
	leastPause = 2 * time.Millisecond
	mostPause  = time.Second

	// mostPumps: one gathers while the other waits for its commits.
	mostPumps = 2
	// mostPumped is how many writes a pump hands over at once.
	mostPumped = 4096
)

// pump queues a write that has its turn and starts who makes it.
func (w *Writer[T, R]) pump(p *write[T, R]) {
	s := &w.pumps
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, p)
	if s.running < mostPumps && (s.running == 0 || len(s.queue) > mostPumped/2) {
		s.running++
		go w.runPump()
	}
}

func (w *Writer[T, R]) runPump() {
	pause := time.Duration(0)
	for {
		all := w.pumps.take()
		if all == nil {
			return
		}
		if w.makeBehind(all) {
			pause = 0
			continue
		}
		pause = min(mostPause, max(leastPause, 2*pause))
		w.pumps.sleep(pause)
	}
}

// take is the longest run of writes of one scope and class; nil ends the pump.
func (s *pumps[T, R]) take() []*write[T, R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.running--
		return nil
	}
	n := 1
	for first := s.queue[0]; n < len(s.queue) && n < mostPumped; n++ {
		if p := s.queue[n]; p.place.scope != first.place.scope || p.class != first.class {
			break
		}
	}
	run := s.queue[:n:n]
	s.queue = s.queue[n:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return run
}

// back puts writes before all others.
func (s *pumps[T, R]) back(again []*write[T, R]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(again, s.queue...)
}

// makeBehind makes writes that nobody waits for; false if some are to be tried again.
func (w *Writer[T, R]) makeBehind(all []*write[T, R]) bool {
	req := request{scope: all[0].place.scope, class: all[0].class}
	m := &many[*write[T, R], R]{reader: w.reader, req: req, keys: all, failed: KeyErrors[*write[T, R]]{}}
	var again []*write[T, R]
	m.ask(context.Background(), func(p *write[T, R], _ R, _ bool, err error) {
		switch {
		case err == nil:
		case passing(err) && !w.pumps.isStopped():
			again = append(again, p)
		default:
			w.lose(p, err)
		}
	})
	w.pumps.back(again)
	return len(again) == 0
}

// lose gives up a write that was acknowledged. What was merged into it is tried by itself,
// unless it may have been made.
func (w *Writer[T, R]) lose(p *write[T, R], err error) {
	unclear := errors.Is(err, ErrAmbiguous)
	item := p.item
	if unclear {
		item = p.merged
	}
	w.counts.lost.Add(1)
	_ = guard(func() error { // it is not ours
		w.cfg.Lost(item, err)
		return nil
	})
	if unclear {
		w.lines.mu.Lock()
		defer w.lines.mu.Unlock()
		w.lines.made(p, *new(R), err)
		return
	}
	w.lines.giveUp(p)
}

func (s *pumps[T, R]) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// sleep waits, or until stop.
func (s *pumps[T, R]) sleep(pause time.Duration) {
	s.mu.Lock()
	if s.ended == nil {
		s.ended = make(chan struct{})
		if s.stopped {
			close(s.ended)
		}
	}
	ended := s.ended
	s.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(pause):
	}
}

// stop has the pumps give up what they cannot make at once.
func (s *pumps[T, R]) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped && s.ended != nil {
		close(s.ended)
	}
	s.stopped = true
}
