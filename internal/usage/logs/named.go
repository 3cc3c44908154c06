package logs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// mapping says which names stand for which field, where users know better.
type mapping map[string]field

func (m mapping) named(name string) field {
	if f, ok := m[name]; ok {
		return f
	}
	f := fieldNamed(name)
	for _, given := range m {
		if given == f || given >= tookSeconds && given <= tookNanos && f >= tookSeconds && f <= tookWeb {
			return unknown // it is another name that users meant
		}
	}
	return f
}

// ltsv reads labelled tab-separated values: label:value<TAB>label:value.
type ltsv struct {
	filler
	names mapping
	known map[string]field
}

func (l *ltsv) parse(line []byte, r *usage.Record) outcome {
	l.begin(r)
	some := false
	for len(line) > 0 {
		var one []byte
		one, line, _ = bytes.Cut(line, []byte("\t"))
		label, value, ok := bytes.Cut(one, []byte(":"))
		if !ok || len(label) > 100 {
			return broken
		}
		f := l.field(label)
		if f == unknown {
			continue
		}
		if !l.set(r, f, value) {
			return broken
		}
		some = true
	}
	l.end(r)
	return usable(some, r)
}

// usable says whether a record has anything to go by.
func usable(some bool, r *usage.Record) outcome {
	if !some || r.Time == usage.NoTime && len(r.Path) == 0 {
		return broken
	}
	return parsed
}

const maxLabels = 1000

func (l *ltsv) field(label []byte) field {
	f, seen := l.known[string(label)]
	if !seen {
		if l.known == nil || len(l.known) > maxLabels {
			l.known = map[string]field{}
		}
		f = l.names.named(string(label))
		l.known[string(label)] = f
	}
	return f
}

// jsonLines reads one JSON object a line. Objects within it have names with points:
// {"http":{"status":200}} is http.status.
type jsonLines struct {
	ltsv
	text []byte
}

const maxNesting = 5

func (j *jsonLines) parse(line []byte, r *usage.Record) outcome {
	j.begin(r)
	if len(line) < 2 || line[0] != '{' {
		return broken
	}
	var object map[string]any
	if json.Unmarshal(line, &object) != nil {
		return broken
	}
	j.text = j.text[:0]
	envoy := object["start_time"] != nil
	some := j.walk(r, "", object, envoy, 0)
	j.end(r)
	return usable(some, r)
}

// walk sets what it knows. What it does not understand, such as a response time of
// "-", is as if it were not there, except for the time.
func (j *jsonLines) walk(r *usage.Record, prefix string, object map[string]any, envoy bool, depth int) (some bool) {
	for name, v := range object {
		if inner, ok := v.(map[string]any); ok {
			if depth < maxNesting {
				some = j.walk(r, prefix+name+".", inner, envoy, depth+1) || some
			}
			continue
		}
		f := j.field([]byte(prefix + name))
		if f == unknown && prefix != "" && len(j.names) == 0 {
			f = j.field([]byte(name))
		}
		if envoy && name == "duration" && f == tookSeconds {
			f = tookMillis
		}
		if text, ok := j.scalar(v); ok && f != unknown {
			some = j.set(r, f, text) || some
		}
	}
	return some
}

// scalar is a value as text, valid until the next line.
func (j *jsonLines) scalar(v any) ([]byte, bool) {
	from := len(j.text)
	switch v := v.(type) {
	case string:
		j.text = append(j.text, v...)
	case float64:
		j.text = strconv.AppendFloat(j.text, v, 'f', -1, 64)
	case bool:
		j.text = strconv.AppendBool(j.text, v)
	default:
		return nil, false
	}
	return j.text[from:len(j.text):len(j.text)], true
}

// w3c reads the extended log format of the W3C, which IIS and CloudFront write. Its
// columns are named in the file, and may change within it.
type w3c struct {
	filler
	names   mapping
	columns []field
}

func (w *w3c) parse(line []byte, r *usage.Record) outcome {
	if len(line) > 0 && line[0] == '#' {
		if names, ok := bytes.CutPrefix(line, []byte("#Fields:")); ok {
			w.columns = w.columns[:0]
			for name := range strings.FieldsSeq(string(names)) {
				f := w.names.named(name)
				if name == "time" {
					f = hourField
				}
				w.columns = append(w.columns, f)
			}
		}
		return passed
	}
	w.begin(r)
	if len(w.columns) == 0 {
		return broken
	}
	separator := []byte(" ")
	if bytes.IndexByte(line, '\t') >= 0 {
		separator = []byte("\t")
	}
	for i, f := range w.columns {
		var v []byte
		var more bool
		v, line, more = bytes.Cut(line, separator)
		if !more && i < len(w.columns)-1 || f != unknown && !w.set(r, f, v) {
			return broken
		}
	}
	w.end(r)
	return usable(true, r)
}
