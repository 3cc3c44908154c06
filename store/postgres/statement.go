package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fulcrum-data/fulcrum/store"
)

// A verb is what a statement does.
type verb uint8

const (
	upsert verb = iota // makes the row, or replaces it
	create             // makes the row if it is not there
	beget              // makes a row whose key, or a part of it, the database makes
	update             // changes the row if it is there
	remove             // takes it away
)

// A kind is what changes have in common that one statement makes.
type kind struct {
	verb      verb
	set       columnSet
	ifVersion bool
	returns   bool
	tells     bool // of an upsert, whether the row was created
}

// A change is how changes of a kind are made: one with scalar parameters, many with
// one array for each of them.
type change struct {
	kind
	sheet     *sheet
	columns   []int // that are set
	one, many shaped
}

// shaped is a statement with what comes back for each row: the visible columns if
// asked for, the key if the database makes it, the version, the position, whether the
// row was created, and the transaction's number where it is of use.
type shaped struct {
	statement
	formats  []int16
	types    []uint32
	numbered bool // the transaction's number comes too
	quiet    bool // nothing comes back but how many rows were made
}

const xid8OID = 5069

// maxKinds is how many kinds are remembered, and have prepared statements. Callers
// choose the columns that a patch or an insert names; those with a new set for every
// change shall not fill the server's memory.
const maxKinds = 64

// usual are the kinds that a resource is most likely asked for; opening tries them.
func (s *sheet) usual() []kind {
	kinds := []kind{{verb: upsert, set: s.all}, {verb: upsert, set: s.all, tells: true}, {verb: create, set: s.all}, {verb: remove}}
	if len(s.body) > 0 {
		kinds = append(kinds, kind{verb: update, set: s.all, ifVersion: s.version != nil, returns: true})
	}
	return kinds
}

// kindOf gives the statements of a kind.
func (s *sheet) kindOf(k kind) *change {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.kinds[k]
	if ch != nil {
		return ch
	}
	ch = &change{kind: k, sheet: s}
	for i := range s.columns {
		if k.set.has(i) {
			ch.columns = append(ch.columns, i)
		}
	}
	ch.one = ch.shape(false)
	ch.many = ch.shape(true)
	if len(s.kinds) < maxKinds {
		s.kinds[k] = ch
	} else {
		ch.one.name, ch.many.name = "", ""
	}
	return ch
}

// prepare gives the statement of a connection, and makes sure that what comes back
// is still of the types that the sheet knows how to read.
func (st *shaped) prepare(ctx context.Context, c *pgx.Conn) (*pgconn.StatementDescription, error) {
	sd, err := c.Prepare(ctx, st.name, st.sql)
	if err != nil || reads(sd, st.types) {
		return sd, err
	}
	if err := c.Deallocate(ctx, st.name); err != nil { // it may be older than the sheet
		return nil, err
	}
	if sd, err = c.Prepare(ctx, st.name, st.sql); err == nil && !reads(sd, st.types) {
		err = errSchemaChanged
	}
	return sd, err
}

func reads(sd *pgconn.StatementDescription, types []uint32) bool {
	return slices.EqualFunc(sd.Fields, types, func(f pgconn.FieldDescription, oid uint32) bool { return f.DataTypeOID == oid })
}

// inOrder says whether many rows come back in the order in which they were sent, and
// none is missing. The others tell their position.
func (ch *change) inOrder() bool { return ch.verb == upsert || ch.verb == beget }

// hasKey says whether the statement is told keys.
func (ch *change) hasKey() bool { return ch.verb != beget }

func (ch *change) shape(many bool) shaped {
	w := &sqlWriter{ch: ch, many: many}
	s := shaped{}
	p := ch.sheet.read
	if ch.returns {
		for _, name := range p.names {
			w.gives = append(w.gives, "t."+quote(name))
		}
		s.formats, s.types = append(s.formats, p.formats[:len(p.fields)]...), append(s.types, p.types...)
	}
	if ch.verb == beget {
		for _, k := range ch.sheet.keyShown {
			w.gives = append(w.gives, "t."+quote(k.name))
			s.formats, s.types = append(s.formats, k.format), append(s.types, k.oid)
		}
	}
	if v := ch.sheet.version; v != nil {
		w.gives = append(w.gives, "t."+quote(v.name))
		s.formats, s.types = append(s.formats, v.format), append(s.types, v.oid)
	}
	var last []string
	add := func(expr string, oid uint32) {
		last = append(last, expr)
		s.formats, s.types = append(s.formats, binaryFormat), append(s.types, oid)
	}
	if many && !ch.inOrder() {
		add("k.i", pgtype.Int8OID)
	}
	s.quiet = !many && ch.verb == upsert && !ch.tells && len(s.types) == 0
	if ch.verb == upsert && ch.tells {
		add(ch.sheet.created, pgtype.BoolOID)
	}
	// The number of a lone row's transaction would come with the answer to its commit, too
	// late to ask what became of that.
	if s.numbered = many || len(s.types) == 0 && !s.quiet; s.numbered {
		add("pg_catalog.pg_current_xact_id()", xid8OID)
	}
	s.statement = newStatement(w.write(last))
	return s
}

