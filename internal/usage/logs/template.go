package logs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// template reads lines of a format that is given as nginx ($remote_addr), Envoy
// (%START_TIME%) or Apache (%h) write theirs.
type template struct {
	filler
	parts []part
}

// part is a field with the text behind it.
type part struct {
	field  field
	name   string
	behind []byte
}

const envoyDefault = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %REQ(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%"`

// newTemplate understands a format string; its error says what is wrong with it.
func newTemplate(format string) (*template, error) {
	var t template
	literal := []byte{}
	for rest := format; rest != ""; {
		name, n := variable(rest)
		if n == 0 {
			literal = append(literal, rest[0])
			rest = rest[1:]
			continue
		}
		if len(t.parts) > 0 && len(literal) == 0 {
			return nil, fmt.Errorf("nothing separates %s from %s", t.parts[len(t.parts)-1].name, name)
		}
		t.bind(literal)
		t.parts = append(t.parts, part{field: variableField(name), name: name})
		literal, rest = literal[:0], rest[n:]
	}
	t.bind(literal)
	for _, p := range t.parts {
		if p.field == timeField || p.field == pathField || p.field == requestField {
			return &t, nil
		}
	}
	return nil, errors.New("it has neither a time nor a path: want a format such as '$remote_addr [$time_local] \"$request\" $status $request_time', or Envoy's or Apache's")
}

// bind puts a text behind the last field; one before the first stands behind a field
// that is not there.
func (t *template) bind(literal []byte) {
	if len(t.parts) == 0 {
		if len(literal) > 0 {
			t.parts = append(t.parts, part{name: "the start", behind: bytes.Clone(literal)})
		}
		return
	}
	t.parts[len(t.parts)-1].behind = bytes.Clone(literal)
}

// variable is the name of the variable that a text begins with, and its length.
func variable(s string) (name string, n int) {
	switch {
	case strings.HasPrefix(s, "${"):
		if i := strings.IndexByte(s, '}'); i > 2 {
			return s[2:i], i + 1
		}
	case s[0] == '$':
		for n = 1; n < len(s) && (isLetter(s[n]) || s[n] == '_' || s[n]-'0' <= 9); n++ {
		}
		if n > 1 {
			return s[1:n], n
		}
	case s[0] == '%':
		return percent(s)
	}
	return "", 0
}

// percent is a variable of Envoy, %NAME(…)%, or of Apache, %>s and %{Referer}i.
func percent(s string) (name string, n int) {
	if i := strings.IndexByte(s[1:], '%'); i > 1 && s[1] >= 'A' && s[1] <= 'Z' && s[2] >= 'A' && s[2] <= 'Z' {
		return s[1 : i+1], i + 2
	}
	n = 1
	for n < len(s) && (s[n] == '>' || s[n] == '<') {
		n++
	}
	if n < len(s) && s[n] == '{' {
		i := strings.IndexByte(s[n:], '}')
		if i < 0 {
			return "", 0
		}
		n += i + 1
	}
	if n < len(s) && isLetter(s[n]) {
		return s[1 : n+1], n + 1
	}
	return "", 0
}

func isLetter(c byte) bool { return c|32 >= 'a' && c|32 <= 'z' }

var apacheFields = map[string]field{
	"h": clientField, "a": clientField, "t": timeField, "r": requestField, "U": pathField, "s": statusField, ">s": statusField, "<s": statusField,
	"D": tookMicros, "T": tookSeconds, "{ms}T": tookMillis, "{us}T": tookMicros, "{User-Agent}i": agentField,
	"START_TIME": timeField, "RESPONSE_CODE": statusField, "RESPONSE_FLAGS": flagsField, "DURATION": tookMillis,
	"REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": pathField, "REQ(:PATH)": pathField, "REQ(USER-AGENT)": agentField,
	"DOWNSTREAM_REMOTE_ADDRESS": clientField, "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": clientField,
}

func variableField(name string) field {
	if f, ok := apacheFields[name]; ok {
		return f
	}
	if strings.HasPrefix(name, "START_TIME(") {
		return timeField
	}
	if strings.HasPrefix(name, "upstream_") {
		return unknown // a list, where there were several
	}
	return fieldNamed(name)
}

func (t *template) parse(line []byte, r *usage.Record) outcome {
	t.begin(r)
	for i, p := range t.parts {
		value := line
		switch {
		case i == 0 && p.field == unknown && p.name == "the start":
			if !bytes.HasPrefix(line, p.behind) {
				return broken
			}
			line = line[len(p.behind):]
			continue
		case len(p.behind) == 0:
			line = nil
		default:
			end := p.end(line)
			if end < 0 {
				return broken
			}
			value, line = line[:end], line[end+len(p.behind):]
		}
		if p.field != unknown && !t.set(r, p.field, value) {
			return broken
		}
	}
	t.end(r)
	return usable(true, r)
}

// leastBytes are lengths of values in which there is a space.
var leastBytes = map[string]int{"time_local": 26, "t": 28}

// end is where the field's value ends: before the text behind it. One between quotes
// ends at the first that has no \ before it.
func (p *part) end(line []byte) int {
	if p.behind[0] == '"' {
		if end := closing(line); end >= 0 && bytes.HasPrefix(line[end:], p.behind) {
			return end
		}
		return -1
	}
	from := min(leastBytes[p.name], len(line))
	if end := bytes.Index(line[from:], p.behind); end >= 0 {
		return from + end
	}
	return -1
}
