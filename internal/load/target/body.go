package target

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// bodyReading finds the end of a body that arrives in pieces.
type bodyReading interface {
	// take takes a piece, and returns what is no longer of the body.
	take(b []byte) (rest []byte, whole bool, err error)
	// end says what the end of the connection means before the body is whole.
	end(err error) error
}

// lengthBody has so many bytes to come.
type lengthBody struct{ left int64 }

func (l *lengthBody) take(b []byte) (rest []byte, whole bool, err error) {
	n := min(l.left, int64(len(b)))
	l.left -= n
	return b[n:], l.left == 0, nil
}

func (*lengthBody) end(err error) error { return hungUpInBody(err) }

// untilClosed is whole when the connection is closed.
type untilClosed struct{}

func (untilClosed) take([]byte) (rest []byte, whole bool, err error) { return nil, false, nil }

func (untilClosed) end(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// chunkedBody is made of chunks, each after a line with its size, and ends with an
// empty one and perhaps trailers.
type chunkedBody struct {
	at   chunkPart
	left int64  // of the chunk, with its line's end
	line []byte // what has come of a line
}

type chunkPart int

const (
	sizeLine chunkPart = iota
	chunkData
	chunkEnd // "\r\n" after the data
	trailer
)

const mostLine = 4 << 10 // bytes

var (
	errChunk    = errors.New("malformed chunked encoding")
	errLongLine = errors.New("header line too long")
)

func (c *chunkedBody) take(b []byte) (rest []byte, whole bool, err error) {
	for len(b) > 0 {
		if c.at == chunkData {
			n := min(c.left, int64(len(b)))
			c.left -= n
			if b = b[n:]; c.left == 0 {
				c.at = chunkEnd
			}
			continue
		}
		at := bytes.IndexByte(b, '\n')
		if at < 0 {
			at = len(b) - 1
		}
		c.line = append(c.line, b[:at+1]...)
		b = b[at+1:]
		if len(c.line) > mostLine {
			return nil, false, errLongLine
		}
		if c.line[len(c.line)-1] != '\n' {
			continue
		}
		whole, err := c.takeLine()
		if c.line = c.line[:0]; whole || err != nil {
			return b, whole, err
		}
	}
	return nil, false, nil
}

// takeLine takes the line that has come.
func (c *chunkedBody) takeLine() (whole bool, err error) {
	switch c.at {
	case chunkEnd:
		if string(c.line) != "\r\n" {
			return false, errChunk
		}
		c.at = sizeLine
	case trailer:
		return len(bytes.TrimRight(c.line, "\r\n")) == 0, nil
	default:
		size, _, _ := bytes.Cut(c.line, []byte(";"))
		if !bytes.HasSuffix(c.line, []byte("\r\n")) {
			return false, errChunk
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t\r\n")), 16, 63)
		if err != nil {
			return false, errChunk
		}
		if c.left, c.at = int64(n), chunkData; n == 0 {
			c.at = trailer
		}
	}
	return false, nil
}

func (*chunkedBody) end(err error) error { return hungUpInBody(err) }
