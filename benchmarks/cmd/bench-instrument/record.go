package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// replay sends a recorded trace and looks at when its requests arrive.
func replay(out io.Writer) (bool, error) {
	file := filepath.Join(os.Getenv("FULCRUM_DATA"), "azure_llm_conv.csv")
	if _, err := os.Stat(file); err != nil {
		fmt.Fprintf(out, "\n## A trace\n\nNot replayed: FULCRUM_DATA names no folder with azure_llm_conv.csv.\n")
		return true, nil
	}
	fmt.Fprint(out, "\n## A trace\n\nArrivals of azure_llm_conv.csv as they reach a target in this process. Wanted: the variation of the gaps (CV) within 2 % of the recorded one.\n\n"+
		"| speed | for | arrivals | recorded CV | CV | |\n|---|---|---|---|---|---|\n")
	met := true
	for _, c := range []struct {
		speed string
		time  time.Duration
	}{{"1", 30 * time.Second}, {"10", 30 * time.Second}} {
		a, err := load.ParseArrivals("trace:" + file + "@" + c.speed)
		if err != nil {
			return false, err
		}
		var want []time.Duration
		next := a.Schedule(0, 1, 0)
		for due, more := next(); more && due < c.time; due, more = next() {
			want = append(want, due)
		}
		var mu sync.Mutex
		var came []time.Duration
		begin := time.Now()
		_, err = load.Run(context.Background(), load.Config{Arrivals: a, Duration: c.time, Target: load.CallerFunc(func(context.Context, *load.Request) error {
			mu.Lock()
			defer mu.Unlock()
			came = append(came, time.Since(begin))
			return nil
		})})
		if err != nil {
			return false, err
		}
		recorded, got := variation(want), variation(came)
		is := len(came) == len(want) && math.Abs(got/recorded-1) <= .02
		met = met && is
		fmt.Fprintf(out, "| %s× | %s | %d | %.4f | %.4f | %s |\n", c.speed, c.time, len(came), recorded, got, verdict(is))
	}
	return met, nil
}

// variation is the coefficient of variation of the gaps.
func variation(times []time.Duration) float64 {
	slices.Sort(times)
	sum, squares, n := 0., 0., float64(len(times)-1)
	for i := range len(times) - 1 {
		gap := float64(times[i+1] - times[i])
		sum += gap
		squares += gap * gap
	}
	mean := sum / n
	return math.Sqrt(squares/n-mean*mean) / mean
}

// histogram records from two goroutines.
func histogram(out io.Writer) (bool, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var values [1024]time.Duration // an array, so that % costs nothing
	for i := range values {
		values[i] = time.Duration(2e6 * math.Exp(.5*rand.NormFloat64()))
	}
	best, allocs := math.Inf(1), int64(0)
	for range 3 {
		h := hist.New()
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(values)); pb.Next(); i++ {
					h.Record(values[i%len(values)])
				}
			})
		})
		best, allocs = min(best, float64(r.T)/float64(r.N)), max(allocs, r.AllocsPerOp())
	}
	is := best <= 12 && allocs == 0
	fmt.Fprintf(out, "\n## The histogram\n\nRecording from two goroutines in parallel: %.1f ns, %d allocations (wanted: at most 12 ns and none): %s. Best of three.\n", best, allocs, verdict(is))
	return is, nil
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}
