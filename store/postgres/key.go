package postgres

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fulcrum-data/fulcrum/store"
)

// A keyColumn knows how to read and send the values of one key column.
type keyColumn struct {
	store.KeyColumn
	elem  uint32                                     // the type of an element of the array that is sent
	parse func(part string) (canonical, want string) // want is empty if the part is right
	// send appends a canonical part in binary format; nil sends it as text.
	send func(dst []byte, part string) ([]byte, error)
}

// keyColumnOf is the key column of a type of the relation.
func (k *checked) keyColumnOf(c column) (keyColumn, error) {
	t := k.relation.underlying(c.typ)
	col := keyColumn{KeyColumn: store.KeyColumn{Name: c.name, Type: store.KeyText}, elem: t.oid}
	switch t.oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		col.Type = store.KeyInt
		col.Bits = map[uint32]int{pgtype.Int2OID: 16, pgtype.Int4OID: 32, pgtype.Int8OID: 64}[t.oid]
		col.send = col.sendInt
	case pgtype.UUIDOID:
		col.Type, col.send = store.KeyUUID, sendUUID
	case pgtype.ByteaOID:
		col.Type, col.send = store.KeyBytes, sendBytes
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID:
		col.parse, col.send = plainText, sendText
	default:
		switch {
		case t.kind == 'e':
			col.parse, col.send = oneOf(t.labels), sendText
		case t.short == "citext":
			col.parse, col.send = plainText, sendText
		case texts[t.oid] != nil:
			col.parse = texts[t.oid]
		default:
			return col, wrong(k.Resource, "key", "column %q is of type %s, which cannot be a key: take an integer, text, uuid, bytea, boolean, date, timestamp, number, inet or enum", c.name, t.name)
		}
	}
	return col, nil
}

// canonical checks a part of a key. Its error is a *store.KeyError.
func (c keyColumn) canonical(part string) (string, error) {
	if c.parse == nil {
		return c.Parse(part)
	}
	text, want := c.parse(part)
	if want != "" {
		return "", &store.KeyError{Column: c.Name, Value: part, Want: want}
	}
	return text, nil
}

func (c keyColumn) format() int16 {
	if c.send != nil {
		return binaryFormat
	}
	return textFormat
}

// value appends a part as a parameter of the plain query.
func (c keyColumn) value(dst []byte, part string) ([]byte, error) {
	if c.send != nil {
		return c.send(dst, part)
	}
	return append(dst, part...), nil
}

func (c keyColumn) sendInt(dst []byte, part string) ([]byte, error) {
	v, err := c.Int(part)
	switch c.Bits {
	case 16:
		dst = binary.BigEndian.AppendUint16(dst, uint16(v))
	case 32:
		dst = binary.BigEndian.AppendUint32(dst, uint32(v))
	default:
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst, err
}

func sendText(dst []byte, part string) ([]byte, error) { return append(dst, part...), nil }

func sendUUID(dst []byte, part string) ([]byte, error) {
	return hex.AppendDecode(dst, []byte(strings.ReplaceAll(part, "-", "")))
}

func sendBytes(dst []byte, part string) ([]byte, error) {
	return base64.RawURLEncoding.AppendDecode(dst, []byte(part))
}

// plainText takes what PostgreSQL can store.
func plainText(part string) (canonical, want string) {
	if strings.ContainsRune(part, 0) || strings.ToValidUTF8(part, "") != part {
		return "", store.KeyText.String() + " without NUL"
	}
	return part, ""
}

func oneOf(labels []string) func(string) (string, string) {
	return func(part string) (canonical, want string) {
		if !slices.Contains(labels, part) {
			return "", "one of " + strings.Join(labels, ", ")
		}
		return part, ""
	}
}

// texts read the key types that travel to the database as text.
var texts = map[uint32]func(string) (string, string){
	pgtype.BoolOID: oneOf([]string{"true", "false"}),
	pgtype.DateOID: func(part string) (string, string) {
		t, err := time.Parse(time.DateOnly, part)
		return parsed(err == nil && t.Year() > 0, part, "a date such as 2024-02-29")
	},
	pgtype.TimestamptzOID: func(part string) (string, string) { return instant(part, time.RFC3339Nano) },
	pgtype.TimestampOID:   func(part string) (string, string) { return instant(part, "2006-01-02T15:04:05.999999") },
	pgtype.NumericOID: func(part string) (string, string) {
		return parsed(number.MatchString(part), part, "a number such as 12.50")
	},
	pgtype.Float4OID: func(part string) (string, string) { return float(part, 32) },
	pgtype.Float8OID: func(part string) (string, string) { return float(part, 64) },
	pgtype.InetOID:   func(part string) (string, string) { return network(part, false) },
	pgtype.CIDROID:   func(part string) (string, string) { return network(part, true) },
}

func parsed(ok bool, canonical, want string) (string, string) {
	if !ok {
		return "", want
	}
	return canonical, ""
}

// number is what numeric takes: more digits than it holds would be an error of
// the database's.
var number = regexp.MustCompile(`^-?[0-9]{1,1000}(\.[0-9]{1,1000})?$`)

// instant is a moment to the microsecond, in UTC. One in a zone is understood for
// either type, for that is how a row shows it.
func instant(part, layout string) (string, string) {
	t, err := time.Parse(time.RFC3339Nano, part)
	if err != nil {
		t, err = time.Parse(layout, part)
	}
	t = t.UTC()
	ok := err == nil && t.Year() > firstYear && t.Year() <= lastYear && t.Nanosecond()%int(time.Microsecond) == 0
	return parsed(ok, t.Format(time.RFC3339Nano), "a time such as 2024-02-29T12:30:00.5Z")
}

func float(part string, bits int) (string, string) {
	v, err := strconv.ParseFloat(part, bits)
	ok := err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) && number.MatchString(strings.TrimSuffix(part, "e"))
	if err == nil && !ok { // with an exponent, or one of the three that are no numbers
		ok = exponent.MatchString(part) || slices.Contains([]string{"NaN", "Infinity", "-Infinity"}, part)
	}
	return parsed(ok, part, "a number such as 1.5 or 1e-9")
}

