package fulcrum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Journal keeps writes durably until they are applied. Package journal has one.
type Journal interface {
	// Name tells it from all others, for ever.
	Name() string
	// Shards is how many parts of it are applied independently; it never changes.
	Shards() int
	// Append returns once the record would outlive a loss of power. An error says that it
	// is not there, unless it is ErrAmbiguous. Offsets of a shard rise, and never come again.
	// If ctx ends while the record is on its way, that is ErrAmbiguous too. Settled is then
	// called later with what became of it, and otherwise before Append returns; if nothing
	// was begun it is not called. It is quick.
	Append(ctx context.Context, scope, key string, data []byte, settled func(JournalRecord, error)) (JournalRecord, error)
	// Read returns at most limit records of a shard behind an offset, in their order.
	Read(ctx context.Context, shard int, after int64, limit int) ([]JournalRecord, error)
	// Trim says that a shard's records up to an offset may be forgotten.
	Trim(shard int, upTo int64)
}

// JournalRecord is one write in a Journal.
type JournalRecord struct {
	Shard      int
	Offset     int64
	Scope, Key string
	Data       []byte
}

// Journaling is what a Writer needs to keep writes in a journal. All fields are required.
type Journaling[T any] struct {
	Journal Journal
	// Encode makes bytes of a write, Decode undoes it.
	Encode func(T) ([]byte, error)
	Decode func([]byte) (T, error)
	// Applied is the offset that each shard was applied up to: what Apply stored of
	// Commit.Position. Shards without one are missing.
	Applied func(ctx context.Context, journal string) (map[int]int64, error)
}

func (j *Journaling[T]) validate() error {
	if j.Journal == nil || j.Encode == nil || j.Decode == nil || j.Applied == nil {
		return errors.New("WriterConfig.Journaling: Journal, Encode, Decode and Applied are all needed")
	}
	return nil
}

// shard is one part of the journal: a row of writes that are applied one batch after the
// other, so that a position says all.
type shard struct {
	mu       sync.Mutex
	applied  int64             // offset
	appended int64             // highest offset that is known
	pending  map[lineKey]int64 // last offset of each key that is not applied
	moved    chan struct{}     // closed when applied moves
	running  bool              // somebody applies
	stopped  bool
	trouble  error // why nothing moves
}

// behind is the shards of a Writer's journal.
type journaled[T any] struct {
	Journaling[T]
	shards []*shard
	stop   context.CancelFunc
	ctx    context.Context // of those who apply
	done   sync.WaitGroup

	mu   sync.Mutex
	left map[lineKey][]*appending // whose callers have left, in their order
}

// recovery is how long reading the backlog may take.
const recovery = time.Minute

// openJournal finds out what is not applied yet, and goes on with it.
func (w *Writer[T, R]) openJournal(cfg Journaling[T]) error {
	ctx, cancel := context.WithTimeout(context.Background(), recovery)
	defer cancel()
	applied, err := cfg.Applied(ctx, cfg.Journal.Name())
	if err != nil {
		return fmt.Errorf("fulcrum: writer %q: what the journal was applied up to: %w", w.cfg.Name, err)
	}
	j := &journaled[T]{Journaling: cfg, left: make(map[lineKey][]*appending)}
	j.ctx, j.stop = context.WithCancel(context.Background())
	for i := range cfg.Journal.Shards() {
		s := &shard{applied: applied[i], appended: applied[i], pending: make(map[lineKey]int64), moved: make(chan struct{})}
		if err := s.recover(ctx, cfg.Journal, i); err != nil {
			j.stop()
			return fmt.Errorf("fulcrum: writer %q: %w", w.cfg.Name, err)
		}
		j.shards = append(j.shards, s)
	}
	w.journal = j
	for i := range j.shards {
		w.applySoon(i)
	}
	return nil
}

// backlogAtOnce is how many records are read at once at the start.
const backlogAtOnce = 1000

// recover notes the keys of what is not applied.
func (s *shard) recover(ctx context.Context, j Journal, i int) error {
	j.Trim(i, s.applied)
	for {
		records, err := j.Read(ctx, i, s.appended, backlogAtOnce)
		if err != nil {
			return err
		}
		for _, r := range records {
			s.pending[lineKey{r.Scope, r.Key}] = r.Offset
			s.appended = r.Offset
		}
		if len(records) < backlogAtOnce {
			return nil
		}
	}
}

