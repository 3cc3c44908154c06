package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// shelf is a journal of one shard in memory. An Append takes a ms; one without a key is shed.
type shelf struct {
	mu      sync.Mutex
	records []fulcrum.JournalRecord
}

func (s *shelf) Name() string    { return "shelf" }
func (s *shelf) Shards() int     { return 1 }
func (s *shelf) Trim(int, int64) {}
func (s *shelf) put(r fulcrum.JournalRecord) (at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Offset = int64(len(s.records) + 1)
	s.records = append(s.records, r)
	return r.Offset
}

// Append goes on if its caller leaves, as package journal's does.
func (s *shelf) Append(ctx context.Context, scope, key string, data []byte, settled func(fulcrum.JournalRecord, error)) (fulcrum.JournalRecord, error) {
	r := fulcrum.JournalRecord{Scope: scope, Key: key, Data: data}
	if key == "" {
		return r, &fulcrum.ShedError{Reason: fulcrum.ShedBytes}
	}
	done := make(chan fulcrum.JournalRecord, 1)
	go func() {
		time.Sleep(time.Millisecond)
		r.Offset = s.put(r)
		settled(r, nil)
		done <- r
	}()
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		return fulcrum.JournalRecord{}, fmt.Errorf("%w: %w", fulcrum.ErrAmbiguous, ctx.Err())
	}
}

func (s *shelf) Read(_ context.Context, _ int, after int64, limit int) ([]fulcrum.JournalRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.records[min(int(after), len(s.records)):]
	return rest[:min(limit, len(rest))], nil
}

// newJournaled makes a writer with a shelf. Notes have numbers below 256.
func newJournaled(t *testing.T, s *sink) *notes {
	t.Helper()
	c := fulcrum.WriterConfig[note, int]{Apply: s.apply, OrderBy: func(n note) string { return n.key }}
	c.Journaling = &fulcrum.Journaling[note]{
		Journal: new(shelf),
		Encode:  func(n note) ([]byte, error) { return append([]byte{byte(n.n)}, n.key...), nil },
		Decode:  func(b []byte) (note, error) { return note{string(b[1:]), int(b[0])}, nil },
		Applied: func(context.Context, string) (map[int]int64, error) { return nil, nil },
	}
	w, err := fulcrum.NewWriter(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A write whose caller left while it went into the journal is applied with the others,
// and before what comes later, though it is on its way still: not whenever the next one
// is journaled.
func TestAJournaledWriteWhoseCallerLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		w := newJournaled(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Microsecond)
		defer cancel()
		if _, err := w.Write(ctx, note{"a", 1}, fulcrum.Journaled); !errors.Is(err, fulcrum.ErrAmbiguous) {
			t.Errorf("the caller who left got %v", err)
		}
		if _, err := w.Write(t.Context(), note{"a", 2}); err != nil {
			t.Error(err)
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(s.made("a")); got != "[1 2]" {
			t.Errorf("made %s, want [1 2]", got)
		}
	})
}

// A write that the journal has refused holds nobody up.
func TestAJournaledWriteThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		w := newJournaled(t, s)
		if _, err := w.Write(t.Context(), note{"", 1}, fulcrum.Journaled); !errors.Is(err, fulcrum.ErrShed) {
			t.Errorf("got %v, want it shed", err)
		}
		if _, err := w.Write(t.Context(), note{"", 2}); err != nil {
			t.Error(err)
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whoever waits for the journal is told when its rest is left to the next start.
func TestShutdownBeforeTheJournalIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t, do: func(context.Context, *fulcrum.Commit[note, int]) error { return fulcrum.ErrUnavailable }}
		w := newJournaled(t, s)
		receipt, err := w.Write(t.Context(), note{"a", 1}, fulcrum.Journaled)
		if err != nil {
			t.Fatal(err)
		}
		var waiting sync.WaitGroup
		for name, wait := range map[string]func() error{
			"a write behind it": func() error { _, err := w.Write(context.Background(), note{"a", 2}); return err },
			"its token":         func() error { return w.Await(context.Background(), receipt.Token) },
			"a flush":           func() error { return w.Flush(context.Background()) },
		} {
			waiting.Go(func() {
				if err := wait(); !errors.Is(err, fulcrum.ErrClosed) {
					t.Errorf("%s: %v, want ErrClosed", name, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		waiting.Wait()
	})
}

// Shutdown returns when its context ends, whatever a commit takes and whoever has the turn.
func TestShutdownDoesNotWaitForTheJournal(t *testing.T) {
	for name, held := range map[string]fulcrum.Option{"a commit": fulcrum.Journaled, "a write before it": fulcrum.InMemory} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{t: t, do: func(ctx context.Context, _ *fulcrum.Commit[note, int]) error { return pause(ctx, time.Minute) }}
				w := newJournaled(t, s)
				for i, how := range []fulcrum.Option{held, fulcrum.Journaled} {
					if _, err := w.Write(t.Context(), note{"a", i}, how); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Shutdown: %v", err)
				}
				if took := time.Since(began); took != time.Second {
					t.Errorf("it took %s, want 1s", took)
				}
				time.Sleep(time.Minute) // commits that are out end by their time-outs
			})
		})
	}
}
