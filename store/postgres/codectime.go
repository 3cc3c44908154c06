package postgres

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/fulcrum-data/fulcrum/store"
)

// PostgreSQL counts from the first moment of the year 2000, in UTC.
const (
	epoch     = 946684800 // seconds since 1970
	second    = 1_000_000 // microseconds
	daySecs   = 86_400
	firstYear = 0 // of those that RFC 3339 can write
	lastYear  = 9999
)

// appendTimestamp writes a timestamptz, or a timestamp taken to be in UTC.
func appendTimestamp(dst, src []byte) []byte {
	us := int64(binary.BigEndian.Uint64(src))
	switch us {
	case math.MaxInt64:
		return append(dst, `"infinity"`...)
	case math.MinInt64:
		return append(dst, `"-infinity"`...)
	}
	secs, rest := floorDiv(us, second)
	t := time.Unix(epoch+secs, rest*int64(time.Microsecond)).UTC()
	if y := t.Year(); y >= firstYear && y <= lastYear {
		return store.AppendTime(dst, t)
	}
	dst = appendYear(append(dst, '"'), t.Year())
	return append(t.AppendFormat(dst, "-01-02T15:04:05.999999Z07:00"), '"')
}

func appendDate(dst, src []byte) []byte {
	days := int32(binary.BigEndian.Uint32(src))
	switch days {
	case math.MaxInt32:
		return append(dst, `"infinity"`...)
	case math.MinInt32:
		return append(dst, `"-infinity"`...)
	}
	t := time.Unix(epoch+int64(days)*daySecs, 0).UTC()
	dst = appendYear(append(dst, '"'), t.Year())
	return append(t.AppendFormat(dst, "-01-02"), '"')
}

// appendYear writes at least four digits, with a sign where four are not enough.
func appendYear(dst []byte, year int) []byte {
	switch {
	case year < firstYear:
		dst, year = append(dst, '-'), -year
	case year > lastYear:
		dst = append(dst, '+')
	}
	for limit := 1000; limit > 1 && year < limit; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(year), 10)
}

func appendTime(dst, src []byte) []byte {
	return append(appendClock(append(dst, '"'), int64(binary.BigEndian.Uint64(src))), '"')
}

func appendTimetz(dst, src []byte) []byte {
	dst = appendClock(append(dst, '"'), int64(binary.BigEndian.Uint64(src)))
	west := int32(binary.BigEndian.Uint32(src[8:]))
	if west == 0 {
		return append(dst, 'Z', '"')
	}
	sign := byte('-')
	if west < 0 {
		sign, west = '+', -west
	}
	dst = appendTwo(append(dst, sign), int64(west/3600))
	dst = appendTwo(append(dst, ':'), int64(west/60%60))
	if s := west % 60; s != 0 {
		dst = appendTwo(append(dst, ':'), int64(s))
	}
	return append(dst, '"')
}

// appendClock writes microseconds of a day. The end of a day is 24:00:00.
func appendClock(dst []byte, us int64) []byte {
	secs := us / second
	dst = appendTwo(dst, secs/3600)
	dst = appendTwo(append(dst, ':'), secs/60%60)
	dst = appendTwo(append(dst, ':'), secs%60)
	return appendFraction(dst, us%second)
}

func appendTwo(dst []byte, v int64) []byte {
	return append(dst, '0'+byte(v/10%10), '0'+byte(v%10))
}

// appendFraction writes the part of a second that is not zero.
func appendFraction(dst []byte, us int64) []byte {
	if us == 0 {
		return dst
	}
	dst = append(dst, '.')
	for digit := int64(second / 10); us > 0; digit /= 10 {
		dst = append(dst, '0'+byte(us/digit))
		us %= digit
	}
	return dst
}

// appendInterval writes an ISO 8601 duration. Months, days and time are three
// quantities that do not convert, and each of them has its own sign.
func appendInterval(dst, src []byte) []byte {
	us := int64(binary.BigEndian.Uint64(src))
	days := int64(int32(binary.BigEndian.Uint32(src[8:])))
	months := int64(int32(binary.BigEndian.Uint32(src[12:])))
	switch {
	case us == math.MaxInt64 && days == math.MaxInt32 && months == math.MaxInt32:
		return append(dst, `"infinity"`...)
	case us == math.MinInt64 && days == math.MinInt32 && months == math.MinInt32:
		return append(dst, `"-infinity"`...)
	case us == 0 && days == 0 && months == 0:
		return append(dst, `"PT0S"`...)
	}
	dst = append(dst, '"', 'P')
	dst = appendUnit(dst, months/12, 'Y')
	dst = appendUnit(dst, months%12, 'M')
	dst = appendUnit(dst, days, 'D')
	if us != 0 {
		dst = append(dst, 'T')
		dst = appendUnit(dst, us/(3600*second), 'H')
		dst = appendUnit(dst, us/(60*second)%60, 'M')
		dst = appendSeconds(dst, us%(60*second))
	}
	return append(dst, '"')
}

func appendUnit(dst []byte, v int64, unit byte) []byte {
	if v == 0 {
		return dst
	}
	return append(strconv.AppendInt(dst, v, 10), unit)
}

func appendSeconds(dst []byte, us int64) []byte {
	if us == 0 {
		return dst
	}
	if us < 0 {
		dst, us = append(dst, '-'), -us
	}
	dst = strconv.AppendInt(dst, us/second, 10)
	return append(appendFraction(dst, us%second), 'S')
}

// floorDiv rounds down, so that the rest is not negative.
func floorDiv(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}