// sqlWriter writes the statements of a kind.
type sqlWriter struct {
	ch    *change
	many  bool
	gives []string // of the row
	n     int      // parameters so far
	types []string // of the arrays
	names []string // of their columns
}

func (w *sqlWriter) write(last []string) string {
	switch w.ch.verb {
	case update:
		return w.updateSQL(last)
	case remove:
		return w.removeSQL(last)
	case create:
		if w.many {
			return w.createManySQL(last)
		}
	}
	return w.insertSQL(last)
}

// value is the next parameter: an array's column, or a scalar.
func (w *sqlWriter) value(prefix, array, typ string) string {
	w.n++
	if !w.many {
		return fmt.Sprintf("$%d::%s", w.n, typ)
	}
	name := fmt.Sprintf("%s%d", prefix, w.n)
	w.types = append(w.types, fmt.Sprintf("$%d::%s[]", w.n, array))
	w.names = append(w.names, name)
	if array == typ {
		return "k." + name
	}
	return fmt.Sprintf("k.%s::%s", name, typ)
}

// keys are the values of the key columns.
func (w *sqlWriter) keys() []string {
	var values []string
	for _, i := range w.ch.sheet.key {
		c := w.ch.sheet.columns[i]
		values = append(values, w.value("k", c.keyArray(), c.typ))
	}
	return values
}

// sets are the values of the columns that are set.
func (w *sqlWriter) sets() []string {
	var values []string
	for _, i := range w.ch.columns {
		c := w.ch.sheet.columns[i]
		values = append(values, w.value("c", c.array(), c.typ))
	}
	return values
}

// source is the table of the arrays, with the position of each row if somebody asks.
func (w *sqlWriter) source() string {
	if w.ch.inOrder() {
		return fmt.Sprintf("unnest(%s) as k(%s)", strings.Join(w.types, ", "), strings.Join(w.names, ", "))
	}
	return fmt.Sprintf("unnest(%s) with ordinality as k(%s, i)", strings.Join(w.types, ", "), strings.Join(w.names, ", "))
}

func (w *sqlWriter) returning(last []string) string {
	if len(w.gives)+len(last) == 0 {
		return ""
	}
	return " returning " + strings.Join(slices.Concat(w.gives, last), ", ")
}

// target is the table with the columns that an insert names, and their values.
func (w *sqlWriter) target() (into string, values []string) {
	s := w.ch.sheet
	var names []string
	if w.ch.hasKey() {
		values = w.keys()
		names = append(names, s.names(s.key)...)
	}
	values = append(values, w.sets()...)
	names = append(names, s.names(w.ch.columns)...)
	if s.version != nil {
		values, names = append(values, s.version.first), append(names, quote(s.version.name))
	}
	if len(names) == 0 {
		return fmt.Sprintf("insert into %s as t default values", s.table), nil
	}
	overriding := ""
	if s.identity && w.ch.hasKey() {
		overriding = " overriding system value"
	}
	return fmt.Sprintf("insert into %s as t (%s)%s", s.table, strings.Join(names, ", "), overriding), values
}

func (w *sqlWriter) insertSQL(last []string) string {
	sql, values := w.target()
	switch {
	case values == nil:
	case w.many && w.n > 0:
		sql += fmt.Sprintf(" select %s from %s", strings.Join(values, ", "), w.source())
	default:
		sql += fmt.Sprintf(" values (%s)", strings.Join(values, ", "))
	}
	return sql + w.conflict() + w.returning(last)
}

func (w *sqlWriter) conflict() string {
	s := w.ch.sheet
	keys := strings.Join(s.names(s.key), ", ")
	switch w.ch.verb {
	case create:
		return fmt.Sprintf(" on conflict (%s) do nothing", keys)
	case upsert:
		columns := w.ch.columns
		if len(columns) == 0 {
			columns = s.key[:1]
		}
		var terms []string
		for _, name := range s.names(columns) {
			terms = append(terms, fmt.Sprintf("%s = excluded.%s", name, name))
		}
		return fmt.Sprintf(" on conflict (%s) do update set %s", keys, strings.Join(w.raise(terms), ", "))
	}
	return ""
}

// raise changes the version too.
func (w *sqlWriter) raise(terms []string) []string {
	if v := w.ch.sheet.version; v != nil {
		terms = append(terms, quote(v.name)+" = "+v.next)
	}
	return terms
}

