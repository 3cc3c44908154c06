package logs

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// field is what a named value of a line says.
type field uint8

const (
	unknown   field = iota
	timeField       // when, as a whole
	dateField       // and its two parts
	hourField
	requestField // "GET /path HTTP/1.1"
	pathField
	queryField // behind the path
	statusField
	clientField
	agentField
	abortedField
	flagsField // of Envoy
	timesField
	tookSeconds // in the unit of the name, unless the value has one
	tookMillis
	tookMicros
	tookNanos
	tookWeb // milliseconds, or seconds if there is a point (W3C)
	keyField
)

// aliases are the names that fields have in the wild, in small letters, with _ for
// any sign between words.
var aliases = byName(map[field]string{
	timeField:    "time timestamp ts datetime time_local time_iso8601 msec start_time date_time log_time when arrival t",
	dateField:    "date",
	requestField: "request req",
	pathField:    "path uri url request_uri request_path cs_uri_stem http_path query_text",
	queryField:   "cs_uri_query query_string",
	statusField:  "status status_code code response_code sc_status http_status",
	clientField:  "client client_ip remote_addr remote_host remote_ip host ip c_ip peer downstream_remote_address downstream_remote_address_without_port client_addr",
	agentField:   "user_agent http_user_agent agent ua cs_user_agent",
	abortedField: "aborted client_aborted canceled cancelled",
	flagsField:   "response_flags",
	timesField:   "calls count",
	keyField:     "key",
	tookSeconds:  "response_time request_time duration latency took elapsed reqtime taken_sec upstream_response_time duration_s duration_seconds latency_seconds response_seconds seconds",
	tookMillis:   "duration_ms latency_ms response_time_ms request_time_ms took_ms elapsed_ms reqtime_ms ms responsetime",
	tookMicros:   "duration_us latency_us response_time_us request_time_us took_us elapsed_us reqtime_microsec us",
	tookNanos:    "duration_ns latency_ns took_ns elapsed_ns ns",
	tookWeb:      "time_taken",
})

func byName(names map[field]string) map[string]field {
	fields := map[string]field{}
	for f, all := range names {
		for name := range strings.FieldsSeq(all) {
			fields[name] = f
		}
	}
	return fields
}

// fieldNamed knows a field by its name, however it is spelt.
func fieldNamed(name string) field {
	clean := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name), "_")
	return aliases[clean]
}

// settable are the fields that users map by name.
var settable = map[string]field{
	"time": timeField, "request": requestField, "path": pathField, "key": keyField, "status": statusField, "client": clientField,
	"agent": agentField, "aborted": abortedField, "count": timesField,
	"seconds": tookSeconds, "ms": tookMillis, "us": tookMicros, "ns": tookNanos,
}

// filler fills a record from named values.
type filler struct {
	clock   clock
	path    []byte // path and query, joined
	query   []byte
	date    [10]byte
	hasDate bool
}

// begin clears the record.
func (f *filler) begin(r *usage.Record) {
	*r = usage.Record{Time: usage.NoTime, Took: -1}
	f.query, f.hasDate = nil, false
}

// set takes in a value; false if it is not what such a field can be.
func (f *filler) set(r *usage.Record, what field, v []byte) bool {
	switch what {
	case timeField:
		ns, ok := f.clock.any(v)
		r.Time = ns
		return ok
	case dateField, hourField:
		return f.setPart(r, what, v)
	case requestField:
		r.Path = pathOf(v)
	case pathField, keyField:
		r.Path = v
	case queryField:
		if len(v) > 0 && string(v) != "-" {
			f.query = v
		}
	case clientField:
		if string(v) != "-" {
			r.Client = v
		}
	case agentField:
		if string(v) != "-" {
			r.Agent = v
		}
	case statusField, timesField:
		return setNumber(r, what, v)
	case abortedField:
		r.Aborted = string(v) == "true" || string(v) == "1" || string(v) == "t"
	case flagsField:
		r.Aborted = bytes.Contains(v, []byte("DC")) // the downstream connection was closed
	case tookSeconds, tookMillis, tookMicros, tookNanos, tookWeb:
		return setTook(r, what, v)
	}
	return true
}

// setPart takes in a date or the time of day that belongs to it.
func (f *filler) setPart(r *usage.Record, what field, v []byte) bool {
	if what == dateField {
		if len(v) != 10 {
			return f.set(r, timeField, v) // others call the whole a date
		}
		copy(f.date[:], v)
		f.hasDate = true
		return true
	}
	if !f.hasDate || len(v) < 8 || len(v) > 30 {
		return false
	}
	var whole [48]byte
	ns, ok := f.clock.any(append(append(append(whole[:0], f.date[:]...), ' '), v...))
	r.Time = ns
	return ok
}

func setNumber(r *usage.Record, what field, v []byte) bool {
	if len(v) == 0 || string(v) == "-" {
		return true
	}
	if i := bytes.IndexByte(v, '.'); i > 0 {
		v = v[:i]
	}
	n, ok := integer(v)
	if !ok || n > 1e9 {
		return false
	}
	if what == statusField {
		r.Status = n
	} else if r.Times = n; n == 0 {
		return false
	}
	return true
}

// integer reads up to 18 digits.
func integer(v []byte) (n int, ok bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	for _, c := range v {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

var tookUnits = map[field]float64{tookSeconds: 1e9, tookMillis: 1e6, tookMicros: 1e3, tookNanos: 1, tookWeb: 1e6}

// setTook takes in a duration; "-" means that there is none.
func setTook(r *usage.Record, what field, v []byte) bool {
	if len(v) == 0 || string(v) == "-" {
		return true
	}
	unit := tookUnits[what]
	if what == tookWeb && bytes.IndexByte(v, '.') >= 0 {
		unit = 1e9
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		d, err := time.ParseDuration(string(v))
		r.Took = d
		return err == nil && d >= 0
	}
	if !(x >= 0 && x*unit < math.MaxInt64/2) {
		return false
	}
	r.Took = time.Duration(math.Round(x * unit))
	return true
}

// end joins path and query.
func (f *filler) end(r *usage.Record) {
	if f.query != nil {
		f.path = append(append(append(f.path[:0], r.Path...), '?'), f.query...)
		r.Path = f.path
	}
}

// pathOf is the path of a request line: "GET /path HTTP/1.1". It is empty if there
// is none.
func pathOf(request []byte) []byte {
	i := bytes.IndexByte(request, ' ')
	if i <= 0 || i > 20 {
		return nil
	}
	path := request[i+1:]
	if j := bytes.LastIndexByte(path, ' '); j >= 0 {
		path = path[:j]
	}
	return path
}
