package faultproxy

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// message is the size of one in the benchmarks, bytes: about that of a
// prepared point query and of its answer.
const message = 128

// BenchmarkDelay measures how far the proxy's round trip is from what it was
// asked for: quantile through the proxy − median without it − Delay. "paced"
// sends every 250 µs without waiting for answers, "pingpong" waits.
func BenchmarkDelay(b *testing.B) {
	target := echo(b)
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		b.Run(fmt.Sprintf("pingpong/%v", delay), func(b *testing.B) {
			reportError(b, target, delay, pingPong)
		})
		b.Run(fmt.Sprintf("paced/%v", delay), func(b *testing.B) {
			reportError(b, target, delay, paced)
		})
	}
}

func reportError(b *testing.B, target string, delay time.Duration, measure func(testing.TB, string, int) []time.Duration) {
	const direct = 2000
	base := quantile(measure(b, target, direct), 0.5)
	p := start(b, target, Options{Delay: delay})
	b.ResetTimer()
	got := measure(b, p.Addr(), b.N)
	for _, q := range []float64{0.5, 0.99} {
		added := quantile(got, q) - base - delay
		b.ReportMetric(float64(added.Nanoseconds())/1e3, fmt.Sprintf("p%.0f-error-µs", q*100))
	}
	b.ReportMetric(float64(base.Nanoseconds())/1e3, "direct-p50-µs")
}

// quantile is the smallest value that a share q of all does not exceed.
func quantile(v []time.Duration, q float64) time.Duration {
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// pingPong sends a message and waits for its echo, n times.
func pingPong(tb testing.TB, addr string, n int) []time.Duration {
	conn := dial(tb, addr)
	buf := make([]byte, message)
	took := make([]time.Duration, 0, n)
	for range n {
		sent := time.Now()
		if _, err := conn.Write(buf); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			tb.Fatal(err)
		}
		took = append(took, time.Since(sent))
	}
	return took
}

// paced sends n messages every 250 µs and takes the time of each echo.
func paced(tb testing.TB, addr string, n int) []time.Duration {
	const every = 250 * time.Microsecond
	conn := dial(tb, addr)
	begin := time.Now()
	failed := make(chan error, 1)
	go func() { failed <- sendPaced(conn, begin, every, n) }()
	took := make([]time.Duration, 0, n)
	buf := make([]byte, message)
	for range n {
		if _, err := io.ReadFull(conn, buf); err != nil {
			tb.Fatal(err)
		}
		sent := time.Duration(binary.BigEndian.Uint64(buf))
		took = append(took, time.Since(begin)-sent)
	}
	if err := <-failed; err != nil {
		tb.Fatal(err)
	}
	return took
}

func sendPaced(conn net.Conn, begin time.Time, every time.Duration, n int) error {
	tick, err := newAlarm()
	if err != nil {
		return err
	}
	defer tick.close()
	buf := make([]byte, message)
	for i := range n {
		tick.wait(begin.Add(time.Duration(i) * every))
		binary.BigEndian.PutUint64(buf, uint64(time.Since(begin)))
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkThroughput pushes data one way.
func BenchmarkThroughput(b *testing.B) {
	target := discard(b)
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			p := start(b, target, Options{Delay: delay})
			conn := dial(b, p.Addr())
			buf := make([]byte, 64<<10)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := conn.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			if err := conn.CloseWrite(); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadAll(conn); err != nil { // the target has it all
				b.Fatal(err)
			}
		})
	}
}