var exponent = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+$`)

func network(part string, cidr bool) (string, string) {
	const want = "an address such as 192.0.2.1, or a network such as 192.0.2.0/24"
	if a, err := netip.ParseAddr(part); err == nil {
		return parsed(a.Zone() == "", part, want)
	}
	p, err := netip.ParsePrefix(part)
	return parsed(err == nil && (!cidr || p == p.Masked()), part, want)
}

// parameters are the keys of one call on their way to the database: for each key
// column one value, or an array with one element for each key.
type parameters struct {
	buf     []byte
	ends    []int
	values  [][]byte
	formats []int16
	nulls   []int // values that are null
}

func (p *parameters) reset() {
	if p.buf == nil {
		p.buf = make([]byte, 0, 64) // an empty value is not null
	}
	p.buf, p.ends, p.values, p.formats, p.nulls = p.buf[:0], p.ends[:0], p.values[:0], p.formats[:0], p.nulls[:0]
}

// done marks the end of one parameter.
func (p *parameters) done(format int16) {
	p.ends = append(p.ends, len(p.buf))
	p.formats = append(p.formats, format)
}

// slice gives the parameters once none is missing: until then the buffer moves.
func (p *parameters) slice() {
	from := 0
	for _, end := range p.ends {
		p.values = append(p.values, p.buf[from:end:end])
		from = end
	}
	for _, i := range p.nulls {
		p.values[i] = nil
	}
}

// one sends a single key.
func (p *parameters) one(columns []keyColumn, key store.Key) error {
	p.reset()
	if len(columns) == 1 && columns[0].Type == store.KeyInt { // nothing to decode
		var err error
		p.buf, err = columns[0].send(p.buf, string(key))
		if err != nil {
			return err
		}
		p.done(binaryFormat)
		p.slice()
		return nil
	}
	parts, err := store.SplitKey(key, len(columns))
	if err != nil {
		return err
	}
	for i, c := range columns {
		if p.buf, err = c.value(p.buf, parts[i]); err != nil {
			return fmt.Errorf("postgres: key %q: %w", key, err)
		}
		p.done(c.format())
	}
	p.slice()
	return nil
}

// arrays sends many keys. A key that cannot be one goes as null, which equals
// nothing, and fail is told.
func (p *parameters) arrays(columns []keyColumn, keys []store.Key, fail func(i int, err error)) {
	p.reset()
	var split [][]string
	single := len(columns) == 1 && columns[0].Type == store.KeyInt
	if !single {
		split = make([][]string, len(keys))
		for i, key := range keys {
			parts, err := store.SplitKey(key, len(columns))
			if err != nil {
				fail(i, err)
			}
			split[i] = parts
		}
	}
	for j, c := range columns {
		part := func(i int) (string, bool) {
			if single {
				return string(keys[i]), true
			}
			if split[i] == nil {
				return "", false
			}
			return split[i][j], true
		}
		if c.send != nil {
			p.binaryArray(c, len(keys), part, fail)
		} else {
			p.textArray(len(keys), part)
		}
		p.done(c.format())
	}
	p.slice()
}

func (p *parameters) binaryArray(c keyColumn, n int, part func(int) (string, bool), fail func(int, error)) {
	b := appendArrayHeader(p.buf, c.elem, n)
	for i := range n {
		at := len(b)
		b = append(b, 0xff, 0xff, 0xff, 0xff) // length of null
		text, ok := part(i)
		if !ok {
			continue
		}
		var err error
		if b, err = c.send(b, text); err != nil {
			fail(i, err)
			b = b[:at+4]
			continue
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	p.buf = b
}

// appendArray appends an array with one element for each edit.
func appendArray(b []byte, elem uint32, edits []edit, each func(dst []byte, e *edit) ([]byte, bool, error)) ([]byte, error) {
	b = appendArrayHeader(b, elem, len(edits))
	for i := range edits {
		at := len(b)
		b = append(b, 0xff, 0xff, 0xff, 0xff) // length of null
		out, null, err := each(b, &edits[i])
		if err != nil {
			return b, err
		}
		if b = out; !null {
			binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		}
	}
	return b, nil
}

func appendArrayHeader(b []byte, elem uint32, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 1) // may hold nulls
	b = binary.BigEndian.AppendUint32(b, elem)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return binary.BigEndian.AppendUint32(b, 1) // first index
}

func (p *parameters) textArray(n int, part func(int) (string, bool)) {
	b := append(p.buf, '{')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		text, ok := part(i)
		if !ok {
			b = append(b, "NULL"...)
			continue
		}
		b = append(b, '"')
		for j := range len(text) {
			if text[j] == '"' || text[j] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, text[j])
		}
		b = append(b, '"')
	}
	p.buf = append(b, '}')
}
