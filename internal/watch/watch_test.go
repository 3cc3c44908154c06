package watch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// ends checks how and when a call ends, counted from now.
func ends(t *testing.T, c *Call, want error, after time.Duration) {
	t.Helper()
	start := time.Now()
	<-c.Done()
	if took := time.Since(start); !errors.Is(c.Err(), want) || took < after || took > after+Grain {
		t.Errorf("ended with %v after %s, want %v after %s and at most %s more", c.Err(), took, want, after, Grain)
	}
}

func TestCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		type key struct{}
		parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		sooner, stop := context.WithTimeout(parent, time.Second)
		defer stop()
		late := w.Begin(parent, time.Now().Add(time.Hour))
		for _, c := range []struct {
			call *Call
			err  error
			at   time.Duration
		}{
			{w.Begin(parent, time.Now().Add(20*time.Millisecond)), context.DeadlineExceeded, 20 * time.Millisecond},
			{w.Begin(sooner, time.Now().Add(2*time.Second)), context.DeadlineExceeded, 980 * time.Millisecond},
		} {
			ends(t, c.call, c.err, c.at)
			w.Finish(c.call)
		}
		if late.Err() != nil || late.Value(key{}) != "v" {
			t.Errorf("the late one: %v, %v", late.Err(), late.Value(key{}))
		}
		cancel()
		ends(t, late, context.Canceled, 0)
		w.Finish(late)
	})
}

// A finished call is not ended, and neighbours in the list stay watched.
func TestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		var calls []*Call
		for range 5 {
			calls = append(calls, w.Begin(t.Context(), time.Now().Add(time.Second)))
		}
		for _, i := range []int{0, 2, 4} { // the last, one between, the first
			w.Finish(calls[i])
		}
		time.Sleep(2 * time.Second)
		for i, c := range calls {
			if ended := c.Err() != nil; ended != (i%2 == 1) {
				t.Errorf("call %d ended: %t", i, ended)
			}
		}
		w.Finish(calls[1])
		w.Finish(calls[3])
	})
}

// A call may be used again; one that has ended is not.
func TestReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		c := w.Begin(t.Context(), time.Now().Add(time.Second))
		w.Finish(c)
		time.Sleep(2 * time.Second)
		again := w.Reuse(c, t.Context(), time.Now().Add(time.Second))
		if again != c || again.Err() != nil {
			t.Errorf("%p for %p, %v", again, c, again.Err())
		}
		ends(t, again, context.DeadlineExceeded, time.Second)
		w.Finish(again)
		if third := w.Reuse(again, t.Context(), time.Now().Add(time.Second)); third == again || third.Err() != nil {
			t.Error("an ended call was used again")
		} else {
			w.Finish(third)
		}
		w.Finish(w.Reuse(nil, t.Context(), time.Now().Add(time.Second)))
	})
}

func TestAfterFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		c := w.Begin(t.Context(), time.Now().Add(time.Second))
		ran := make(chan string, 3)
		context.AfterFunc(c, func() { ran <- "kept" })
		stop := context.AfterFunc(c, func() { ran <- "stopped" })
		if !stop() || stop() {
			t.Error("a function can be taken back once")
		}
		child, cancel := context.WithCancel(c) // makes no goroutine: the bubble would not end
		defer cancel()
		<-child.Done()
		synctest.Wait()
		context.AfterFunc(c, func() { ran <- "late" })
		synctest.Wait()
		if a, b := <-ran, <-ran; a != "kept" || b != "late" || len(ran) > 0 {
			t.Error("ran:", a, b, len(ran))
		}
		w.Finish(c)
	})
}

// The goroutine rests when there is nothing to look after, and is back for the next
// call; Close lets it rest at once. The bubble only ends when it has.
func TestTheWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		for range 2 {
			c := w.Begin(t.Context(), time.Now().Add(time.Hour))
			time.Sleep(time.Minute)
			if !running(w) {
				t.Error("nobody looks after the call")
			}
			w.Finish(c)
			time.Sleep(2 * restAfter * Grain)
			if running(w) {
				t.Error("it does not rest")
			}
		}
		c := w.Begin(t.Context(), time.Now().Add(time.Second))
		w.Close()
		ends(t, c, context.DeadlineExceeded, time.Second)
		w.Finish(c)
		time.Sleep(2 * Grain)
		if running(w) {
			t.Error("it does not rest once it is closed")
		}
	})
}

func running(w *Watch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}
