package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
)

// slowLibrary is a library whose queries take a second.
func slowLibrary(t *testing.T, policy fulcrum.Policy) *library {
	l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{Policy: policy})
	l.shelf.slow.Store(int64(time.Second - time.Millisecond))
	return l
}

// reply is what became of a Get in the background.
type reply struct {
	text  string
	err   error
	trace fulcrum.Trace
}

// ask gets key 1 in the background.
func (l *library) ask(ctx context.Context, opts ...fulcrum.Option) chan reply {
	done := make(chan reply, 1)
	go func() {
		var r reply
		r.text, r.err = l.Get(ctx, 1, append(opts, fulcrum.Traced(&r.trace))...)
		done <- r
	}()
	synctest.Wait()
	return done
}

// expect checks what became of a Get and of all queries so far.
func (l *library) expect(done chan reply, edition, queries int64) {
	l.t.Helper()
	r := <-done
	if r.err != nil || r.text != text("", 1, edition) || r.trace.Cached || r.trace.Keys != 1 {
		l.t.Errorf("%q, %v, %+v, want edition %d", r.text, r.err, r.trace, edition)
	}
	if n := l.shelf.queries.Load(); n != queries {
		l.t.Errorf("%d queries, want %d", n, queries)
	}
}

// Who comes while the query is in flight waits for it.
func TestFillIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowLibrary(t, fulcrum.Policy{})
		first := l.ask(context.Background())
		time.Sleep(time.Second / 2)
		second, bulk := l.ask(context.Background()), l.ask(context.Background(), fulcrum.Bulk)
		l.expect(first, 0, 1)
		l.expect(second, 0, 1)
		l.expect(bulk, 0, 1)
	})
}

// Who comes after a write does not wait for a query that began before it, and what that
// says is not kept.
func TestFillAcrossAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowLibrary(t, fulcrum.Policy{})
		before := l.ask(context.Background())
		write := l.near.Begin(1)
		during := l.ask(context.Background())
		l.shelf.edition.Store(1)
		write.End(true)
		time.Sleep(time.Second / 4)
		after, too := l.ask(context.Background()), l.ask(context.Background())
		l.expect(before, 0, 3)
		l.expect(during, 0, 3)
		if s := l.near.Stats(); s.Refused != 1 { // during had no lease at all
			t.Errorf("%+v", s)
		}
		l.expect(after, 1, 3)
		l.expect(too, 1, 3)
		l.get(1, 1, 0)
	})
}

// A write whose fate is not known may still be made for a while.
func TestFillAfterAnUnknownFate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{})
		l.near.Begin(1).End(false)
		l.get(1, 0, 1)
		l.shelf.edition.Store(1) // it was
		l.get(1, 1, 1)
		time.Sleep(10*time.Second + time.Millisecond)
		l.get(1, 1, 1)
		l.get(1, 1, 0)
	})
}

// The trouble of who asked first is not that of the others.
func TestFillOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowLibrary(t, fulcrum.Policy{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
		defer cancel()
		first := l.ask(ctx)
		second, third := l.ask(context.Background()), l.ask(context.Background())
		impatient, leave := context.WithCancel(context.Background())
		fourth := l.ask(impatient)
		leave()
		if r := <-fourth; !errors.Is(r.err, context.Canceled) {
			t.Errorf("who left: %v", r.err)
		}
		if r := <-first; !errors.Is(r.err, context.DeadlineExceeded) {
			t.Errorf("who had no time: %v", r.err)
		}
		l.expect(second, 0, 2)
		l.expect(third, 0, 2)
		l.get(1, 0, 0)
	})
}

// What the backend says of the key is for all.
func TestFillFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowLibrary(t, fulcrum.Policy{})
		failure := errors.New("no")
		l.shelf.fails.Store(&failure)
		first, second := l.ask(context.Background()), l.ask(context.Background())
		for _, done := range []chan reply{first, second} {
			if r := <-done; !errors.Is(r.err, failure) {
				t.Errorf("%+v", r)
			}
		}
		l.shelf.fails.Store(nil)
		l.expect(l.ask(context.Background()), 0, 2)
	})
}

// A more urgent caller does not wait behind a less urgent one, nor does one more than may.
func TestFillIsNotForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowLibrary(t, fulcrum.Policy{MaxWaiters: 1, UrgentCached: true})
		bulk := l.ask(context.Background(), fulcrum.Bulk)
		normal := l.ask(context.Background())
		l.expect(bulk, 0, 2)
		l.expect(normal, 0, 2)
		l.near.Forget(1)
		first, second, third := l.ask(context.Background()), l.ask(context.Background()), l.ask(context.Background())
		urgent := l.ask(context.Background(), fulcrum.Urgent)
		l.expect(first, 0, 5)
		l.expect(second, 0, 5)
		l.expect(third, 0, 5)
		l.expect(urgent, 0, 5)
	})
}

// A caller who wants it fresher than the query that is there asks anew.
func TestFillMayBeTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowLibrary(t, fulcrum.Policy{})
		first := l.ask(context.Background())
		time.Sleep(time.Second / 2)
		l.shelf.edition.Store(1)
		old, fresh := l.ask(context.Background(), fulcrum.MaxStaleness(time.Second)), l.ask(context.Background(), fulcrum.MaxStaleness(time.Second/4))
		l.expect(first, 0, 2)
		l.expect(old, 0, 2)
		l.expect(fresh, 1, 2)
		l.get(1, 1, 0)
	})
}

