package logs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strconv"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// startCount reads traces of blocks: lines of a first block and how many follow, with
// further numbers that do not matter (the ARC paper's format).
type startCount struct{ key []byte }

const maxBlocks = 1 << 24 // in one line

func (s *startCount) eachKey(line []byte, r *usage.Record, add func(*usage.Record)) outcome {
	start, rest, ok1 := number(line)
	count, _, ok2 := number(rest)
	if !ok1 || !ok2 || count > maxBlocks {
		return broken
	}
	for i := range count {
		s.key = strconv.AppendUint(s.key[:0], start+i, 10)
		*r = usage.Record{Time: usage.NoTime, Took: -1, Path: s.key}
		add(r)
	}
	return parsed
}

// number reads the digits up to a space or a comma.
func number(line []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(line) && i < 18 && line[i]-'0' <= 9; i++ {
		n = n*10 + uint64(line[i]-'0')
	}
	ok = i > 0
	if i < len(line) {
		ok = ok && (line[i] == ' ' || line[i] == ',' || line[i] == '\t')
		i++
	}
	return n, line[i:], ok
}

// eachInteger reads a trace of keys that are big-endian integers of so many bytes.
// What is left at the end is broken.
func eachInteger(in *bufio.Reader, size int, add func(*usage.Record)) (n, bad uint64, err error) {
	var r usage.Record
	buffer, key := make([]byte, 1<<16), make([]byte, 0, 20)
	for {
		got, err := io.ReadFull(in, buffer)
		for at := 0; at+size <= got; at += size {
			k := int64(int32(binary.BigEndian.Uint32(buffer[at:])))
			if size == 8 {
				k = int64(binary.BigEndian.Uint64(buffer[at:]))
			}
			key = strconv.AppendInt(key[:0], k, 10)
			r = usage.Record{Time: usage.NoTime, Took: -1, Path: key}
			add(&r)
			n++
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if got%size != 0 {
				bad = 1
			}
			return n, bad, nil
		case err != nil:
			return n, bad, err
		}
	}
}

// eachCount reads requests per second, separated by white space.
func eachCount(in *bufio.Reader, add func(*usage.Record)) (n, bad uint64, err error) {
	at, count, digits, wrong := int64(0), 0, 0, false
	end := func() {
		switch {
		case digits == 0 && !wrong:
			return
		case wrong || digits > 9:
			bad++
		case count > 0:
			add(&usage.Record{Time: at * 1e9, Took: -1, Times: count})
		}
		n++
		at++
		count, digits, wrong = 0, 0, false
	}
	for {
		c, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			end()
			return n, bad, nil
		case err != nil:
			return n, bad, err
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
			end()
		case c-'0' <= 9:
			if digits++; digits <= 9 {
				count = count*10 + int(c-'0')
			}
		default:
			wrong = true
		}
	}
}
