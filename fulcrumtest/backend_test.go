package fulcrumtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

func numbers(key int) (string, error) {
	switch {
	case key < 0:
		return "", fulcrum.ErrNotFound
	case key == 13:
		return "", errors.New("unlucky")
	}
	return fmt.Sprint(key), nil
}

func newReader(t *testing.T, b *Backend[int, string]) *fulcrum.Reader[int, string] {
	t.Helper()
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, string]{Fetch: b.Fetch, One: b.One})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// T(n) = a + b·n, in virtual time.
func TestBackendTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBackend(BackendConfig[int, string]{Base: 3 * time.Millisecond, PerKey: time.Millisecond, Answer: numbers})
		r := newReader(t, b)
		began := time.Now()
		got, err := Together(t.Context(), []int{1, 2, -1, 13}, b.Fetch)
		if took := time.Since(began); took != 7*time.Millisecond {
			t.Errorf("4 keys took %s, want 3 ms + 4 · 1 ms", took)
		}
		var errs fulcrum.KeyErrors[int]
		if len(got) != 2 || got[1] != "1" || !errors.As(err, &errs) || len(errs) != 1 || errs[13] == nil {
			t.Errorf("got %v, %v", got, err)
		}
		if v, err := r.Get(t.Context(), 5); v != "5" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		if want := [][]int{{1, 2, -1, 13}, {5}}; fmt.Sprint(b.Batches()) != fmt.Sprint(want) || b.Queries() != 2 || b.Peak() != 1 {
			t.Errorf("batches %v, %d queries, peak %d", b.Batches(), b.Queries(), b.Peak())
		}
	})
}

func TestBackendFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBackend(BackendConfig[int, string]{Base: time.Millisecond})
		broken := errors.New("broken")
		b.SetError(broken)
		if _, err := b.One(t.Context(), 1); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		b.SetError(nil)
		b.Pause()
		b.Pause()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.One(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("paused: got %v", err)
		}
		var errs []error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := b.One(t.Context(), 2)
			errs = append(errs, err)
		}()
		synctest.Wait()
		b.Resume()
		b.Resume()
		<-done
		if !slices.Equal(errs, []error{nil}) {
			t.Errorf("resumed: got %v", errs)
		}
		cancel()
		if _, err := b.One(ctx, 3); err == nil {
			t.Error("an ended context was served")
		}
	})
}
