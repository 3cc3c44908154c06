package postgres

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fulcrum-data/fulcrum/store"
)

// A wireFunc appends a JSON value, which is not null, in the form in which it travels
// to the database. If it is of a wrong kind, want says what would be right.
type wireFunc func(dst, value []byte) (out []byte, want string)

// A writeColumn knows how to send the values of one column.
type writeColumn struct {
	name      string
	typ       string   // underlying
	elem      uint32   // what arrays of values consist of: the type itself or text
	wire      wireFunc // binary if elem is the type itself, else the text that its input function reads
	key       *keyColumn
	computed  bool // the database makes its values
	defaulted bool // it makes one if none is given
}

// writeColumnOf is the column of a relation.
func (r *relation) writeColumnOf(c column) writeColumn {
	t := r.underlying(c.typ)
	col := writeColumn{name: c.name, typ: t.name, elem: pgtype.TextOID}
	if f, ok := direct[t.oid]; ok {
		col.elem, col.wire = t.oid, f
		return col
	}
	col.wire = r.textOf(t)
	return col
}

// direct types travel in binary format, for there is nothing to judge in them but
// what JSON says too.
var direct = map[uint32]wireFunc{
	pgtype.Int2OID:  wireInt(16),
	pgtype.Int4OID:  wireInt(32),
	pgtype.Int8OID:  wireInt(64),
	pgtype.BoolOID:  wireBool,
	pgtype.TextOID:  wireText,
	pgtype.ByteaOID: wireBytes,
}

// texts of the other types are read by the database's own input functions.
func (r *relation) textOf(t *dbType) wireFunc {
	switch {
	case t.elem != 0:
		elem := r.underlying(t.elem)
		delim := byte(',')
		if e := r.types[t.elem]; e != nil {
			delim = e.delim
		}
		return wireArray(r.textOf(elem), delim, elem.oid == pgtype.JSONOID || elem.oid == pgtype.JSONBOID)
	case t.kind == 'e' || t.kind == 'c' || t.kind == 'r' || t.kind == 'm':
		return wireText
	}
	if f, ok := inputs[t.oid]; ok {
		return f
	}
	return wireText
}

var inputs = map[uint32]wireFunc{
	pgtype.BoolOID:        textBool,
	pgtype.Int2OID:        textInt,
	pgtype.Int4OID:        textInt,
	pgtype.Int8OID:        textInt,
	pgtype.OIDOID:         textInt,
	pgtype.NumericOID:     textNumber,
	pgtype.Float4OID:      textNumber,
	pgtype.Float8OID:      textNumber,
	790:                   textNumber, // money
	pgtype.ByteaOID:       textBytes,
	pgtype.JSONOID:        textJSON,
	pgtype.JSONBOID:       textJSON,
	pgtype.TimestamptzOID: func(dst, value []byte) ([]byte, string) { return textInstant(dst, value, time.RFC3339Nano) },
	pgtype.TimestampOID: func(dst, value []byte) ([]byte, string) {
		return textInstant(dst, value, "2006-01-02T15:04:05.999999999")
	},
	pgtype.DateOID: textDate,
}

func isString(value []byte) bool { return value[0] == '"' }
func isNumber(value []byte) bool { return value[0] == '-' || '0' <= value[0] && value[0] <= '9' }

func wireText(dst, value []byte) ([]byte, string) {
	if !isString(value) {
		return dst, "a string"
	}
	start := len(dst)
	dst = store.AppendUnquoted(dst, value)
	if bytes.IndexByte(dst[start:], 0) >= 0 {
		return dst[:start], "a string without NUL"
	}
	return dst, ""
}

// integer reads an integer, which is a string beyond 2^53 for some writers of JSON.
func integer(value []byte, bits int) (int64, string) {
	if isString(value) {
		value = value[1 : len(value)-1]
	}
	n, err := strconv.ParseInt(string(value), 10, bits)
	if err != nil || value[0] == '+' {
		return 0, "an integer of " + strconv.Itoa(bits) + " bits"
	}
	return n, ""
}

func wireInt(bits int) wireFunc {
	return func(dst, value []byte) ([]byte, string) {
		n, want := integer(value, bits)
		if want != "" {
			return dst, want
		}
		switch bits {
		case 16:
			dst = binary.BigEndian.AppendUint16(dst, uint16(n))
		case 32:
			dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		default:
			dst = binary.BigEndian.AppendUint64(dst, uint64(n))
		}
		return dst, ""
	}
}

func textInt(dst, value []byte) ([]byte, string) {
	n, want := integer(value, 64)
	if want != "" {
		return dst, want
	}
	return strconv.AppendInt(dst, n, 10), ""
}

func wireBool(dst, value []byte) ([]byte, string) {
	switch value[0] {
	case 't':
		return append(dst, 1), ""
	case 'f':
		return append(dst, 0), ""
	}
	return dst, "true or false"
}

func textBool(dst, value []byte) ([]byte, string) {
	if value[0] != 't' && value[0] != 'f' {
		return dst, "true or false"
	}
	return append(dst, value...), ""
}

func wireBytes(dst, value []byte) ([]byte, string) {
	const want = "a string of bytes in base64 with padding"
	if !isString(value) {
		return dst, want
	}
	text := store.AppendUnquoted(nil, value)
	if bytes.ContainsAny(text, "\r\n") { // the decoder would pass over them
		return dst, want
	}
	out, err := base64.StdEncoding.Strict().AppendDecode(dst, text)
	if err != nil {
		return dst, want
	}
	return out, ""
}

