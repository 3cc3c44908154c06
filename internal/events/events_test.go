package events

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func seqs[T any](entries []Entry[T]) string {
	text := ""
	for _, e := range entries {
		text += fmt.Sprintf("%d=%v ", e.Seq, e.Value)
	}
	return text
}

func TestLogKeepsTheLast(t *testing.T) {
	l := New[string](3, "e")
	if got := l.Recent(10); got != nil {
		t.Errorf("an empty log has %v", got)
	}
	for _, v := range []string{"a", "b", "c", "d", "e"} {
		l.Append(time.Now(), v)
	}
	for n, want := range map[int]string{10: "3=c 4=d 5=e ", 2: "4=d 5=e ", 0: "", -1: ""} {
		if got := seqs(l.Recent(n)); got != want {
			t.Errorf("the last %d: %q, want %q", n, got, want)
		}
	}
	if l.Total() != 5 {
		t.Errorf("total %d", l.Total())
	}
}

func TestFollow(t *testing.T) {
	l := New[int](4, "now")
	for i := range 6 { // 3 to 6 are left
		l.Append(time.Time{}, i+1)
	}
	for _, c := range []struct {
		after ID
		first uint64
		reset bool
	}{
		{ID{}, 3, false},
		{ID{"now", 0}, 3, true},
		{ID{"now", 1}, 3, true},
		{ID{"now", 2}, 3, false},
		{ID{"now", 5}, 6, false},
		{ID{"now", 7}, 3, true},
		{ID{"now", math.MaxUint64}, 3, true},
		{ID{"then", 5}, 3, true},
	} {
		e, id, reset, err := l.Follow(c.after).Next(t.Context())
		if err != nil || e.Seq != c.first || reset != c.reset || id != (ID{"now", e.Seq}) || e.Value != int(e.Seq) {
			t.Errorf("after %s: %+v, reset %t, %v; want %d, reset %t", c.after, e, reset, err, c.first, c.reset)
		}
	}
}

// A follower who was left behind is told once, and then reads on.
func TestSlowFollowerIsReset(t *testing.T) {
	l := New[int](2, "e")
	f := l.Follow(ID{})
	for i := range 5 {
		l.Append(time.Time{}, i)
	}
	for _, want := range []struct {
		seq   uint64
		reset bool
	}{{4, true}, {5, false}} {
		if e, _, reset, err := f.Next(t.Context()); err != nil || e.Seq != want.seq || reset != want.reset {
			t.Errorf("%d, reset %t, %v", e.Seq, reset, err)
		}
	}
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[string](10, "e")
		f := l.Follow(ID{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, _, err := f.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			l.Append(time.Now(), "late")
			l.Close()
			l.Close()
			l.Append(time.Now(), "too late")
		}()
		begin := time.Now()
		if e, _, _, err := f.Next(t.Context()); err != nil || e.Value != "late" || time.Since(begin) != time.Minute {
			t.Errorf("%v %v", e, err)
		}
		if _, _, _, err := f.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// Many follow, each sees every event once and in order, or a reset.
func TestConcurrent(t *testing.T) {
	const events = 2000
	l := New[int](64, "e")
	var wg sync.WaitGroup
	for range 8 {
		f := l.Follow(ID{})
		wg.Go(func() {
			last := uint64(0)
			for {
				e, _, reset, err := f.Next(t.Context())
				if errors.Is(err, ErrClosed) {
					break
				}
				if err != nil || e.Seq <= last || e.Seq != last+1 && !reset || int(e.Seq) != e.Value {
					t.Errorf("%+v after %d, reset %t, %v", e, last, reset, err)
					return
				}
				last = e.Seq
			}
			if last != events {
				t.Errorf("ended at %d", last)
			}
		})
	}
	for i := range events {
		l.Append(time.Time{}, i+1)
	}
	l.Close()
	wg.Wait()
}

func TestID(t *testing.T) {
	for _, id := range []ID{{"a-1", 0}, {"x", math.MaxUint64}} {
		if got, err := ParseID(id.String()); err != nil || got != id {
			t.Errorf("%s: %v %v", id, got, err)
		}
	}
	if id, err := ParseID(""); err != nil || id != (ID{}) {
		t.Errorf("%v %v", id, err)
	}
	for _, text := range []string{"a", ".1", "a.", "a.-1", "a.1.2", "a.18446744073709551616", "a. 1"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q: %v", text, id)
		}
	}
}
