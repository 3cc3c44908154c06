package fulcrum

import "context"

// ask gets all keys and calls each with what became of each, in their order. left says
// that the caller left while the key was in flight.
func (m *many[K, V]) ask(ctx context.Context, each func(key K, value V, left bool, err error)) {
	m.prepare(ctx)
	if err := m.reader.cfg.Backend.admit(m.reader.now()); err != nil {
		for _, k := range m.keys {
			var none V
			each(k, none, false, m.reader.turnedAway(err, m.req.class))
		}
		return
	}
	m.submit(ctx)
	m.await(ctx)
	for i, k := range m.keys {
		c := &m.calls[i]
		err, out := m.failed[k]
		var value V
		if !out {
			value, err = m.reader.answer(c)
		}
		each(k, value, c.left, err)
	}
}

// several is one WriteMany on its way.
type several[T, R any] struct {
	writer  *Writer[T, R]
	req     request
	out     []Outcome[R]
	turn    []*write[T, R] // have their turn
	waiting []*write[T, R] // for it
	place   map[*write[T, R]]int
}

// enter lets the writes into their lines, in their order. Who waits for the journal must
// not have a turn meanwhile: what the journal holds may wait for that.
func (s *several[T, R]) enter(ctx context.Context, items []T) {
	s.place = make(map[*write[T, R]]int, len(items))
	journaled := s.req.durability == DurabilityJournaled
	for i, item := range items {
		if journaled {
			s.out[i].Receipt, s.out[i].Err = s.writer.writeJournaled(ctx, item, s.req)
			continue
		}
		s.out[i].Err = s.writer.behindJournal(ctx, lineKey{s.req.scope, s.writer.cfg.OrderBy(item)})
	}
	for i, item := range items {
		if !journaled && s.out[i].Err == nil {
			s.enterOne(ctx, i, item)
		}
	}
}

func (s *several[T, R]) enterOne(ctx context.Context, i int, item T) {
	p := s.writer.prepare(item, s.req)
	err := admissible(ctx, p, s.req)
	turn := false
	if err == nil {
		turn, err = s.writer.enter(p)
	}
	s.place[p] = i
	switch {
	case err != nil:
		s.out[i].Err = err
	case p.behind:
		s.out[i].Receipt.Durability = s.req.durability
	case turn:
		s.turn = append(s.turn, p)
	default:
		s.waiting = append(s.waiting, p)
	}
}

// await waits until one write at least has its turn, or none is left to wait.
func (s *several[T, R]) await(ctx context.Context) {
	for len(s.turn) == 0 && len(s.waiting) > 0 {
		p := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.took(p, s.writer.lines.wait(ctx, p))
	}
	rest := s.waiting[:0]
	for _, p := range s.waiting {
		select {
		case <-p.turn:
			s.took(p, nil)
		default:
			rest = append(rest, p)
		}
	}
	s.waiting = rest
}

// took notes that a write need not wait any more.
func (s *several[T, R]) took(p *write[T, R], err error) {
	o := &s.out[s.place[p]]
	switch {
	case err != nil:
		o.Err = err
	case p.leader != nil: // it was made together with another
		o.Receipt, o.Err = p.receipt(p.result, p.err)
	default:
		s.turn = append(s.turn, p)
	}
}

// make makes the writes that have their turn.
func (s *several[T, R]) make(ctx context.Context) {
	if len(s.turn) == 0 {
		return
	}
	w := s.writer
	m := &many[*write[T, R], R]{reader: w.reader, req: s.req, keys: s.turn, failed: KeyErrors[*write[T, R]]{}}
	m.ask(ctx, func(p *write[T, R], result R, left bool, err error) {
		o := &s.out[s.place[p]]
		if err = w.settled(p, left, err); err != nil {
			o.Err = err
			return
		}
		o.Receipt, _ = p.receipt(result, nil)
	})
	s.turn = nil
}
