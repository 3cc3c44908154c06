package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxTraceLines = 20_000_000
	maxTraceLine  = 1 << 16 // bytes
)

// layouts are the times of day that a trace may have, in UTC unless they say
// otherwise. Fractions of a second are understood after any of them.
var layouts = []string{time.DateTime, time.RFC3339, "2006-01-02T15:04:05"}

// readTimes reads a trace of arrivals: the first column of a CSV file, with or
// without a header.
func readTimes(file string) ([]time.Duration, error) {
	var times []time.Duration
	var zero float64 // s
	err := eachLine(file, func(line int, first string) error {
		var at time.Duration
		s, absolute, err := parseTime(first)
		switch {
		case err != nil && line == 1:
			return nil // a header
		case err != nil:
			return err
		case absolute.IsZero():
			at = duration(s * float64(time.Second))
		default:
			at = absolute.Sub(traceEpoch)
		}
		if len(times) == 0 {
			zero = at.Seconds()
		}
		if math.Abs(at.Seconds()-zero) > maxTraceSeconds {
			return fmt.Errorf("%q is more than a year away from the first time", first)
		}
		times = append(times, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(times) < 2 {
		return nil, fmt.Errorf("%s: a trace needs at least two times, one per line", file)
	}
	slices.Sort(times)
	start := times[0]
	for i := range times {
		times[i] -= start
	}
	if times[len(times)-1] == 0 {
		return nil, fmt.Errorf("%s: all times are the same", file)
	}
	return times, nil
}

const maxTraceSeconds = 366 * 24 * 3600

// traceEpoch keeps times of day within the range of a time.Duration.
var traceEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// parseTime understands seconds as a number, or a time of day.
func parseTime(s string) (seconds float64, at time.Time, err error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) && math.Abs(f) < math.MaxInt64/1e9 {
		return f, time.Time{}, nil
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, s); err == nil && math.Abs(float64(at.Year()-traceEpoch.Year())) < 200 {
			return 0, at, nil
		}
	}
	return 0, time.Time{}, fmt.Errorf("%q is neither a number of seconds nor a time such as 2006-01-02 15:04:05.999", s)
}

// readKeys reads a trace of keys: the first column of a CSV file, without a header.
func readKeys(file string) ([]string, error) {
	var keys []string
	err := eachLine(file, func(_ int, first string) error {
		keys = append(keys, first)
		return nil
	})
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("%s: no keys in it, one per line", file)
	}
	return keys, err
}

// eachLine gives f the first column of each line that is not empty.
func eachLine(file string, f func(line int, first string) error) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxTraceLine)
	n := 0
	for lines.Scan() {
		n++
		first, _, _ := strings.Cut(lines.Text(), ",")
		first = strings.Trim(strings.TrimSpace(first), `"`)
		if first == "" {
			continue
		}
		if n > maxTraceLines {
			return fmt.Errorf("%s: more than %d lines", file, maxTraceLines)
		}
		if err := f(n, first); err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:%d: %w", file, n+1, err)
	}
	return nil
}
