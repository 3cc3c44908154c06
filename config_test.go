package fulcrum_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	fetch := func(context.Context, *fulcrum.Batch[int, int]) error { return nil }
	type config = fulcrum.ReaderConfig[int, int]
	type policy = fulcrum.Policy
	for _, c := range []struct {
		cfg  config
		want string
	}{
		{config{}, `fulcrum: reader "reader": ReaderConfig.Fetch is missing: give it the function that runs the query`},
		{config{Fetch: fetch, Name: "users", Timeout: -1}, `fulcrum: reader "users": ReaderConfig.Timeout: -1ns is negative`},
		{config{Fetch: fetch, Policy: policy{InFlight: -1}}, `fulcrum: Policy.InFlight: -1 is not between 1 and 10000 (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{InFlight: 10_001}}, `fulcrum: Policy.InFlight: 10001 is not between 1 and 10000 (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{Reserved: -2}}, `fulcrum: Policy.Reserved: -2 is not between -1 and 10000 (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{MaxBatch: -5}}, `fulcrum: Policy.MaxBatch: -5 is not between 1 and 100000 (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{MaxQueued: -1}}, `fulcrum: Policy.MaxQueued: -1 is not between 1 and 100000000 (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{MaxWaiters: -1}}, `fulcrum: Policy.MaxWaiters: -1 is not between 1 and 100000000 (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{Linger: time.Millisecond}}, `fulcrum: Policy.Linger: 1ms is not between 2ms and 1s (reader "reader")`},
		{config{Fetch: fetch, Policy: policy{Mode: 9}}, `fulcrum: Policy.Mode: 9 is no mode; use ModeBalanced, ModeLatency or ModeThroughput (reader "reader")`},
	} {
		if _, err := fulcrum.NewReader(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestPolicyDefaults(t *testing.T) {
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{
		Fetch: func(context.Context, *fulcrum.Batch[int, int]) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := fulcrum.Policy{InFlight: 4, Reserved: 2, MaxBatch: 200, Linger: 2 * time.Millisecond, MaxQueued: 50_000, MaxWaiters: 10_000}
	if got := r.Policy(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestErrorTexts(t *testing.T) {
	many := fulcrum.KeyErrors[int]{4: errUnlucky, 1: errUnlucky, 3: errUnlucky, 2: errUnlucky}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fulcrum.ShedError{Reason: fulcrum.ShedQueueFull, RetryAfter: time.Second}, "fulcrum: shed (queue_full), retry after 1s"},
		{&fulcrum.PanicError{Value: "boom"}, "fulcrum: panic in fetch: boom"},
		{many, "fulcrum: 4 keys failed: 1: unlucky; 2: unlucky; 3: unlucky; and 1 more"},
		{fulcrum.Divisible(errUnlucky), "unlucky"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
	if fulcrum.Divisible(nil) != nil {
		t.Error("Divisible(nil) is not nil")
	}
}

func TestNames(t *testing.T) {
	var all []string
	for c := fulcrum.ClassNormal; c <= fulcrum.ClassBulk+1; c++ {
		all = append(all, c.String())
	}
	for m := fulcrum.ModeBalanced; m <= fulcrum.ModeThroughput+1; m++ {
		all = append(all, m.String())
	}
	if got, want := strings.Join(all, " "), "normal urgent bulk unknown balanced latency throughput unknown"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A key may be answered in any order, repeatedly, and only if it was asked for.
func TestBatchAnswers(t *testing.T) {
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{
		Policy: fulcrum.Policy{InFlight: 1},
		Fetch: func(_ context.Context, b *fulcrum.Batch[int, int]) error {
			for k := 9; k >= 0; k-- {
				if asked := b.Set(k, -k); asked != (k < 6) {
					t.Errorf("Set(%d) = %t", k, asked)
				}
			}
			b.Set(1, 100)
			b.Fail(2, errUnlucky)
			b.Fail(3, nil)
			if b.Fail(77, errUnlucky) {
				t.Error("Fail(77) = true")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.GetMany(t.Context(), []int{0, 1, 2, 3, 4, 5})
	failed, _ := err.(fulcrum.KeyErrors[int])
	if len(got) != 4 || got[1] != 100 || got[5] != -5 || len(failed) != 1 || failed[2] != errUnlucky {
		t.Errorf("got %v, %v", got, err)
	}
}
