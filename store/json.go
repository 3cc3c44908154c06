package store

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxExact is the largest integer up to which a float64 holds every integer.
// JSON readers that know no other number would silently change larger ones.
const maxExact = 1 << 53

// Fields are the texts that stand before each value of a row: `{"id":` before the
// first, `,"name":` before the others. A } ends the row.
func Fields(columns []string) [][]byte {
	fields := make([][]byte, len(columns))
	for i, c := range columns {
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		fields[i] = append(AppendText([]byte{open}, c), ':')
	}
	return fields
}

// AppendNull appends null.
func AppendNull(b []byte) []byte { return append(b, "null"...) }

// AppendBool appends true or false.
func AppendBool(b []byte, v bool) []byte { return strconv.AppendBool(b, v) }

// AppendInt appends an integer; beyond ±2^53 as a string, because many readers of
// JSON would round it.
func AppendInt(b []byte, v int64) []byte {
	if -maxExact <= v && v <= maxExact {
		return strconv.AppendInt(b, v, 10)
	}
	b = append(b, '"')
	b = strconv.AppendInt(b, v, 10)
	return append(b, '"')
}

// AppendUint is AppendInt for unsigned integers.
func AppendUint(b []byte, v uint64) []byte {
	if v <= maxExact {
		return strconv.AppendUint(b, v, 10)
	}
	b = append(b, '"')
	b = strconv.AppendUint(b, v, 10)
	return append(b, '"')
}

// AppendFloat appends the shortest number that reads back as v; "NaN",
// "Infinity" and "-Infinity", which JSON has no numbers for, as strings.
func AppendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

// AppendBytes appends bytes as a string in base64 with padding.
func AppendBytes(b, v []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, v)
	return append(b, '"')
}

// AppendTime appends a time in RFC 3339 with its zone and as many digits of the
// second as it has.
func AppendTime(b []byte, v time.Time) []byte {
	b = append(b, '"')
	b = v.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// AppendRaw appends what is JSON already; the caller vouches for it.
func AppendRaw(b, v []byte) []byte { return append(b, v...) }

const hexDigits = "0123456789abcdef"

// AppendText appends a string. What is not UTF-8 becomes U+FFFD.
func AppendText[T string | []byte](b []byte, v T) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(v); {
		if c := v[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, v[start:i]...)
			b = appendEscaped(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(v[i:min(i+utf8.UTFMax, len(v))]))
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, v[start:i]...)
			b = append(b, "\ufffd"...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // line ends to a script, not to JSON
			b = append(b, v[start:i]...)
			b = append(b, `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	b = append(b, v[start:]...)
	return append(b, '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
