package postgres

import (
	"encoding/binary"
	"strings"

	"github.com/fulcrum-data/fulcrum/store"
)

// binaryArray writes an array as JSON arrays, nested like its dimensions. Where
// its indices begin is not shown.
func binaryArray(elem appendFunc) appendFunc {
	return func(dst, src []byte) []byte {
		dims := int(binary.BigEndian.Uint32(src))
		if dims == 0 {
			return append(dst, '[', ']')
		}
		sizes := src[12:]
		dst, _ = appendDimension(dst, sizes, sizes[8*dims:], dims, elem)
		return dst
	}
}

// appendDimension writes one dimension and returns what follows its elements.
func appendDimension(dst, sizes, src []byte, dims int, elem appendFunc) (out, rest []byte) {
	dst = append(dst, '[')
	for i := range binary.BigEndian.Uint32(sizes) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dims > 1 {
			dst, src = appendDimension(dst, sizes[8:], src, dims-1, elem)
			continue
		}
		n := int32(binary.BigEndian.Uint32(src))
		src = src[4:]
		if n < 0 {
			dst = store.AppendNull(dst)
			continue
		}
		dst = elem(dst, src[:n])
		src = src[n:]
	}
	return append(dst, ']'), src
}

// textArray does the same from text: {1,NULL,"a \"b\"",{…}}, behind [0:2]= if the
// indices do not begin with 1.
func textArray(elem appendFunc, delim byte) appendFunc {
	return func(dst, src []byte) []byte {
		if i := strings.IndexByte(string(src), '='); i > 0 && src[0] == '[' {
			src = src[i+1:]
		}
		for i := 0; i < len(src); {
			switch c := src[i]; c {
			case '{':
				dst = append(dst, '[')
				i++
			case '}':
				dst = append(dst, ']')
				i++
			case delim:
				dst = append(dst, ',')
				i++
			default:
				dst, i = appendElement(dst, src, i, elem, delim)
			}
		}
		return dst
	}
}

// appendElement writes the element that begins at i and returns where it ends.
func appendElement(dst, src []byte, i int, elem appendFunc, delim byte) ([]byte, int) {
	if src[i] != '"' {
		end := i
		for end < len(src) && src[end] != delim && src[end] != '}' {
			end++
		}
		if word := src[i:end]; string(word) != "NULL" {
			return elem(dst, word), end
		}
		return store.AppendNull(dst), end
	}
	var value []byte
	for i++; i < len(src) && src[i] != '"'; i++ {
		if src[i] == '\\' {
			i++
		}
		value = append(value, src[i])
	}
	return elem(dst, value), i + 1
}
