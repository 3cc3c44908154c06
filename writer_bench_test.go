package fulcrum_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

// BenchmarkWrite is what a write costs where making it costs nothing.
func BenchmarkWrite(b *testing.B) {
	for _, ordered := range []bool{false, true} {
		for _, callers := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("ordered=%t/callers=%d", ordered, callers), func(b *testing.B) {
				w := nullWriter(b, ordered)
				runCallers(b, callers, func(i int) {
					if _, err := w.Write(context.Background(), note{keys[i%len(keys)], i}); err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
}

// BenchmarkWriteInMemory is what a message costs that nobody waits for, until it was
// handed to a sink that takes no time.
func BenchmarkWriteInMemory(b *testing.B) {
	for _, ordered := range []bool{false, true} {
		b.Run(fmt.Sprintf("ordered=%t", ordered), func(b *testing.B) {
			w := nullWriter(b, ordered)
			runCallers(b, 2, func(i int) {
				for {
					_, err := w.Write(context.Background(), note{keys[i%len(keys)], i}, fulcrum.InMemory)
					if err == nil {
						return
					}
					if err := w.Flush(context.Background()); err != nil { // it is full
						b.Error(err)
					}
				}
			})
			b.StartTimer()
			if err := w.Flush(context.Background()); err != nil {
				b.Error(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func nullWriter(b *testing.B, ordered bool) *notes {
	cfg := fulcrum.WriterConfig[note, int]{
		Apply: func(context.Context, *fulcrum.Commit[note, int]) error { return nil },
		Size:  func(note) int { return 256 },
	}
	if ordered {
		cfg.OrderBy = func(n note) string { return n.key }
	}
	w, err := fulcrum.NewWriter(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.Shutdown(context.Background()) })
	return w
}

var keys = func() []string {
	all := make([]string, 100_000)
	for i := range all {
		all[i] = fmt.Sprint("key", i)
	}
	return all
}()
