package target

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// reading is an answer of HTTP/1.1 that arrives in pieces. It judges as [wire] does:
// heads are read by net/http's own parser, unless they are as plain as most are.
type reading struct {
	answer
	begun bool        // something has come
	head  []byte      // what has come of a head that is not whole
	frame bodyReading // nil as long as the head is not whole
	keep  bool        // the connection may be used again
}

// reset makes it ready for the next answer.
func (r *reading) reset() { *r = reading{head: r.head[:0]} }

var getRequest = &http.Request{Method: http.MethodGet}

// feed takes what has come, and how the connection ended or nil. It is done when
// the answer is whole or can no longer become so.
func (r *reading) feed(data []byte, end error) (done bool, err error) {
	if len(data) > 0 && !r.begun {
		r.begun = true
		r.first = time.Now()
	}
	if !r.begun {
		return end != nil, hungUp(end)
	}
	if r.frame == nil {
		if data, err = r.takeHead(data, end); r.frame == nil || err != nil {
			return err != nil, err
		}
	}
	rest, whole, err := r.frame.take(data)
	if err == nil && !whole && end != nil {
		whole, err = true, r.frame.end(end)
	}
	switch {
	case err != nil:
		r.body = err
	case !whole:
		return false, nil
	}
	r.keep = r.keep && err == nil && len(rest) == 0 && end == nil
	return true, nil
}

// takeHead reads the head and returns what follows it; the body stays nil as long
// as the head is not whole.
func (r *reading) takeHead(data []byte, end error) (rest []byte, err error) {
	rest = data
	if len(r.head) > 0 {
		r.head = append(r.head, data...)
		rest = r.head
	}
	for r.frame == nil {
		h, n, err := readHead(rest, end)
		switch {
		case err != nil:
			return nil, fmt.Errorf("not an answer: %w", plain(err))
		case n == 0 && len(rest) > mostHead:
			return nil, fmt.Errorf("not an answer: a head of over %d bytes", mostHead)
		case n == 0:
			r.head = append(r.head[:0], rest...)
			return nil, nil
		}
		rest = rest[n:]
		if h.code >= http.StatusOK || h.code == http.StatusSwitchingProtocols {
			r.status, r.code, r.frame, r.keep = h.status, h.code, h.body, h.keep
		}
	}
	return rest, nil
}

const mostHead = 1 << 20 // bytes

// head is what matters of one.
type head struct {
	status string // as far as it is needed: from 400
	code   int
	body   bodyReading
	keep   bool
}

// readHead reads a head and says how long it is, 0 if it is not whole. An end says
// that no more will come.
func readHead(b []byte, end error) (h head, n int, err error) {
	if h, n = plainHead(b); n > 0 {
		return h, n, nil
	}
	if end == nil { // net/http takes a part of a line for a line
		end, b = errMore, b[:bytes.LastIndexByte(b, '\n')+1]
	}
	raw := &partReader{b, end}
	in := bufio.NewReader(raw)
	res, err := http.ReadResponse(in, getRequest)
	if errors.Is(err, errMore) {
		return h, 0, nil
	}
	if err != nil {
		return h, 0, err
	}
	defer res.Body.Close() // which has not been read
	h = head{status: res.Status, code: res.StatusCode, keep: !res.Close && res.StatusCode != http.StatusSwitchingProtocols}
	switch {
	case res.ContentLength >= 0:
		h.body = &lengthBody{res.ContentLength}
	case slices.Contains(res.TransferEncoding, "chunked"):
		h.body = new(chunkedBody)
	default:
		h.body = untilClosed{}
	}
	return h, len(b) - len(raw.left) - in.Buffered(), nil
}

var errMore = errors.New("there may be more")

// partReader reads what there is, and then fails.
type partReader struct {
	left []byte
	end  error
}

// Read reads what is left.
func (r *partReader) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, r.end
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

const (
	plainStart  = "HTTP/1.1 "
	lengthField = "Content-Length"
)

// plainHead reads a head that is whole and leaves nothing to interpret: a status
// that has a body, fields on a line each, one length, and nothing that says where
// the answer ends or what becomes of the connection. All others are net/http's.
func plainHead(b []byte) (h head, n int) {
	line, rest, ok := plainLine(b)
	if !ok || len(line) < len(plainStart)+4 || string(line[:len(plainStart)]) != plainStart || line[len(plainStart)+3] != ' ' {
		return h, 0
	}
	status := line[len(plainStart):]
	code, ok := decimal(status[:3])
	if !ok || code < 200 || code == http.StatusNoContent || code == http.StatusNotModified {
		return h, 0
	}
	length := int64(-1)
	for {
		if line, rest, ok = plainLine(rest); !ok {
			return h, 0
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(": "))
		switch {
		case !ok || !plainName(name) || special(name):
			return h, 0
		case len(name) == len(lengthField) && strings.EqualFold(string(name), lengthField):
			l, ok := decimal(value)
			if !ok || length >= 0 {
				return h, 0
			}
			length = l
		}
	}
	if length < 0 {
		return h, 0
	}
	h = head{code: int(code), body: &lengthBody{length}, keep: true}
	if code >= http.StatusBadRequest {
		h.status = string(status)
	}
	return h, len(b) - len(rest)
}

// plainLine cuts a line of printable ASCII from b.
func plainLine(b []byte) (line, rest []byte, ok bool) {
	at := bytes.IndexByte(b, '\n')
	if at < 1 || b[at-1] != '\r' {
		return nil, nil, false
	}
	for _, c := range b[:at-1] {
		if c < ' ' || c > '~' {
			return nil, nil, false
		}
	}
	return b[:at-1], b[at+1:], true
}

func plainName(name []byte) bool {
	for _, c := range name {
		if lower := c | 0x20; (lower < 'a' || lower > 'z') && c != '-' {
			return false
		}
	}
	return len(name) > 0
}

// special says whether a field may say how the answer ends.
func special(name []byte) bool {
	switch len(name) {
	case len("Connection"):
		return strings.EqualFold(string(name), "Connection")
	case len("Transfer-Encoding"):
		return strings.EqualFold(string(name), "Transfer-Encoding")
	case len("Trailer"):
		return strings.EqualFold(string(name), "Trailer")
	}
	return false
}

// decimal is a number of up to 18 digits.
func decimal(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0 && len(b) <= 18
}

// hungUpInBody is how a connection ended within a body.
func hungUpInBody(end error) error {
	if errors.Is(end, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return end
}
