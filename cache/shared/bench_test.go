//go:build unix

package shared

import (
	"context"
	"fmt"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

// What it takes to ask Redis on this machine for keys that are all there.
func BenchmarkRead(b *testing.B) {
	r := redistest.Start(b)
	l, err := Open(quick(r.URL()))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	tier, err := New(l, texts())
	if err != nil {
		b.Fatal(err)
	}
	for !isThere(l)() {
	}
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
			keys, all := make([]int, n), make([]int, n)
			for i := range keys {
				keys[i], all[i] = n*1000+i, i
			}
			for found := false; !found; {
				if got := tier.read(context.Background(), keys); got != nil {
					tier.fill(got, all, func(int) (string, error) { return "a row of some forty bytes, as JSON often is", nil })
					found = got.rows[n-1].there
				}
			}
			before := tier.Stats()
			for b.Loop() {
				tier.read(context.Background(), keys)
			}
			if after := tier.Stats(); after.Hits-before.Hits < uint64(b.N*n) {
				b.Errorf("%d hits of %d", after.Hits-before.Hits, b.N*n)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/key")
		})
	}
}

// What a write takes longer.
func BenchmarkWrite(b *testing.B) {
	r := redistest.Start(b)
	l, err := Open(quick(r.URL()))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	tier, err := New(l, texts())
	if err != nil {
		b.Fatal(err)
	}
	for !isThere(l)() {
	}
	for b.Loop() {
		tier.Begin(1).End(true)
	}
}
