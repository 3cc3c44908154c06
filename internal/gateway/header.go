package gateway

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// classOf reads Fulcrum-Class.
func classOf(values []string) (fulcrum.Class, error) {
	if len(values) == 0 {
		return fulcrum.ClassNormal, nil
	}
	if len(values) == 1 {
		switch values[0] {
		case "normal":
			return fulcrum.ClassNormal, nil
		case "urgent":
			return fulcrum.ClassUrgent, nil
		case "bulk":
			return fulcrum.ClassBulk, nil
		}
	}
	return 0, fmt.Errorf("Fulcrum-Class %q: want urgent, normal or bulk, once", shorten(values[0]))
}

// timeoutOf reads Fulcrum-Timeout-Ms; without it, the default holds.
func timeoutOf(values []string, standard time.Duration) (time.Duration, error) {
	if len(values) == 0 {
		return standard, nil
	}
	ms, err := strconv.ParseUint(values[0], 10, 32)
	if t := time.Duration(ms) * time.Millisecond; err == nil && len(values) == 1 && t >= minTimeout && t <= maxTimeout {
		return t, nil
	}
	return 0, fmt.Errorf("Fulcrum-Timeout-Ms %q: want milliseconds between 1 and 600000, once", shorten(values[0]))
}

// serverTiming says how the request was served, for the Server-Timing header:
//
//	lane;desc=normal, queue;dur=0.412, batch;desc="n=37", db;dur=1.871, mode;desc=balanced
//	lane;desc=normal, cache;desc=hit, mode;desc=balanced
//
// Durations are in milliseconds. What was not served by one batch (a batchGet, a
// refusal) tells its total instead.
func (x *exchange) serverTiming() string {
	b := append(x.timing[:0], "lane;desc="...)
	switch t := x.trace; {
	case t.Cached:
		b = append(append(b, t.Class.String()...), ", cache;desc=hit"...)
	case t.Keys > 0:
		b = append(b, t.Class.String()...)
		b = appendMillis(append(b, ", queue;dur="...), t.Queued)
		b = strconv.AppendInt(append(b, `, batch;desc="n=`...), int64(t.Keys), 10)
		b = appendMillis(append(b, `", db;dur=`...), t.Service)
	default:
		b = append(b, x.class.String()...)
		total := time.Duration(0)
		if !x.started.IsZero() {
			total = time.Since(x.started)
		}
		b = appendMillis(append(b, ", total;dur="...), total)
	}
	b = append(append(b, ", mode;desc="...), x.g.backend.Mode()...)
	x.timing = b
	return string(b)
}

// appendMillis writes a duration as milliseconds with three decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(0, d.Microseconds())
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}
