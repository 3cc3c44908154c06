package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Arrivals say when requests are due. The zero value is a Poisson process.
type Arrivals struct {
	kind  arrivalKind
	size  int             // of a burst
	trace []time.Duration // since the first arrival, in rising order
	speed float64         // of the trace: 10 makes its gaps a tenth
	spec  string
}

type arrivalKind uint8

const (
	poisson arrivalKind = iota
	constant
	bursts
	replay
)

const (
	maxBurst = 1_000_000
	maxSpeed = 1_000_000
)

// ParseArrivals reads what --arrivals takes:
//
//	poisson            independent requests: exponential gaps
//	constant           equal gaps
//	bursts:N           N at the same moment, the moments a Poisson process
//	trace:FILE[@SPEED] as recorded, or SPEED times as fast; FILE has a time per line
func ParseArrivals(spec string) (Arrivals, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	switch {
	case spec == "poisson":
		return Arrivals{kind: poisson, spec: spec}, nil
	case spec == "constant":
		return Arrivals{kind: constant, spec: spec}, nil
	case kind == "bursts":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 1 || n > maxBurst {
			return Arrivals{}, fmt.Errorf("bursts:N: %q is not a number from 1 to %d", rest, maxBurst)
		}
		return Arrivals{kind: bursts, size: n, spec: spec}, nil
	case kind == "trace":
		return traceArrivals(spec, rest)
	}
	return Arrivals{}, fmt.Errorf("%q: want poisson, constant, bursts:N or trace:FILE[@SPEED]", spec)
}

func traceArrivals(spec, rest string) (Arrivals, error) {
	file, speed := rest, 1.0
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		s, err := strconv.ParseFloat(strings.TrimSuffix(rest[at+1:], "x"), 64)
		if err != nil || !(s > 0) || s > maxSpeed {
			return Arrivals{}, fmt.Errorf("trace:FILE@SPEED: %q is not a positive number up to %d", rest[at+1:], maxSpeed)
		}
		file, speed = rest[:at], s
	}
	if file == "" {
		return Arrivals{}, fmt.Errorf("trace:FILE[@SPEED]: the file's name is missing")
	}
	times, err := readTimes(file)
	if err != nil {
		return Arrivals{}, err
	}
	return Arrivals{kind: replay, trace: times, speed: speed, spec: spec}, nil
}

// String is the text it was read from.
func (a Arrivals) String() string {
	if a.spec == "" {
		return "poisson"
	}
	return a.spec
}

// Trace reports whether the due times are recorded ones, so that there is no rate
// to choose.
func (a Arrivals) Trace() bool { return a.kind == replay }

// Span is how long a trace takes at its speed; 0 if it is none.
func (a Arrivals) Span() time.Duration {
	if a.kind != replay {
		return 0
	}
	return a.scaled(len(a.trace)-1) + 1 // the last one is in
}

// Rate is a trace's mean rate in arrivals per second, at its speed; 0 if it is none.
func (a Arrivals) Rate() float64 {
	if a.kind != replay {
		return 0
	}
	return float64(len(a.trace)) / a.Span().Seconds()
}

func (a Arrivals) scaled(i int) time.Duration {
	return time.Duration(float64(a.trace[i]) / a.speed)
}

// A Schedule gives the next due time since the start, in rising order, and false
// when a trace has ended.
type Schedule func() (due time.Duration, ok bool)

// Schedule makes the due times of requests of so many keys each, at a mean rate in
// keys per second. The same seed gives the same times. Of a trace, whose rate is
// its own, every chunk-th arrival is used.
func (a Arrivals) Schedule(rate float64, chunk int, seed uint64) Schedule {
	gap := float64(time.Second) * float64(chunk) / rate
	switch a.kind {
	case constant:
		return constantSchedule(gap)
	case bursts:
		return poissonSchedule(gap, a.size, seed)
	case replay:
		return a.replaySchedule(chunk)
	}
	return poissonSchedule(gap, 1, seed)
}

func constantSchedule(gap float64) Schedule {
	n := -1.0
	return func() (time.Duration, bool) {
		n++
		return duration(n * gap), true
	}
}

// poissonSchedule has exponential gaps between groups of size.
func poissonSchedule(gap float64, size int, seed uint64) Schedule {
	rnd := rand.New(rand.NewPCG(seed, 0x61727269))
	at, left := 0.0, 0
	return func() (time.Duration, bool) {
		if left == 0 {
			at += rnd.ExpFloat64() * gap * float64(size)
			left = size
		}
		left--
		return duration(at), true
	}
}

func (a Arrivals) replaySchedule(chunk int) Schedule {
	i := -chunk
	return func() (time.Duration, bool) {
		i += chunk
		if i >= len(a.trace) {
			return 0, false
		}
		return a.scaled(i), true
	}
}

// duration converts without overflow: what lies beyond is never due.
func duration(ns float64) time.Duration {
	if !(ns < math.MaxInt64) {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