func textBytes(dst, value []byte) ([]byte, string) {
	raw, want := wireBytes(nil, value)
	if want != "" {
		return dst, want
	}
	return hex.AppendEncode(append(dst, `\x`...), raw), ""
}

// textNumber takes numbers, and strings for what JSON has no numbers for.
func textNumber(dst, value []byte) ([]byte, string) {
	switch {
	case isNumber(value):
		return append(dst, value...), ""
	case isString(value):
		return wireText(dst, value)
	}
	return dst, "a number, or a number in a string"
}

func textJSON(dst, value []byte) ([]byte, string) { return append(dst, value...), "" }

// textInstant takes what rows show: RFC 3339 with a zone, in any year, or infinity.
// PostgreSQL would pass over the zone of a timestamp, which is taken to be in UTC here.
func textInstant(dst, value []byte, layout string) ([]byte, string) {
	const want = "a time such as 2024-02-29T12:30:00.5Z"
	if !isString(value) {
		return dst, want
	}
	text := string(store.AppendUnquoted(nil, value))
	if text == "infinity" || text == "-infinity" {
		return append(dst, text...), ""
	}
	if year, rest, ok := farYear(text); ok { // as it is shown: in UTC
		rest, zulu := strings.CutSuffix(rest, "Z")
		if _, err := time.Parse("-01-02T15:04:05", rest); err != nil || !zulu {
			return dst, want
		}
		return appendFar(dst, year, rest+"+00"), ""
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t, err = time.Parse(layout, text)
	}
	if t = t.UTC(); err != nil || t.Year() < 1 {
		return dst, want
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.999999999Z07:00"), ""
}

func textDate(dst, value []byte) ([]byte, string) {
	const want = "a date such as 2024-02-29"
	if !isString(value) {
		return dst, want
	}
	text := string(store.AppendUnquoted(nil, value))
	if text == "infinity" || text == "-infinity" {
		return append(dst, text...), ""
	}
	if year, rest, ok := farYear(text); ok {
		if _, err := time.Parse("-01-02", rest); err != nil {
			return dst, want
		}
		return appendFar(dst, year, rest), ""
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return dst, want
	}
	return append(dst, text...), ""
}

// farYear splits a time whose year is 0 or has a sign.
func farYear(text string) (year int, rest string, ok bool) {
	if !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "0000-") {
		return 0, "", false
	}
	end := strings.IndexByte(text[1:], '-') + 1
	if end < 1 {
		return 0, "", false
	}
	year, err := strconv.Atoi(text[:end])
	return year, text[end:], err == nil
}

// appendFar writes it as PostgreSQL reads it, for which year 0 is 1 BC.
func appendFar(dst []byte, year int, rest string) []byte {
	if year > 0 {
		return append(strconv.AppendInt(dst, int64(year), 10), rest...)
	}
	return append(append(appendYear(dst, 1-year), rest...), " BC"...)
}

// wireArray writes JSON arrays as PostgreSQL's text: {1,NULL,"a \"b\"",{…}}.
// Elements that are JSON themselves may be arrays, so they have one dimension.
func wireArray(elem wireFunc, delim byte, flat bool) wireFunc {
	var array wireFunc
	array = func(dst, value []byte) ([]byte, string) {
		if value[0] != '[' {
			return dst, "an array"
		}
		dst = append(dst, '{')
		first, problem := true, ""
		_ = store.ReadArray(value, func(v []byte) error { // it was read before
			if !first {
				dst = append(dst, delim)
			}
			first = false
			var want string
			switch {
			case v[0] == 'n':
				dst = append(dst, "NULL"...)
			case v[0] == '[' && !flat:
				dst, want = array(dst, v)
			default:
				dst, want = appendElementText(dst, v, elem)
			}
			if want != "" && problem == "" {
				problem = want
			}
			return nil
		})
		if problem != "" && problem != "an array" {
			problem = "an array, each of its elements " + strings.TrimPrefix(problem, "an array, each of its elements ")
		}
		return append(dst, '}'), problem
	}
	return array
}

// appendElementText puts an element in quotes.
func appendElementText(dst, value []byte, elem wireFunc) ([]byte, string) {
	text, want := elem(nil, value)
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"'), want
}

// partOf makes a part of a key of a JSON value of its column.
func (c *keyColumn) partOf(value []byte) (string, error) {
	var text string
	switch {
	case isString(value):
		text = string(store.AppendUnquoted(nil, value))
	case value[0] == '[' || value[0] == '{' || value[0] == 'n':
		return "", &store.BodyError{Column: c.Name, Problem: "want a value that can be a key"}
	default:
		text = string(value)
	}
	if c.Type == store.KeyBytes {
		raw, want := wireBytes(nil, value)
		if want != "" {
			return "", &store.BodyError{Column: c.Name, Problem: "want " + want}
		}
		text = base64.RawURLEncoding.EncodeToString(raw)
	}
	part, err := c.canonical(text)
	if err != nil || !utf8.ValidString(part) {
		return "", &store.BodyError{Column: c.Name, Problem: strings.TrimPrefix(errorText(err), "key ")}
	}
	return part, nil
}

func errorText(err error) string {
	if err == nil {
		return "want text in UTF-8"
	}
	return err.Error()
}