// An answer that was asked for earlier does not replace a later one.
func TestFillOlderThanWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{})
		older := l.near.Lease(1)
		time.Sleep(time.Millisecond)
		l.near.Put("", 1, l.near.Lease(1), text("", 1, 1), true)
		l.near.Put("", 1, older, text("", 1, 0), true)
		l.get(1, 1, 0)
	})
}

// A goroutine that dies while it asks for others takes nobody with it.
func TestFillSurvivesGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, err := cache.New(cache.Config[int, string]{Entries: 10})
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		r := newReader(t, fulcrum.ReaderConfig[int, string]{Cache: near, Fetch: func(_ context.Context, b *fulcrum.Batch[int, string]) error {
			if calls++; calls == 1 {
				time.Sleep(time.Second)
				runtime.Goexit()
			}
			b.SetAt(0, "there")
			return nil
		}})
		go func() { _, _ = r.Get(context.Background(), 1) }()
		time.Sleep(time.Second / 2)
		if got, err := r.Get(context.Background(), 1); err != nil || got != "there" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// A Writer has caches forget what it writes, until the fate of the commit is known.
func TestWriterInvalidates(t *testing.T) {
	for _, c := range []struct {
		what    string
		fails   error
		resolve fulcrum.Fate
		known   bool
	}{
		{"committed", nil, 0, true},
		{"failed", errors.New("no"), 0, true},
		{"ambiguous, then committed", fulcrum.ErrAmbiguous, fulcrum.FateCommitted, true},
		{"ambiguous for good", fulcrum.ErrAmbiguous, fulcrum.FateUnknown, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { writerInvalidates(t, c.fails, c.resolve, c.known) })
		})
	}
}

func writerInvalidates(t *testing.T, fails error, fate fulcrum.Fate, known bool) {
	l := newLibrary(t, cache.Config[int, string]{}, fulcrum.ReaderConfig[int, string]{})
	invalidate := cache.Invalidating[int, string](l.near, func(key int) int { return key })
	var said []string
	w, err := fulcrum.NewWriter(fulcrum.WriterConfig[int, string]{
		Invalidate: func(commit *fulcrum.Commit[int, string]) func(bool) {
			over := invalidate(commit)
			return func(known bool) { over(known); said = append(said, fmt.Sprint(commit.Items(), known)) }
		},
		Apply: func(_ context.Context, commit *fulcrum.Commit[int, string]) error {
			commit.SetID("1")
			l.get(1, 0, 1) // nothing is told, and nothing kept
			l.get(1, 0, 1)
			l.shelf.edition.Store(1)
			return fails
		},
		Resolve: func(context.Context, fulcrum.CommitID) (fulcrum.Fate, error) {
			l.get(1, 1, 1)
			return fate, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.get(1, 0, 1)
	l.get(1, 0, 0)
	_, err = w.Write(context.Background(), 1)
	if (err == nil) != (fails == nil || fate == fulcrum.FateCommitted) {
		t.Errorf("Write: %v", err)
	}
	if got := fmt.Sprint(said); got != fmt.Sprintf("[[1] %v]", known) {
		t.Errorf("told %s", got)
	}
	l.get(1, 1, 1)
	if known {
		l.get(1, 1, 0)
	} else {
		l.get(1, 1, 1)
	}
}

// A panic in Invalidate fails the commit, before anything is written.
func TestWriterInvalidatePanics(t *testing.T) {
	w, err := fulcrum.NewWriter(fulcrum.WriterConfig[int, string]{
		Invalidate: func(*fulcrum.Commit[int, string]) func(bool) { panic("oh") },
		Apply: func(context.Context, *fulcrum.Commit[int, string]) error {
			t.Error("it was made")
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var panicked *fulcrum.PanicError
	if _, err := w.Write(context.Background(), 1); !errors.As(err, &panicked) || errors.Is(err, fulcrum.ErrAmbiguous) {
		t.Errorf("Write: %v", err)
	}
}

// What a process that died has made of the journal is unknown: everything is forgotten.
func TestWriterInvalidatesWhatOthersApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []int // items of each commit
		applied := map[int]int64{}
		w, err := fulcrum.NewWriter(fulcrum.WriterConfig[note, int]{
			OrderBy: func(n note) string { return n.key },
			Invalidate: func(c *fulcrum.Commit[note, int]) func(bool) {
				told = append(told, c.Len())
				return func(known bool) {
					if !known {
						t.Error("a commit that was refused for its position is said to be unclear")
					}
				}
			},
			Apply: func(context.Context, *fulcrum.Commit[note, int]) error {
				applied[0] = 1
				return fulcrum.ErrPosition
			},
			Journaling: &fulcrum.Journaling[note]{
				Journal: new(shelf),
				Encode:  func(n note) ([]byte, error) { return []byte(n.key), nil },
				Decode:  func(b []byte) (note, error) { return note{key: string(b)}, nil },
				Applied: func(context.Context, string) (map[int]int64, error) { return applied, nil },
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(t.Context(), note{"a", 1}, fulcrum.Journaled); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(told); got != "[1 0]" {
			t.Errorf("told of commits with %s items, want [1 0]", got)
		}
		_ = w.Shutdown(t.Context())
	})
}
