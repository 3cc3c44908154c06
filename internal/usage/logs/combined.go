package logs

import (
	"bytes"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// combined reads the formats common and combined, which Apache and nginx write:
//
//	client ident user [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 1234 "referer" "agent" 0.005
//
// What comes after the bytes may be missing. A number with a point behind the agent
// is taken for nginx's $request_time.
type combined struct{ clock clock }

func (c *combined) parse(line []byte, r *usage.Record) outcome {
	*r = usage.Record{Time: usage.NoTime, Took: -1}
	space := bytes.IndexByte(line, ' ')
	if space <= 0 {
		return broken
	}
	bracket := bytes.IndexByte(line[space:], '[')
	if bracket < 0 {
		return broken
	}
	rest := line[space+bracket+1:]
	if len(rest) < 30 || rest[26] != ']' || rest[28] != '"' {
		return broken
	}
	ns, ok := c.clock.common(rest[:26])
	if !ok {
		return broken
	}
	rest = rest[29:]
	quote := closing(rest)
	if quote < 0 || len(rest) < quote+5 {
		return broken
	}
	status, ok := integer(rest[quote+2 : quote+5])
	if !ok || rest[quote+1] != ' ' {
		return broken
	}
	r.Client, r.Time, r.Path, r.Status = line[:space], ns, pathOf(rest[:quote]), status
	if last := line[len(line)-1]; last != '"' && last != '-' {
		c.took(rest[quote+5:], r)
	}
	return parsed
}

// took reads a duration behind the agent, which must be there.
func (c *combined) took(rest []byte, r *usage.Record) {
	open := bytes.IndexByte(rest, '"')
	if open < 0 {
		return
	}
	referer := closing(rest[open+1:])
	if referer < 0 {
		return
	}
	rest = rest[open+1+referer+1:]
	if len(rest) < 2 || rest[0] != ' ' || rest[1] != '"' {
		return
	}
	agent := closing(rest[2:])
	if agent < 0 {
		return
	}
	number, _, _ := bytes.Cut(bytes.TrimLeft(rest[2+agent+1:], " "), []byte(" "))
	if bytes.IndexByte(number, '.') > 0 && setTook(r, tookSeconds, number) {
		r.Agent = rest[2 : 2+agent]
	}
}

// closing is where a quoted text ends: at the first quote without a \ before it.
func closing(text []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], '"')
		if i < 0 {
			return -1
		}
		i += from
		slashes := 0
		for i-slashes > 0 && text[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		from = i + 1
	}
}

// openstack reads requests from the logs of OpenStack's APIs; all other lines of
// theirs are passed over.
//
//	file 2017-05-16 00:00:00.008 25746 INFO nova… [req-…] 10.11.10.1 "GET /path HTTP/1.1" status: 200 len: 1893 time: 0.2477829
type openstack struct{ clock clock }

var (
	statusMark = []byte(`" status: `)
	timeMark   = []byte(" time: ")
)

func (o *openstack) parse(line []byte, r *usage.Record) outcome {
	*r = usage.Record{Time: usage.NoTime, Took: -1}
	mark := bytes.Index(line, statusMark)
	if mark < 0 {
		return broken
	}
	open := bytes.LastIndexByte(line[:mark], '"')
	status, _, _ := bytes.Cut(line[mark+len(statusMark):], []byte(" "))
	took := bytes.LastIndex(line, timeMark)
	if open < 1 || took < mark {
		return broken
	}
	if !setNumber(r, statusField, status) || !setTook(r, tookSeconds, bytes.TrimRight(line[took+len(timeMark):], " ")) {
		return broken
	}
	r.Path = pathOf(line[open+1 : mark])
	before := bytes.TrimRight(line[:open], " ")
	r.Client = before[bytes.LastIndexByte(before, ' ')+1:]
	for skipped := 0; skipped < 2; skipped++ { // the file's name may come first
		if len(line) >= 23 {
			if ns, ok := o.clock.any(line[:23]); ok && line[4] == '-' {
				r.Time = ns
				return parsed
			}
		}
		_, line, _ = bytes.Cut(line, []byte(" "))
	}
	return broken
}