// writeJournaled answers once the write is in the journal.
func (w *Writer[T, R]) writeJournaled(ctx context.Context, item T, req request) (Receipt[R], error) {
	j := w.journal
	if j == nil {
		return Receipt[R]{}, fmt.Errorf("fulcrum: writer %q has no journal: see WriterConfig.Journaling", w.cfg.Name)
	}
	if err := ctx.Err(); err != nil {
		return Receipt[R]{}, err
	}
	if w.lines.isClosed() {
		return Receipt[R]{}, ErrClosed
	}
	data, err := j.Encode(item)
	if err != nil {
		return Receipt[R]{}, fmt.Errorf("fulcrum: writer %q: Encode: %w", w.cfg.Name, err)
	}
	place, a := lineKey{req.scope, w.cfg.OrderBy(item)}, &appending{}
	r, err := j.Journal.Append(ctx, place.scope, place.key, data, func(r JournalRecord, err error) {
		if err == nil {
			j.shards[r.Shard].note(place, r.Offset)
			w.applySoon(r.Shard)
		}
		j.settle(place, a)
	})
	if errors.Is(err, ErrAmbiguous) { // otherwise nothing is on its way
		j.leave(place, a)
	}
	if err != nil {
		return Receipt[R]{}, err
	}
	return Receipt[R]{Durability: DurabilityJournaled, Token: journalToken(j.Journal.Name(), r)}, nil
}

// note remembers a record that was appended.
func (s *shard) note(place lineKey, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appended = max(s.appended, offset)
	if offset > s.applied { // it may have been quicker
		s.pending[place] = max(s.pending[place], offset)
	}
}

// journalToken stands for the moment at which a record is applied.
func journalToken(name string, r JournalRecord) Token {
	return Token(fmt.Sprintf("journal:%s:%d:%d", name, r.Shard, r.Offset))
}

// Await waits until what a token stands for is committed, if it is one of the Writer's
// journal; other tokens are of what is committed already. ctx bounds the wait.
func (w *Writer[T, R]) Await(ctx context.Context, t Token) error {
	rest, ours := strings.CutPrefix(string(t), "journal:")
	if !ours || w.journal == nil {
		return ctx.Err()
	}
	parts := strings.Split(rest, ":")
	wrong := fmt.Errorf("fulcrum: writer %q: token %q is not of its journal", w.cfg.Name, t)
	if len(parts) != 3 || parts[0] != w.journal.Journal.Name() {
		return wrong
	}
	i, err := strconv.Atoi(parts[1])
	offset, bad := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || bad != nil || i < 0 || i >= len(w.journal.shards) {
		return wrong
	}
	return w.journal.await(ctx, i, offset)
}

