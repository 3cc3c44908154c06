package postgres

import (
	"encoding/binary"
	"strings"

	"github.com/fulcrum-data/fulcrum/store"
)

// A reader reads the rows that a group's statement gives.
type reader struct {
	j    *job
	g    group
	rows int
	tag  string // of a quiet statement's command
}

// row reads one. Its values do not outlive the call.
func (r *reader) row(values [][]byte) error {
	ch, s := r.g.ch, r.j.s
	many := len(r.g.edits) > 1
	last := len(values)
	if r.g.shaped().numbered {
		last--
		r.j.xid = binary.BigEndian.Uint64(values[last])
	}
	created := ch.verb == create || ch.verb == beget
	if ch.tells {
		last--
		created = values[last][0] != 0
	}
	i := r.rows
	r.rows++
	if many && !ch.inOrder() {
		if last--; values[last] == nil {
			return errUnclear
		}
		i = int(binary.BigEndian.Uint64(values[last])) - 1
	}
	if i >= len(r.g.edits) {
		return errUnclear
	}
	e := &r.g.edits[i]
	m := made{done: true, written: store.Written{Key: e.change.Key, Created: created}}
	if ch.returns {
		var err error
		if r.j.out, err = s.read.addOne(r.j.out, &m.at, values[:len(s.read.fields)]); err != nil {
			return err
		}
		values = values[len(s.read.fields):]
	}
	if ch.verb == beget {
		key, err := s.keyOf(values)
		if err != nil {
			return err
		}
		m.written.Key = key
		values = values[len(s.keyShown):]
	}
	if v := s.version; v != nil && ch.verb != remove {
		m.written.Version = v.text(values[0])
	}
	r.j.made[e.i] = m
	return nil
}

// end looks whether a row is missing among those that are told apart by their order.
func (r *reader) end() error {
	if r.g.shaped().quiet && r.tag == "INSERT 0 1" { // otherwise it is missing
		e := &r.g.edits[0]
		r.j.made[e.i] = made{done: true, written: store.Written{Key: e.change.Key}}
	}
	if r.g.ch.inOrder() && r.rows != len(r.g.edits) && len(r.g.edits) > 1 {
		return errUnclear
	}
	return nil
}

// text is a version as the caller sees it.
func (v *versionColumn) text(value []byte) string {
	if value == nil {
		return ""
	}
	return strings.Trim(string(v.show(nil, value)), `"`)
}

// keyOf is the key of a row that the database made one for.
func (s *sheet) keyOf(values [][]byte) (store.Key, error) {
	parts := make([]string, len(s.keyShown))
	for i, k := range s.keyShown {
		part, err := s.columns[s.key[i]].key.partOf(k.show(nil, values[i]))
		if err != nil {
			return "", err
		}
		parts[i] = part
	}
	return store.JoinKey(parts...), nil
}

// addOne appends a row that stands alone.
func (p *plan) addOne(out []byte, at *span, values [][]byte) ([]byte, error) {
	*at = span{}
	return p.add(out, at, values)
}
