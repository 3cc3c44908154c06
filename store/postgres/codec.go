package postgres

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fulcrum-data/fulcrum/store"
)

// appendFunc appends a value of the database as JSON.
type appendFunc func(dst, src []byte) []byte

// A codec turns values of one type into JSON. At least one way is there.
type codec struct {
	binary appendFunc // from PostgreSQL's binary format
	text   appendFunc // from its text format
}

const (
	textFormat   = int16(pgtype.TextFormatCode)
	binaryFormat = int16(pgtype.BinaryFormatCode)
)

// pick chooses the format to ask for: binary where there is a choice.
func (c codec) pick() (format int16, f appendFunc) {
	if c.binary != nil {
		return binaryFormat, c.binary
	}
	return textFormat, c.text
}

// scalars are the codecs of built-in types. What is not here is shown as
// PostgreSQL's text in a string.
var scalars = map[uint32]codec{
	pgtype.BoolOID:   {binary: func(dst, src []byte) []byte { return store.AppendBool(dst, src[0] != 0) }},
	pgtype.Int2OID:   {binary: func(dst, src []byte) []byte { return store.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(src)))) }},
	pgtype.Int4OID:   {binary: func(dst, src []byte) []byte { return store.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(src)))) }},
	pgtype.Int8OID:   {binary: func(dst, src []byte) []byte { return store.AppendInt(dst, int64(binary.BigEndian.Uint64(src))) }},
	pgtype.OIDOID:    {binary: func(dst, src []byte) []byte { return store.AppendInt(dst, int64(binary.BigEndian.Uint32(src))) }},
	pgtype.Float4OID: {binary: appendFloat4},
	pgtype.Float8OID: {binary: func(dst, src []byte) []byte {
		return store.AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(src)))
	}},
	pgtype.ByteaOID:       {binary: func(dst, src []byte) []byte { return store.AppendBytes(dst, src) }},
	pgtype.UUIDOID:        {binary: appendUUID},
	pgtype.JSONOID:        {binary: store.AppendRaw, text: store.AppendRaw},
	pgtype.JSONBOID:       {binary: func(dst, src []byte) []byte { return store.AppendRaw(dst, src[1:]) }, text: store.AppendRaw},
	pgtype.TimestamptzOID: {binary: appendTimestamp},
	pgtype.TimestampOID:   {binary: appendTimestamp},
	pgtype.DateOID:        {binary: appendDate},
	pgtype.TimeOID:        {binary: appendTime},
	pgtype.TimetzOID:      {binary: appendTimetz},
	pgtype.IntervalOID:    {binary: appendInterval},
	pgtype.TextOID:        textual,
	pgtype.VarcharOID:     textual,
	pgtype.BPCharOID:      textual,
	pgtype.NameOID:        textual,
}

// textual types are the same in both formats.
var textual = codec{binary: appendText, text: appendText}

// asText shows PostgreSQL's text.
var asText = codec{text: appendText}

func appendText(dst, src []byte) []byte { return store.AppendText(dst, src) }

// codecOf is the codec of a type of the relation.
func (r *relation) codecOf(oid uint32) codec {
	t := r.underlying(oid)
	if t == nil {
		return asText
	}
	if c, ok := scalars[t.oid]; ok {
		return c
	}
	switch {
	case t.kind == 'e':
		return textual
	case t.elem != 0:
		elem := r.codecOf(t.elem)
		if elem.binary != nil {
			return codec{binary: binaryArray(elem.binary)}
		}
		delim := byte(',')
		if e := r.types[t.elem]; e != nil {
			delim = e.delim
		}
		return codec{text: textArray(elem.text, delim)}
	}
	return asText
}

func appendFloat4(dst, src []byte) []byte {
	v := float64(math.Float32frombits(binary.BigEndian.Uint32(src)))
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v), math.IsInf(v, 0):
		return store.AppendFloat(dst, v)
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		return strconv.AppendFloat(dst, v, 'e', -1, 32)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 32)
}

const hexDigits = "0123456789abcdef"

func appendUUID(dst, src []byte) []byte {
	dst = append(dst, '"')
	for i, b := range src {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return append(dst, '"')
}
