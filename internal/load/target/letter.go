package target

import (
	"bytes"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// letter writes requests. Those of a class differ in their key alone, so what is
// around it is written once.
type letter struct {
	*HTTP
	around map[fulcrum.Class][][]byte // nil where the key's place is not clear
	out    bytes.Buffer
}

// holder stands for a key while what is around it is found out.
const holder = "Fulcrum-bench-holds-this-place"

// write returns a request's bytes, which are good until the next.
func (l *letter) write(r *load.Request) ([]byte, error) {
	var class fulcrum.Class
	if l.cfg.Classes {
		class = r.Class
	}
	around, known := l.around[class]
	if !known {
		var err error
		if around, err = l.findAround(r.Class); err != nil {
			return nil, err
		}
		if l.around == nil {
			l.around = map[fulcrum.Class][][]byte{}
		}
		l.around[class] = around
	}
	switch {
	case len(around) == 1:
		return around[0], nil
	case around == nil || !simple(r.Keys[0]):
		return l.whole(r)
	}
	l.out.Reset()
	for i, part := range around {
		if i > 0 {
			l.out.WriteString(r.Keys[0])
		}
		l.out.Write(part)
	}
	return l.out.Bytes(), nil
}

// findAround writes a request with a holder in place of its key.
func (l *letter) findAround(class fulcrum.Class) ([][]byte, error) {
	text, err := l.whole(&load.Request{Keys: []string{holder}, Class: class})
	if err != nil {
		return nil, err
	}
	around := bytes.Split(bytes.Clone(text), []byte(holder))
	if len(around) != 1+strings.Count(l.cfg.URL, keyMark) {
		return nil, nil
	}
	return around, nil
}

// whole leaves the request to net/http.
func (l *letter) whole(r *load.Request) ([]byte, error) {
	req, err := l.request(r)
	if err != nil {
		return nil, err
	}
	l.out.Reset()
	err = req.Write(&l.out)
	return l.out.Bytes(), err
}

// simple says whether a key looks the same in a URL.
func simple(key string) bool {
	for _, c := range []byte(key) {
		if lower := c | 0x20; (lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return key != ""
}
