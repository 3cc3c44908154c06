package store

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep the values of a body may be nested.
const maxDepth = 100

// ReadObject reads a JSON object and calls field with each of its names, decoded, and
// values, as they stand there. It is stricter than encoding/json: what follows the
// object, invalid UTF-8, half of a surrogate pair and deep nesting are errors, for a
// database would refuse or change them. A name may come twice; field must look. Its
// errors are *BodyError, or what field returns.
func ReadObject(body []byte, field func(name, value []byte) error) error {
	s := scanner{text: body}
	s.space()
	if s.peek() != '{' {
		return s.wrong("want a JSON object")
	}
	var name []byte
	err := s.object(1, func(quoted, value []byte) error {
		name = AppendUnquoted(name[:0], quoted)
		return field(name, value)
	})
	if err != nil {
		return err
	}
	if s.space(); s.at < len(s.text) {
		return s.wrong("something follows the object")
	}
	return nil
}

// ReadArray calls element with each value of a JSON array, as ReadObject does.
func ReadArray(text []byte, element func(value []byte) error) error {
	s := scanner{text: text}
	s.space()
	if s.peek() != '[' {
		return s.wrong("want a JSON array")
	}
	if err := s.array(1, element); err != nil {
		return err
	}
	if s.space(); s.at < len(s.text) {
		return s.wrong("something follows the array")
	}
	return nil
}

// AppendUnquoted appends what a JSON string says. The string must be one that
// ReadObject has found right.
func AppendUnquoted(dst, quoted []byte) []byte {
	text := quoted[1 : len(quoted)-1]
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		c := text[i+1]
		text = text[i+2:]
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(text)
			text = text[4:]
			if utf16.IsSurrogate(r) {
				low, _ := hex4(text[2:])
				r, text = utf16.DecodeRune(r, low), text[6:]
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
}

func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// A scanner walks over JSON text without making anything of it.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) wrong(problem string) error {
	return &BodyError{Problem: fmt.Sprintf("%s at byte %d", problem, s.at)}
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) object(depth int, member func(name, value []byte) error) error {
	return s.list(depth, '}', func() error {
		if s.peek() != '"' {
			return s.wrong("want a name in quotes")
		}
		name, err := s.value(depth)
		if err != nil {
			return err
		}
		if s.space(); s.peek() != ':' {
			return s.wrong("want a colon")
		}
		s.at++
		s.space()
		value, err := s.value(depth)
		if err != nil || member == nil {
			return err
		}
		return member(name, value)
	})
}

func (s *scanner) array(depth int, element func(value []byte) error) error {
	return s.list(depth, ']', func() error {
		value, err := s.value(depth)
		if err != nil || element == nil {
			return err
		}
		return element(value)
	})
}

// list walks over what stands between two brackets.
func (s *scanner) list(depth int, end byte, item func() error) error {
	if depth > maxDepth {
		return s.wrong("nested too deep")
	}
	s.at++
	if s.space(); s.peek() == end {
		s.at++
		return nil
	}
	for {
		s.space()
		if err := item(); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
		case end:
			s.at++
			return nil
		default:
			return s.wrong("want a comma or " + string(end))
		}
	}
}

// value walks over any value and returns its text.
func (s *scanner) value(depth int) ([]byte, error) {
	start := s.at
	var err error
	switch c := s.peek(); {
	case c == '"':
		err = s.quoted()
	case c == '{':
		err = s.object(depth+1, nil)
	case c == '[':
		err = s.array(depth+1, nil)
	case c == '-' || '0' <= c && c <= '9':
		err = s.number()
	default:
		err = s.word()
	}
	return s.text[start:s.at], err
}

func (s *scanner) word() error {
	for _, w := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.text[s.at:], []byte(w)) {
			s.at += len(w)
			return nil
		}
	}
	return s.wrong("want a JSON value")
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return s.wrong("want a digit")
	}
	if s.peek() == '.' {
		if s.at++; !s.digits() {
			return s.wrong("want a digit")
		}
	}
	if s.peek()|0x20 == 'e' {
		if s.at++; s.peek() == '+' || s.peek() == '-' {
			s.at++
		}
		if !s.digits() {
			return s.wrong("want a digit")
		}
	}
	return nil
}

// digits walks over at least one.
func (s *scanner) digits() bool {
	start := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > start
}

// quoted walks over a string.
func (s *scanner) quoted() error {
	start := s.at + 1
	for s.at = start; ; {
		if s.plain(); s.at >= len(s.text) {
			return s.wrong("a string does not end")
		}
		switch s.text[s.at] {
		case '"':
			if !utf8.Valid(s.text[start:s.at]) {
				return s.wrong("a string is not UTF-8")
			}
			s.at++
			return nil
		case '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			return s.wrong("a control character is not escaped")
		}
	}
}

// plain walks over what stands for itself in a string.
func (s *scanner) plain() {
	text, i := s.text, s.at
	for i < len(text) && text[i] != '"' && text[i] != '\\' && text[i] >= ' ' {
		i++
	}
	s.at = i
}

func (s *scanner) escape() error {
	s.at++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
		s.at++
		r, ok := hex4(s.text[s.at:])
		if !ok {
			return s.wrong("want four hexadecimal digits")
		}
		s.at += 4
		if !utf16.IsSurrogate(r) {
			return nil
		}
		if bytes.HasPrefix(s.text[s.at:], []byte(`\u`)) {
			if low, ok := hex4(s.text[s.at+2:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				s.at += 6
				return nil
			}
		}
		return s.wrong("half of a surrogate pair")
	}
	return s.wrong("no such escape")
}
