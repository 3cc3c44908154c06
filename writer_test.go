package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// note is a write of the tests: the n-th of a key.
type note struct {
	key string
	n   int
}

// sink is where they go. A commit takes a ms, in the time of the test.
type sink struct {
	t       testing.TB
	mu      sync.Mutex
	commits [][]note
	busy    map[string]bool
	scopes  []string
	do      func(ctx context.Context, c *fulcrum.Commit[note, int]) error // after the ms; may be nil
}

func (s *sink) apply(ctx context.Context, c *fulcrum.Commit[note, int]) error {
	s.begin(c)
	defer s.end(c)
	if err := pause(ctx, time.Millisecond); err != nil {
		return err
	}
	if s.do != nil {
		if err := s.do(ctx, c); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits = append(s.commits, slices.Clone(c.Items()))
	s.scopes = append(s.scopes, fulcrum.ScopeFrom(ctx))
	return nil
}

// begin looks whether a key is in flight already.
func (s *sink) begin(c *fulcrum.Commit[note, int]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == nil {
		s.busy = make(map[string]bool)
	}
	if !slices.IsSortedFunc(c.Items(), func(a, b note) int { return strings.Compare(a.key, b.key) }) {
		s.t.Errorf("not sorted: %v", c.Items())
	}
	for _, n := range c.Items() {
		if s.busy[n.key] {
			s.t.Errorf("two writes of %q are in flight", n.key)
		}
		s.busy[n.key] = true
	}
}

func (s *sink) end(c *fulcrum.Commit[note, int]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range c.Items() {
		delete(s.busy, n.key)
	}
}

// made is the writes of a key in the order in which they were made.
func (s *sink) made(key string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int
	for _, c := range s.commits {
		for _, n := range c {
			if n.key == key {
				all = append(all, n.n)
			}
		}
	}
	return all
}

type notes = fulcrum.Writer[note, int]

func newWriter(t testing.TB, s *sink, with func(*fulcrum.WriterConfig[note, int])) *notes {
	t.Helper()
	s.t = t
	cfg := fulcrum.WriterConfig[note, int]{Apply: s.apply, OrderBy: func(n note) string { return n.key }}
	if with != nil {
		with(&cfg)
	}
	w, err := fulcrum.NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if st := w.Stats(); st.Accepted != 0 || st.Bytes != 0 || st.Queued != 0 || st.InFlight != 0 {
			t.Errorf("something is left: %+v", st)
		}
	})
	return w
}

func TestALoneWriteGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{do: func(ctx context.Context, c *fulcrum.Commit[note, int]) error {
			c.Set(0, c.Items()[0].n*2)
			c.SetToken("moment")
			return nil
		}}
		w := newWriter(t, s, nil)
		began := time.Now()
		got, err := w.Write(fulcrum.WithScope(t.Context(), "acme"), note{"a", 21})
		if err != nil || got != (fulcrum.Receipt[int]{Result: 42, Token: "moment"}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("took %s, want 1ms", took)
		}
		if s.scopes[0] != "acme" {
			t.Errorf("scope %q", s.scopes[0])
		}
	})
}

func TestWritesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, nil)
		const callers, each = 100, 20
		together(callers, func(i int) {
			for n := range each {
				if _, err := w.Write(t.Context(), note{fmt.Sprint("k", i), n}); err != nil {
					t.Error(err)
				}
			}
		})
		st := w.Stats()
		if st.Answered != callers*each || st.Keys != callers*each || st.Batches > callers*each/10 {
			t.Errorf("%d answered, %d made in %d commits", st.Answered, st.Keys, st.Batches)
		}
	})
}

// 8 callers at each of 4 keys: what one caller writes comes in its order, no key is ever
// in two commits at once (the sink looks), and nothing is made twice or left out.
func TestWritesOfAKeyKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, nil)
		const callers, each = 8, 50
		together(4*callers, func(i int) {
			for n := range each {
				if _, err := w.Write(t.Context(), note{fmt.Sprint(i % 4), i/4*each + n}); err != nil {
					t.Error(err)
				}
			}
		})
		for k := range 4 {
			inOrder(t, s.made(fmt.Sprint(k)), callers, each)
		}
	})
}

// inOrder wants each caller's writes once and rising.
func inOrder(t *testing.T, made []int, callers, each int) {
	t.Helper()
	if len(made) != callers*each {
		t.Errorf("%d writes were made of %d", len(made), callers*each)
	}
	last := make(map[int]int)
	for _, n := range made {
		if was, ok := last[n/each]; ok && n != was+1 || !ok && n%each != 0 {
			t.Fatalf("caller %d: %d comes after %d", n/each, n, was)
		}
		last[n/each] = n
	}
}

func TestMergedWritesShareAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{do: func(_ context.Context, c *fulcrum.Commit[note, int]) error {
			for i, n := range c.Items() {
				c.Set(i, n.n)
			}
			return nil
		}}
		w := newWriter(t, s, func(c *fulcrum.WriterConfig[note, int]) {
			c.Merge = func(older, newer note) (note, bool) { return note{older.key, older.n + newer.n}, newer.n != 1000 }
		})
		results := make([]int, 6)
		for i, n := range []int{1, 2, 3, 4, 1000, 5} { // the first goes, three wait, one stays apart
			go func() {
				r, err := w.Write(t.Context(), note{"a", n})
				if err != nil {
					t.Error(err)
				}
				results[i] = r.Result
			}()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []int{1, 9, 9, 9, 1005, 1005}; !slices.Equal(results, want) {
			t.Errorf("results %v, want %v", results, want)
		}
		if made := s.made("a"); !slices.Equal(made, []int{1, 9, 1005}) {
			t.Errorf("made %v", made)
		}
		if st := w.Stats(); st.Merged != 3 {
			t.Errorf("%d merged, want 3", st.Merged)
		}
	})
}

func TestOneBadWriteFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{do: func(_ context.Context, c *fulcrum.Commit[note, int]) error {
			for i, n := range c.Items() {
				if n.n == 13 {
					c.Fail(i, errUnlucky)
				}
			}
			return nil
		}}
		w := newWriter(t, s, nil)
		var items []note
		for i := range 100 {
			items = append(items, note{fmt.Sprint("k", i), i})
		}
		out, err := w.WriteMany(t.Context(), items)
		var failed fulcrum.KeyErrors[int]
		if !errors.As(err, &failed) || len(failed) != 1 || !errors.Is(failed[13], errUnlucky) {
			t.Errorf("failed: %v", err)
		}
		for i := range out {
			if (out[i].Err != nil) != (i == 13) {
				t.Errorf("write %d: %v", i, out[i].Err)
			}
		}
	})
}

func TestWriteManyKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, nil)
		go func() { _, _ = w.Write(t.Context(), note{"b", 99}) }() // holds the line of b
		synctest.Wait()
		var items []note
		for n := range 20 {
			items = append(items, note{"a", n}, note{"b", n}, note{fmt.Sprint("k", n), n})
		}
		if _, err := w.WriteMany(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		inOrder(t, s.made("a"), 1, 20)
		if b := s.made("b"); b[0] != 99 || !slices.IsSorted(b[1:]) || len(b) != 21 {
			t.Errorf("b: %v", b)
		}
	})
}

// errCut is a lost answer.
var errCut = fmt.Errorf("cut: %w", fulcrum.ErrAmbiguous)

func TestALostAnswerIsResolved(t *testing.T) {
	for _, c := range []struct {
		name    string
		fates   []fulcrum.Fate
		applies int
		want    error
	}{
		{"committed", []fulcrum.Fate{fulcrum.FateCommitted}, 1, nil},
		{"aborted, then made", []fulcrum.Fate{fulcrum.FateAborted, fulcrum.FateCommitted}, 2, nil},
		{"aborted twice", []fulcrum.Fate{fulcrum.FateAborted, fulcrum.FateAborted}, 2, fulcrum.ErrUnavailable},
		{"unknown", []fulcrum.Fate{fulcrum.FateUnknown}, 1, fulcrum.ErrAmbiguous},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				applies := 0
				s := &sink{do: func(_ context.Context, cm *fulcrum.Commit[note, int]) error {
					applies++
					cm.SetID(fulcrum.CommitID(fmt.Sprint(applies)))
					cm.Set(0, applies)
					return errCut
				}}
				w := newWriter(t, s, func(cfg *fulcrum.WriterConfig[note, int]) {
					cfg.Resolve = func(_ context.Context, id fulcrum.CommitID) (fulcrum.Fate, error) {
						if id != fulcrum.CommitID(fmt.Sprint(applies)) {
							t.Errorf("asked for %q", id)
						}
						return c.fates[applies-1], nil
					}
				})
				got, err := w.Write(t.Context(), note{"a", 1})
				if !errors.Is(err, c.want) || applies != c.applies || c.want == nil && got.Result != applies {
					t.Errorf("got %+v, %v after %d applies", got, err, applies)
				}
				if c.want == fulcrum.ErrUnavailable && errors.Is(err, fulcrum.ErrAmbiguous) {
					t.Errorf("%v is said to be ambiguous, and is not", err)
				}
			})
		})
	}
}

func TestWhatAPanicLeavesIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		applies := 0
		s := &sink{do: func(context.Context, *fulcrum.Commit[note, int]) error {
			applies++
			panic("in the middle")
		}}
		w := newWriter(t, s, nil)
		_, err := w.WriteMany(t.Context(), []note{{"a", 1}, {"b", 1}, {"c", 1}})
		var panicked *fulcrum.PanicError
		if !errors.Is(err, fulcrum.ErrAmbiguous) || !errors.As(err, &panicked) {
			t.Errorf("got %v", err)
		}
		if applies != 1 {
			t.Errorf("%d applies: a commit must not be tried again in halves", applies)
		}
	})
}