// await waits until an offset of a shard is applied. It is ErrClosed if that is left to
// the next start.
func (j *journaled[T]) await(ctx context.Context, i int, offset int64) error {
	s := j.shards[i]
	for {
		s.mu.Lock()
		applied, moved, stopped := s.applied, s.moved, s.stopped && !s.running
		s.mu.Unlock()
		switch {
		case applied >= offset:
			return nil
		case stopped:
			return ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// behindJournal waits until what the journal holds of the write's key is applied: a write
// goes behind those that were accepted before it, whatever its durability.
func (w *Writer[T, R]) behindJournal(ctx context.Context, place lineKey) error {
	if w.journal == nil || !w.lines.ordered {
		return nil
	}
	if err := w.journal.behindLeft(ctx, place); err != nil {
		return err
	}
	for i, s := range w.journal.shards { // the journal knows which; there are few
		s.mu.Lock()
		offset := s.pending[place]
		s.mu.Unlock()
		if offset == 0 { // or applied already: then there is no wait
			continue
		}
		if err := w.journal.await(ctx, i, offset); err != nil {
			return err
		}
	}
	return nil
}

// applySoon sees to it that somebody applies what a shard holds.
func (w *Writer[T, R]) applySoon(i int) {
	s := w.journal.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || s.stopped || s.applied >= s.appended {
		return
	}
	s.running = true
	w.journal.done.Add(1)
	go w.applyShard(i)
}

// applyShard applies records until there are none.
func (w *Writer[T, R]) applyShard(i int) {
	defer w.journal.done.Done()
	s := w.journal.shards[i]
	pause := time.Duration(0)
	for s.more(w.journal.ctx) {
		err := w.applyBatch(i)
		if errors.Is(err, ErrPosition) {
			err = w.lookAgain(i)
		}
		s.suffer(err)
		if err == nil {
			pause = 0
			continue
		}
		pause = min(mostPause, max(leastPause, 2*pause))
		select {
		case <-time.After(pause):
		case <-w.journal.ctx.Done():
		}
	}
}

// lookAgain asks how far a shard was applied: a commit of a process that died was made
// after we had asked.
func (w *Writer[T, R]) lookAgain(i int) error {
	ctx, cancel := context.WithTimeout(w.journal.ctx, w.reader.cfg.Timeout)
	defer cancel()
	applied, err := w.journal.Applied(ctx, w.journal.Journal.Name())
	if err != nil {
		return err
	}
	if w.cfg.Invalidate != nil { // it was made without us
		w.cfg.Invalidate(&Commit[T, R]{})(true)
	}
	s := w.journal.shards[i]
	s.advance(applied[i])
	s.forget()
	return nil
}

// more says whether there is something to apply; if not, nobody does any more.
func (s *shard) more(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = s.applied < s.appended && ctx.Err() == nil
	if !s.running && s.stopped {
		s.wake()
	}
	return s.running
}

// wake has those look again who wait for the shard. The lock is held.
func (s *shard) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *shard) suffer(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = err
}

// applyBatch applies the next records of a shard in one commit: as many as have different
// keys and one scope, behind all writes of their keys that came before.
func (w *Writer[T, R]) applyBatch(i int) error {
	s := w.journal.shards[i]
	s.mu.Lock()
	after := s.applied
	s.mu.Unlock()
	records, err := w.journal.Journal.Read(w.journal.ctx, i, after, w.reader.Policy().MaxBatch)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fmt.Errorf("fulcrum: writer %q: the journal has lost what is behind offset %d of shard %d", w.cfg.Name, after, i)
	}
	records = distinct(records, w.lines.ordered)
	c := &Commit[T, R]{class: ClassBulk, position: &Position{Journal: w.journal.Journal.Name(), Shard: i, After: after, Offset: records[len(records)-1].Offset}}
	for _, r := range records {
		item, err := w.journal.Decode(r.Data)
		if err != nil {
			return fmt.Errorf("fulcrum: writer %q: record %d of shard %d cannot be decoded: %w", w.cfg.Name, r.Offset, i, err)
		}
		c.items = append(c.items, item)
	}
	c.out = make([]outcome[R], len(c.items))
	return w.applyRecords(s, records, c)
}

// distinct is the longest beginning of one scope in which no key comes twice.
func distinct(records []JournalRecord, ordered bool) []JournalRecord {
	seen := make(map[string]bool, len(records))
	for i, r := range records {
		if r.Scope != records[0].Scope || ordered && r.Key != "" && seen[r.Key] {
			return records[:i]
		}
		seen[r.Key] = true
	}
	return records
}

// applyRecords takes its place in the lines of all keys, and commits. Writes that came
// before finish first; those that come meanwhile wait.
func (w *Writer[T, R]) applyRecords(s *shard, records []JournalRecord, c *Commit[T, R]) error {
	held := make([]*write[T, R], 0, len(records))
	defer func() {
		for _, p := range held {
			w.lines.giveUp(p)
		}
	}()
	for i, r := range records {
		p := &write[T, R]{item: c.items[i], place: lineKey{r.Scope, r.Key}, class: ClassBulk, turn: make(chan struct{}, 1), alone: true}
		if !w.lines.insist(p) {
			if err := w.lines.wait(w.journal.ctx, p); err != nil {
				return err
			}
		}
		held = append(held, p)
	}
	if w.journal.ctx.Err() != nil {
		return w.journal.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(WithScope(context.Background(), records[0].Scope), w.reader.cfg.Timeout)
	defer cancel()
	if err := w.apply(ctx, c); err != nil {
		return err // nothing of it is there, or all: its position says which
	}
	failed := 0
	for i := range c.out {
		if c.out[i].err != nil {
			failed++
		}
	}
	w.counts.dead.Add(uint64(failed))
	w.counts.applied.Add(uint64(len(records) - failed))
	s.advance(c.position.Offset, records...)
	w.journal.Journal.Trim(records[0].Shard, records[len(records)-1].Offset)
	return nil
}

// advance notes that everything up to an offset is applied.
func (s *shard) advance(applied int64, records ...JournalRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		if place := (lineKey{r.Scope, r.Key}); s.pending[place] <= r.Offset {
			delete(s.pending, place)
		}
	}
	s.applied = applied
	s.wake()
}

// forget drops the keys of what somebody else has applied.
func (s *shard) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.pending, func(_ lineKey, offset int64) bool { return offset <= s.applied })
}

// flush waits until everything that the journal holds is applied.
func (j *journaled[T]) flush(ctx context.Context) error {
	for i, s := range j.shards {
		s.mu.Lock()
		appended := s.appended
		s.mu.Unlock()
		if err := j.await(ctx, i, appended); err != nil {
			return err
		}
	}
	return nil
}

// end stops applying, and waits until nobody does, or ctx ends. What is left stays in the
// journal, and is applied after the next start.
func (j *journaled[T]) end(ctx context.Context) {
	for _, s := range j.shards {
		s.mu.Lock()
		if s.stopped = true; !s.running {
			s.wake()
		}
		s.mu.Unlock()
	}
	j.stop()
	ended := make(chan struct{})
	go func() {
		j.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// backlog is how many offsets are not applied, and why, if something is in the way.
func (j *journaled[T]) backlog() (n int64, trouble error) {
	for _, s := range j.shards {
		s.mu.Lock()
		n += s.appended - s.applied
		if s.trouble != nil {
			trouble = s.trouble
		}
		s.mu.Unlock()
	}
	return n, trouble
}