// createManySQL finds the positions of the rows that were made by their keys, which
// the database compares.
func (w *sqlWriter) createManySQL(last []string) string {
	sql, values := w.target()
	s := w.ch.sheet
	var inner, outer, same []string
	for i, expr := range w.gives {
		inner = append(inner, fmt.Sprintf("%s as r%d", expr, i+1))
		outer = append(outer, fmt.Sprintf("n.r%d", i+1))
	}
	for i, name := range s.names(s.key) {
		inner = append(inner, fmt.Sprintf("t.%s as q%d", name, i+1))
		same = append(same, fmt.Sprintf("n.q%d = %s", i+1, values[i]))
	}
	return fmt.Sprintf("with k as materialized (select * from %s), n as (%s select %s from k%s returning %s) select %s from n left join k on %s",
		w.source(), sql, strings.Join(values, ", "), w.conflict(), strings.Join(inner, ", "),
		strings.Join(slices.Concat(outer, last), ", "), strings.Join(same, " and "))
}

// where finds the row, if it has the version that it must have.
func (w *sqlWriter) where(keys []string) string {
	var terms []string
	for i, name := range w.ch.sheet.names(w.ch.sheet.key) {
		terms = append(terms, fmt.Sprintf("t.%s = %s", name, keys[i]))
	}
	if w.ch.ifVersion {
		v := w.ch.sheet.version
		terms = append(terms, fmt.Sprintf("t.%s = %s", quote(v.name), w.value("v", "text", v.cast)))
	}
	return " where " + strings.Join(terms, " and ")
}

func (w *sqlWriter) updateSQL(last []string) string {
	keys, values := w.keys(), w.sets()
	var terms []string
	for i, name := range w.ch.sheet.names(w.ch.columns) {
		terms = append(terms, name+" = "+values[i])
	}
	where := w.where(keys)
	from := ""
	if w.many {
		from = " from " + w.source()
	}
	return fmt.Sprintf("update %s as t set %s%s%s", w.ch.sheet.table, strings.Join(w.raise(terms), ", "), from, where) + w.returning(last)
}

func (w *sqlWriter) removeSQL(last []string) string {
	where := w.where(w.keys())
	using := ""
	if w.many {
		using = " using " + w.source()
	}
	return fmt.Sprintf("delete from %s as t%s%s", w.ch.sheet.table, using, where) + w.returning(last)
}

// names are those of columns, quoted.
func (s *sheet) names(columns []int) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(s.columns[c].name)
	}
	return names
}

// array is the type of an element of the array in which values travel.
func (c *writeColumn) array() string {
	if c.elem == pgtype.TextOID {
		return "text"
	}
	return c.typ
}

// keyArray is that of the array in which keys travel.
func (c *writeColumn) keyArray() string {
	if c.key.send == nil {
		return "text"
	}
	return c.typ
}

func (c *writeColumn) keyCast() string {
	if c.key.send == nil {
		return "::" + c.typ
	}
	return ""
}

// arguments puts the parameters of some edits of the kind together.
func (ch *change) arguments(p *parameters, edits []edit) error {
	p.reset()
	many := len(edits) > 1
	put := func(elem uint32, binary bool, each func(dst []byte, e *edit) ([]byte, bool, error)) error {
		format := textFormat
		if binary || many {
			format = binaryFormat
		}
		var err error
		if many {
			p.buf, err = appendArray(p.buf, elem, edits, each)
		} else {
			var null bool
			p.buf, null, err = each(p.buf, &edits[0])
			if null {
				p.nulls = append(p.nulls, len(p.ends))
			}
		}
		p.done(format)
		return err
	}
	if err := ch.putAll(put); err != nil {
		return err
	}
	p.slice()
	return nil
}

type putFunc func(elem uint32, binary bool, each func(dst []byte, e *edit) ([]byte, bool, error)) error

// putAll calls put for each parameter in turn.
func (ch *change) putAll(put putFunc) error {
	s := ch.sheet
	if ch.hasKey() {
		for n, i := range s.key {
			k := s.columns[i].key
			elem := k.elem
			if k.send == nil {
				elem = pgtype.TextOID
			}
			err := put(elem, k.send != nil, func(dst []byte, e *edit) ([]byte, bool, error) {
				dst, err := k.value(dst, e.parts[n])
				return dst, false, err
			})
			if err != nil {
				return err
			}
		}
	}
	for _, i := range ch.columns {
		c := &s.columns[i]
		err := put(c.elem, c.elem != pgtype.TextOID || c.typ == "text", func(dst []byte, e *edit) ([]byte, bool, error) {
			v := e.values[i]
			if v[0] == 'n' {
				return dst, true, nil
			}
			dst, want := c.wire(dst, v)
			if want != "" {
				return dst, false, &store.BodyError{Column: c.name, Problem: "want " + want}
			}
			return dst, false, nil
		})
		if err != nil {
			return err
		}
	}
	if !ch.ifVersion {
		return nil
	}
	return put(pgtype.TextOID, false, func(dst []byte, e *edit) ([]byte, bool, error) {
		return append(dst, e.version...), false, nil
	})
}
