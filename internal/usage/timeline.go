package usage

import (
	"maps"
	"slices"
	"time"
)

const (
	chunkSeconds = 3600
	second       = int64(time.Second)
)

// windows are the lengths, in seconds, at which peak and burst are told.
var windows = [...]int{1, 10, 60}

// chunk counts the requests in each second of an hour.
type chunk [chunkSeconds]uint32

// timeline counts requests per second from the first one on, in whatever order
// they come. An hour that would be one too many is added up and forgotten.
type timeline struct {
	maxHours int
	begun    bool
	start    int64 // ns: of the first request seen, where second 0 begins
	chunks   map[int64]*chunk
	lastID   int64
	last     *chunk

	folded     [len(windows)]moments
	from, to   int64 // first and last second with a request
	hourly     [7 * 24]uint64
	forgotten  int64 // hours before this one are gone
	late       uint64
	foldedInto func(id int64, c *chunk)
}

// moments add up counts per window; windows without a request are added at the end.
type moments struct {
	sum, squares float64
	most         uint64
}

func (m *moments) add(n uint64) {
	m.sum += float64(n)
	m.squares += float64(n) * float64(n)
	m.most = max(m.most, n)
}

// drop takes a window's count out again, but not out of the peak.
func (m *moments) drop(n uint64) {
	m.sum -= float64(n)
	m.squares -= float64(n) * float64(n)
}

// dispersion is the variance of n windows' counts by their mean: 1 for a Poisson
// process, more for bursts.
func (m *moments) dispersion(n float64) (float64, bool) {
	if n < 2 || m.sum == 0 {
		return 0, false
	}
	mean := m.sum / n
	return (m.squares/n - mean*mean) / mean, true
}

func (l *timeline) add(at int64, n int) {
	if !l.begun {
		l.begun, l.start, l.forgotten = true, at, NoTime
		l.chunks = map[int64]*chunk{}
	}
	s := floorDiv(at-l.start, second)
	id := floorDiv(s, chunkSeconds)
	if l.last == nil || id != l.lastID {
		if id < l.forgotten {
			l.late += uint64(n)
			return
		}
		l.open(id)
	}
	l.from, l.to = min(l.from, s), max(l.to, s)
	l.last[s-id*chunkSeconds] += uint32(n)
}

func (l *timeline) open(id int64) {
	c := l.chunks[id]
	if c == nil {
		if len(l.chunks) >= l.maxHours {
			oldest := slices.Min(slices.Collect(maps.Keys(l.chunks)))
			if oldest < id {
				l.fold(oldest, l.chunks[oldest], &l.folded, &l.hourly)
				if l.foldedInto != nil {
					l.foldedInto(oldest, l.chunks[oldest])
				}
				delete(l.chunks, oldest)
				l.forgotten = oldest + 1
			}
		}
		c = new(chunk)
		l.chunks[id] = c
	}
	l.lastID, l.last = id, c
}

// fold adds an hour up.
func (l *timeline) fold(id int64, c *chunk, into *[len(windows)]moments, hourly *[7 * 24]uint64) {
	for i, w := range windows {
		for from := 0; from < chunkSeconds; from += w {
			var n uint64
			for _, k := range c[from : from+w] {
				n += uint64(k)
			}
			if n > 0 {
				into[i].add(n)
			}
		}
	}
	const week = 7 * 24
	for s, n := range c {
		if n > 0 {
			hour := floorDiv(l.start/second+id*chunkSeconds+int64(s), 3600) + 3*24 // 1970 began on a Thursday
			hourly[(hour%week+week)%week] += uint64(n)
		}
	}
}

// shape is what the timeline says.
type shape struct {
	most       [len(windows)]uint64
	dispersion [len(windows)]*float64
	seconds    int64          // from the first to the last request
	hourly     [7 * 24]uint64 // requests in each hour of the week, UTC, from Monday
}

func (l *timeline) shape() shape {
	if !l.begun {
		return shape{}
	}
	all, hourly := l.folded, l.hourly
	for id, c := range l.chunks {
		l.fold(id, c, &all, &hourly)
	}
	s := shape{seconds: l.to - l.from + 1, hourly: hourly}
	for i, w := range windows {
		s.most[i] = all[i].most
		first, last := floorDiv(l.from, int64(w)), floorDiv(l.to, int64(w))
		n := last - first + 1
		if n > 2 { // windows that are not whole would pass for a lull
			if (l.to+1)%int64(w) != 0 {
				all[i].drop(l.within(last*int64(w), w))
				n--
			}
			if l.from%int64(w) != 0 {
				all[i].drop(l.within(first*int64(w), w))
				n--
			}
		}
		if d, ok := all[i].dispersion(float64(n)); ok {
			s.dispersion[i] = &d
		}
	}
	return s
}

// within is how many requests a window has, if its hour is kept.
func (l *timeline) within(from int64, length int) (n uint64) {
	id := floorDiv(from, chunkSeconds)
	c := l.chunks[id]
	if c == nil {
		return 0
	}
	at := int(from - id*chunkSeconds)
	for _, k := range c[at : at+length] {
		n += uint64(k)
	}
	return n
}

// eachSecond tells the seconds with requests that are kept, in order.
func (l *timeline) eachSecond(f func(at int64, n uint32)) {
	for _, id := range slices.Sorted(maps.Keys(l.chunks)) {
		l.secondsOf(id, l.chunks[id], f)
	}
}

func (l *timeline) secondsOf(id int64, c *chunk, f func(at int64, n uint32)) {
	for s, n := range c {
		if n > 0 {
			f(l.start+(id*chunkSeconds+int64(s))*second, n)
		}
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