// A caller may leave at four places; only where its write can be on its way is it told
// that nobody knows.
func TestCallersWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, func(c *fulcrum.WriterConfig[note, int]) {
			c.Policy = fulcrum.Policy{InFlight: 1, Reserved: -1}
			c.Merge = func(older, newer note) (note, bool) { return note{older.key, older.n + newer.n}, newer.key == "m" }
		})
		errs := make(map[string]error)
		var mu sync.Mutex
		leave := func(name string, n note) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				_, err := w.Write(ctx, n)
				mu.Lock()
				defer mu.Unlock()
				errs[name] = err
			}()
			synctest.Wait()
			return cancel
		}
		inFlight := leave("in flight", note{"a", 1})
		queued := leave("queued", note{"b", 1})
		first := leave("m1", note{"m", 1})
		inLine := leave("in line", note{"a", 2})
		behind := leave("behind it", note{"a", 3})
		rider := leave("rider", note{"m", 2}) // behind m1
		stays := leave("stays", note{"m", 4})
		queued()
		inLine()
		inFlight()
		synctest.Wait()
		time.Sleep(1100 * time.Microsecond) // the second commit, with m1, is in flight
		time.Sleep(time.Millisecond)        // m2 and m4 are one, and in flight
		rider()
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for name, want := range map[string]error{
			"in flight": fulcrum.ErrAmbiguous, "queued": context.Canceled, "in line": context.Canceled,
			"behind it": nil, "m1": nil, "rider": fulcrum.ErrAmbiguous, "stays": nil,
		} {
			if err := errs[name]; !errors.Is(err, want) || errors.Is(err, fulcrum.ErrAmbiguous) != errors.Is(want, fulcrum.ErrAmbiguous) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
		if a, b, m := s.made("a"), s.made("b"), s.made("m"); !slices.Equal(a, []int{1, 3}) || len(b) != 0 || !slices.Equal(m, []int{1, 6}) {
			t.Errorf("made %v, %v, %v", a, b, m)
		}
		for _, cancel := range []context.CancelFunc{first, behind, stays} {
			cancel()
		}
	})
}

// The caller whose write leads merged ones leaves while it is queued: the others are
// made without it.
func TestALeaderWhoLeavesTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, func(c *fulcrum.WriterConfig[note, int]) {
			c.Policy = fulcrum.Policy{InFlight: 1, Reserved: -1, MaxBatch: 1}
			c.Merge = func(older, newer note) (note, bool) { return note{older.key, older.n + newer.n}, true }
		})
		write := func(ctx context.Context, n note, want error) {
			go func() {
				if _, err := w.Write(ctx, n); !errors.Is(err, want) || errors.Is(err, fulcrum.ErrAmbiguous) {
					t.Errorf("%v: %v, want %v", n, err, want)
				}
			}()
			synctest.Wait()
		}
		leaders, leave := context.WithCancel(t.Context())
		write(t.Context(), note{"m", 1}, nil)
		write(leaders, note{"m", 10}, context.Canceled)
		write(t.Context(), note{"m", 100}, nil)
		write(t.Context(), note{"m", 1000}, nil)
		write(t.Context(), note{"z", 1}, nil) // takes the slot when the first is done
		time.Sleep(1100 * time.Microsecond)
		leave() // 10, 100 and 1000 are one by now, and queued
		time.Sleep(time.Second)
		synctest.Wait()
		if m := s.made("m"); !slices.Equal(m, []int{1, 1100}) {
			t.Errorf("made %v", m)
		}
	})
}

func TestUrgentWritesGoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, func(c *fulcrum.WriterConfig[note, int]) {
			c.Policy = fulcrum.Policy{InFlight: 1, Reserved: 1, MaxBatch: 1}
		})
		for i := range 50 { // a ms each, one after the other
			go func() { _, _ = w.Write(t.Context(), note{fmt.Sprint("k", i), 0}) }()
			synctest.Wait()
		}
		began := time.Now()
		if _, err := w.Write(t.Context(), note{"u", 0}, fulcrum.Urgent); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("a key of its own: %s, want 1ms", took)
		}
		began = time.Now()
		if _, err := w.Write(t.Context(), note{"k49", 1}, fulcrum.Urgent); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Millisecond {
			t.Errorf("behind another of its key: %s, want 2ms: that one must be hurried", took)
		}
		if made := s.made("k49"); !slices.Equal(made, []int{0, 1}) {
			t.Errorf("made %v", made)
		}
	})
}

func TestWritesInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := 3
		s := &sink{do: func(context.Context, *fulcrum.Commit[note, int]) error {
			if fails--; fails >= 0 {
				return fulcrum.ErrUnavailable
			}
			return nil
		}}
		w := newWriter(t, s, nil)
		began := time.Now()
		for n := range 100 {
			got, err := w.Write(t.Context(), note{fmt.Sprint(n % 5), n / 5}, fulcrum.InMemory)
			if err != nil || got.Durability != fulcrum.DurabilityMemory {
				t.Fatalf("got %+v, %v", got, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("they waited %s", took)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for k := range 5 {
			inOrder(t, s.made(fmt.Sprint(k)), 1, 20)
		}
		if st := w.Stats(); st.Lost != 0 || st.Accepted != 0 {
			t.Errorf("%d lost, %d left", st.Lost, st.Accepted)
		}
	})
}

func TestWritesInMemoryThatAreLostAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		lost := make(map[int]error)
		down := false
		s := &sink{do: func(_ context.Context, c *fulcrum.Commit[note, int]) error {
			if down {
				return fulcrum.ErrUnavailable
			}
			for i, n := range c.Items() {
				if n.n == 2 {
					c.Fail(i, errUnlucky)
				}
			}
			return nil
		}}
		s.t = t
		w, err := fulcrum.NewWriter(fulcrum.WriterConfig[note, int]{
			Apply: s.apply, OrderBy: func(n note) string { return n.key },
			Lost: func(n note, err error) {
				mu.Lock()
				defer mu.Unlock()
				lost[n.n] = err
				panic("in Lost")
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			_, _ = w.Write(t.Context(), note{"a", n}, fulcrum.InMemory)
		}
		_ = w.Flush(t.Context())
		if len(lost) != 1 || !errors.Is(lost[2], errUnlucky) || !slices.Equal(s.made("a"), []int{0, 1, 2, 3}) {
			t.Errorf("lost %v, made %v", lost, s.made("a"))
		}
		down = true
		for n := 10; n < 14; n++ {
			_, _ = w.Write(t.Context(), note{fmt.Sprint(n % 2), n}, fulcrum.InMemory)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "4 accepted writes were not made") {
			t.Errorf("Shutdown: %v", err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(lost) != 5 || w.Stats().Lost != 5 {
			t.Errorf("lost %v", lost)
		}
	})
}

func TestWritesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		w := newWriter(t, s, func(c *fulcrum.WriterConfig[note, int]) {
			c.Size = func(n note) int { return n.n }
			c.MaxBytes = 100
			c.Policy.MaxWaiters = 3
		})
		go func() { _, _ = w.Write(t.Context(), note{"a", 60}) }()
		synctest.Wait()
		_, err := w.Write(t.Context(), note{"b", 50})
		shedFor(t, err, fulcrum.ShedBytes)
		for range 2 {
			go func() { _, _ = w.Write(t.Context(), note{"a", 1}) }()
		}
		synctest.Wait()
		_, err = w.Write(t.Context(), note{"a", 1})
		shedFor(t, err, fulcrum.ShedWaiters)
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := w.Write(t.Context(), note{"b", 50}); err != nil {
			t.Error(err)
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := w.Write(t.Context(), note{"b", 1}); !errors.Is(err, fulcrum.ErrClosed) {
			t.Errorf("after Shutdown: %v", err)
		}
	})
}

func shedFor(t *testing.T, err error, reason string) {
	t.Helper()
	var shed *fulcrum.ShedError
	if !errors.As(err, &shed) || shed.Reason != reason || shed.RetryAfter < time.Millisecond {
		t.Errorf("got %v, want a shed for %s", err, reason)
	}
}

func TestWriterConfigurationsThatAreRefused(t *testing.T) {
	apply := func(context.Context, *fulcrum.Commit[int, int]) error { return nil }
	type config = fulcrum.WriterConfig[int, int]
	for _, c := range []struct {
		cfg  config
		want string
	}{
		{config{}, `fulcrum: writer "writer": WriterConfig.Apply is missing: give it the function that makes the writes`},
		{config{Apply: apply, Merge: func(a, _ int) (int, bool) { return a, true }}, `fulcrum: writer "writer": WriterConfig.Merge: it needs OrderBy, which says whose writes may be merged`},
		{config{Apply: apply, MaxBytes: -1}, `fulcrum: writer "writer": WriterConfig.MaxBytes: -1 is negative`},
		{config{Apply: apply, Name: "users", Timeout: -1}, `fulcrum: writer "users": WriterConfig.Timeout: -1ns is negative`},
		{config{Apply: apply, Policy: fulcrum.Policy{InFlight: -1}}, `fulcrum: Policy.InFlight: -1 is not between 1 and 10000 (writer "writer")`},
	} {
		if _, err := fulcrum.NewWriter(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}
