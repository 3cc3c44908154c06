package dispatch

import (
	"fmt"
	"testing"
)

// Tenants that are refused, or seen once, are forgotten.
func TestScopesAreForgotten(t *testing.T) {
	d := New[int, int](Limits{InFlight: 1, MaxBatch: 10, MaxWaiters: 10, MaxQueued: [Lanes]int{1, 1, 1}})
	first := &Waiter[int, int]{Class: Normal}
	d.Submit(0, "a", 0, first)
	d.Submit(0, "a", 1, &Waiter[int, int]{Class: Normal})
	for i := range 1000 {
		if v := d.Submit(0, fmt.Sprint(i), i, &Waiter[int, int]{Class: Normal}); v.Action != Refuse {
			t.Fatalf("tenant %d got in: %+v", i, v)
		}
	}
	if len(d.scopes) != 2 { // the unnamed one and a
		t.Errorf("%d scopes are kept", len(d.scopes))
	}
}
