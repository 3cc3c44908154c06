package usage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// A KeyTemplate says what of a path is the key. The zero value takes all of it.
type KeyTemplate struct {
	auto     bool
	segments []string // "{key}" and "*" among them
	param    string   // instead, the key is this parameter's value
}

// ParseKeyTemplate understands "" (the whole path with its query), "auto" (up to and
// including the first segment with a digit), "/users/{key}/*", where * stands for one
// segment, and "/users?id={key}".
func ParseKeyTemplate(s string) (KeyTemplate, error) {
	if s == "" {
		return KeyTemplate{}, nil
	}
	if s == "auto" {
		return KeyTemplate{auto: true}, nil
	}
	path, query, hasQuery := strings.Cut(s, "?")
	if !strings.HasPrefix(path, "/") || strings.Count(s, "{key}") != 1 {
		return KeyTemplate{}, fmt.Errorf("%q: want auto, or a path with one {key} in it, such as /users/{key} or /users?id={key}", s)
	}
	t := KeyTemplate{segments: strings.Split(path[1:], "/")}
	for _, g := range t.segments {
		if strings.Contains(g, "{key}") && g != "{key}" {
			return KeyTemplate{}, fmt.Errorf("%q: {key} must be a whole segment", s)
		}
	}
	if hasQuery {
		name, value, _ := strings.Cut(query, "=")
		if value != "{key}" || name == "" {
			return KeyTemplate{}, errors.New("after ? want name={key}")
		}
		t.param = name
	}
	return t, nil
}

// key is the part of a path that says what is asked for, in scratch if it is not in
// one piece; false if the path does not fit.
func (t *KeyTemplate) key(path, scratch []byte) ([]byte, bool) {
	switch {
	case t.auto:
		return autoKey(path), true
	case t.segments == nil:
		return path, true
	}
	plain, query, _ := bytes.Cut(path, []byte("?"))
	end, ok := t.match(plain)
	if !ok || t.param == "" {
		return plain[:end], ok
	}
	for len(query) > 0 {
		var one []byte
		one, query, _ = bytes.Cut(query, []byte("&"))
		if name, value, _ := bytes.Cut(one, []byte("=")); string(name) == t.param {
			return append(append(append(scratch[:0], plain...), '?'), value...), true
		}
	}
	return nil, false
}

// match returns where the key ends in a path.
func (t *KeyTemplate) match(path []byte) (end int, ok bool) {
	at := 0
	for i, want := range t.segments {
		if at >= len(path) || path[at] != '/' {
			return 0, false
		}
		at++
		n := bytes.IndexByte(path[at:], '/')
		if n < 0 {
			n = len(path) - at
		}
		segment := path[at : at+n]
		at += n
		switch {
		case want == "{key}":
			end, ok = at, n > 0
		case want != "*" && string(segment) != want:
			return 0, false
		}
		if i == len(t.segments)-1 && at != len(path) {
			return 0, false
		}
	}
	if t.param != "" {
		return at, true
	}
	return end, ok
}

// autoKey is a path up to and including its first segment with a digit; without one,
// the path without its query.
func autoKey(path []byte) []byte {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	digit := false
	for i, c := range path {
		if c == '/' && digit {
			return path[:i]
		}
		digit = digit || c >= '0' && c <= '9'
	}
	return path
}

// asksForMany says whether a path names several keys: a list in its query.
func asksForMany(path []byte) bool {
	i := bytes.IndexByte(path, '?')
	if i < 0 {
		return bytes.HasSuffix(path, []byte(":batchGet"))
	}
	query := path[i:]
	return bytes.IndexByte(query, ',') >= 0 || bytes.Contains(query, []byte("%2C")) || bytes.Contains(query, []byte("[]="))
}
