package logs

import (
	"math"
	"strconv"
	"time"
)

// clock reads times. Neighbouring lines mostly share their hour, which it remembers.
type clock struct {
	hour [14]byte // "17/May/2015:10" or "2015-05-17 10": as text
	zone [6]byte
	base int64 // s since 1970 of that hour
}

// common reads "17/May/2015:10:05:03 +0000".
func (c *clock) common(t []byte) (ns int64, ok bool) {
	if len(t) != 26 || t[14] != ':' || t[17] != ':' || t[20] != ' ' {
		return 0, false
	}
	m, ok1 := two(t[15], t[16])
	s, ok2 := two(t[18], t[19])
	if !ok1 || !ok2 || m > 59 || s > 60 {
		return 0, false
	}
	if [14]byte(t[:14]) != c.hour || [6]byte(t[20:]) != c.zone {
		at, err := time.Parse("02/Jan/2006:15 -0700", string(t[:14])+string(t[20:]))
		if err != nil || !inRange(at) {
			return 0, false
		}
		c.hour, c.zone, c.base = [14]byte(t[:14]), [6]byte(t[20:]), at.Unix()
	}
	return (c.base + int64(m*60+s)) * 1e9, true
}

// two is a number of two digits.
func two(a, b byte) (int, bool) {
	return int(a-'0')*10 + int(b-'0'), a-'0' <= 9 && b-'0' <= 9
}

// inRange keeps times, and what is added to them, within int64 nanoseconds.
func inRange(t time.Time) bool { return t.Year() >= 1900 && t.Year() < 2250 }

// any reads what times in logs look like: those of common logs, ISO 8601 and RFC 3339
// with or without a zone (UTC then), or a number since 1970 in seconds, ms, µs or ns.
func (c *clock) any(t []byte) (ns int64, ok bool) {
	if n := len(t); n > 2 && t[0] == '[' && t[n-1] == ']' {
		t = t[1 : n-1]
	}
	if ns, ok := c.common(t); ok {
		return ns, true
	}
	if len(t) >= 19 && t[4] == '-' && t[7] == '-' {
		return c.iso(t)
	}
	return sinceEpoch(t)
}

// iso reads "2015-05-17 10:05:03", with T or a space, a fraction and a zone.
func (c *clock) iso(t []byte) (ns int64, ok bool) {
	if t[10] != 'T' && t[10] != ' ' || t[13] != ':' || t[16] != ':' {
		return 0, false
	}
	m, ok1 := two(t[14], t[15])
	s, ok2 := two(t[17], t[18])
	if !ok1 || !ok2 || m > 59 || s > 60 {
		return 0, false
	}
	var hour [14]byte
	copy(hour[:], t[:13])
	if hour != c.hour || c.zone != [6]byte{} {
		at, err := time.Parse("2006-01-02 15", string(t[:10])+" "+string(t[11:13]))
		if err != nil || !inRange(at) {
			return 0, false
		}
		c.hour, c.zone, c.base = hour, [6]byte{}, at.Unix()
	}
	ns = (c.base + int64(m*60+s)) * 1e9
	rest := t[19:]
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		unit, i := int64(1e8), 1
		for ; i < len(rest) && rest[i]-'0' <= 9; i++ {
			ns += int64(rest[i]-'0') * unit
			unit /= 10
		}
		rest = rest[i:]
	}
	offset, ok := zoneOffset(rest)
	return ns - offset*1e9, ok
}

// zoneOffset reads "", "Z", "+09:00", "+0900", "+09" and " UTC" as seconds.
func zoneOffset(z []byte) (s int64, ok bool) {
	for len(z) > 0 && z[0] == ' ' {
		z = z[1:]
	}
	switch string(z) {
	case "", "Z", "UTC", "GMT":
		return 0, true
	}
	if len(z) < 3 || z[0] != '+' && z[0] != '-' {
		return 0, false
	}
	h, ok := two(z[1], z[2])
	m, rest := 0, z[3:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	if len(rest) == 2 {
		var digits bool
		m, digits = two(rest[0], rest[1])
		ok = ok && digits
	} else if len(rest) != 0 {
		return 0, false
	}
	s = int64(h*3600 + m*60)
	if z[0] == '-' {
		s = -s
	}
	return s, ok
}

// sinceEpoch reads a number, whose size says its unit. Small numbers are seconds from
// some start.
func sinceEpoch(t []byte) (ns int64, ok bool) {
	if len(t) == 0 || len(t) > 30 {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(t), 10, 64); err == nil {
		switch { // up to the year 2255, whatever the unit
		case n < -9e9:
			return 0, false
		case n < 9e9:
			return n * 1e9, true
		case n < 9e12:
			return n * 1e6, true
		case n < 9e15:
			return n * 1e3, true
		}
		return n, true
	}
	f, err := strconv.ParseFloat(string(t), 64)
	switch {
	case err != nil || !(f > -9e9 && f < 9e12):
		return 0, false
	case f >= 9e9:
		f /= 1e3
	}
	whole, part := math.Modf(f)
	return int64(whole)*1e9 + int64(math.Round(part*1e6))*1e3, true
}
