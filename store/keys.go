package store

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// KeyType says how a part of a key is written.
type KeyType uint8

// The types of key columns, and how their values travel in addresses.
const (
	KeyInt   KeyType = iota // decimal: 42, -7; no plus sign, no leading zeros, no spaces
	KeyText                 // as it is, valid UTF-8, percent-encoded in addresses
	KeyUUID                 // 8-4-4-4-12 hexadecimal digits; upper case is understood, lower case is canonical
	KeyBytes                // base64url without padding (RFC 4648, section 5)
)

// String says what a value of the type looks like, for errors.
func (t KeyType) String() string {
	switch t {
	case KeyInt:
		return "an integer"
	case KeyText:
		return "text in UTF-8"
	case KeyUUID:
		return "a UUID such as 0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"
	case KeyBytes:
		return "bytes in base64url without padding"
	}
	return "unknown"
}

// KeyColumn is one column of a resource's key.
type KeyColumn struct {
	Name string
	Type KeyType
	Bits int // width of a KeyInt: 16, 32 or 64; 0 means 64
}

// Parse checks one part of a key and returns it in canonical form. Its errors are
// *KeyError.
func (c KeyColumn) Parse(part string) (string, error) {
	var err error
	switch c.Type {
	case KeyInt:
		_, err = c.Int(part)
	case KeyText:
		if !utf8.ValidString(part) {
			err = c.wrong(part, c.Type.String())
		}
	case KeyUUID:
		return c.uuid(part)
	case KeyBytes:
		_, err = c.Bytes(part)
	default:
		err = c.wrong(part, c.Type.String())
	}
	return part, err
}

// Int is the value of a KeyInt's part. There is one way to write each integer, so
// that two keys are equal when their texts are.
func (c KeyColumn) Int(part string) (int64, error) {
	bits := c.Bits
	if bits == 0 {
		bits = 64
	}
	n, err := strconv.ParseInt(part, 10, bits)
	if err == nil && plainInt(part) {
		return n, nil
	}
	if err != nil && err.(*strconv.NumError).Err == strconv.ErrRange { //nolint:errorlint // documented concrete type
		return 0, c.wrong(part, fmt.Sprintf("an integer of %d bits", bits))
	}
	return 0, c.wrong(part, "an integer, in digits alone")
}

// plainInt says whether a text that ParseInt took is the one way to write it.
func plainInt(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return s[0] != '+' && (digits[0] != '0' || s == "0")
}

// Bytes is the value of a KeyBytes' part.
func (c KeyColumn) Bytes(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // the decoder would pass over them
		return nil, c.wrong(part, c.Type.String())
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, c.wrong(part, c.Type.String())
	}
	return b, nil
}

const uuidLen = 36

func (c KeyColumn) uuid(part string) (string, error) {
	if len(part) != uuidLen {
		return "", c.wrong(part, c.Type.String())
	}
	for i := range uuidLen {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (part[i] == '-') || !hyphen && !isHex(part[i]) {
			return "", c.wrong(part, c.Type.String())
		}
	}
	return strings.ToLower(part), nil
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func (c KeyColumn) wrong(value, want string) *KeyError {
	return &KeyError{Column: c.Name, Value: value, Want: want}
}

// ParseKey checks the parts of a key, one for each column, and joins them. Its
// errors are *KeyError.
func ParseKey(columns []KeyColumn, parts []string) (Key, error) {
	if len(parts) != len(columns) {
		return "", &KeyError{Value: strings.Join(parts, "/"), Want: wantParts(columns)}
	}
	if len(columns) == 1 && columns[0].Type == KeyInt { // nothing to encode
		_, err := columns[0].Int(parts[0])
		return Key(parts[0]), err
	}
	canonical := make([]string, len(parts))
	for i, c := range columns {
		var err error
		if canonical[i], err = c.Parse(parts[i]); err != nil {
			return "", err
		}
	}
	return JoinKey(canonical...), nil
}

func wantParts(columns []KeyColumn) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	if len(names) == 1 {
		return "1 part: " + names[0]
	}
	return fmt.Sprintf("%d parts: %s", len(names), strings.Join(names, "/"))
}

// JoinKey makes a key of its parts. SplitKey undoes it.
func JoinKey(parts ...string) Key {
	if len(parts) == 1 {
		return Key(escapePart(parts[0]))
	}
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = escapePart(p)
	}
	return Key(strings.Join(escaped, "/"))
}

// escapePart encodes what an address cannot hold. A part that is one or two dots
// would be taken for a folder.
func escapePart(p string) string {
	switch p {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(p)
}

// SplitKey returns the n parts of a key. Its error is a *KeyError: the key was not
// made by JoinKey of n parts.
func SplitKey(key Key, n int) ([]string, error) {
	if n < 1 || strings.Count(string(key), "/") != n-1 {
		return nil, &KeyError{Value: string(key), Want: fmt.Sprintf("%d parts", n)}
	}
	parts := make([]string, n)
	rest := string(key)
	for i := range parts {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		p, err := url.PathUnescape(part)
		if err != nil || escapePart(p) != part {
			return nil, &KeyError{Value: string(key), Want: "percent-encoded parts"}
		}
		parts[i] = p
	}
	return parts, nil
}
