package target

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"pgregory.net/rapid"
)

var someAnswers = []string{
	"",
	"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 07:00:00 GMT\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
	"HTTP/1.0 200 OK\r\n\r\nuntil it closes",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nanother language",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nA;x=y \r\n0123456789\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n",
	"HTTP/1.1 200 OK\r\nContent-Le",
	"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 20",
	"+OK POP3 ready\r\n\r\n",
}

// inPieces reads an answer of which so many bytes come at a time, before the
// connection ends.
func inPieces(text []byte, size int) (r reading, err error) {
	for left := text; len(left) > 0; {
		n := min(size, len(left))
		done, err := r.feed(bytes.Clone(left[:n]), nil)
		if left = left[n:]; done {
			r.keep = r.keep && len(left) == 0
			return r, err
		}
	}
	done, err := r.feed(nil, io.EOF)
	if !done {
		err = fmt.Errorf("%q is not done at its end", text)
	}
	return r, err
}

// Whatever comes, and in whatever pieces, is judged as net/http's reader judges all
// of it. There are differences: net/http gives up on chunks that are mostly wrapping
// and on long or malformed trailers, and says what it does not like about a chunk.
func sameAsNetHTTP(t *testing.T, text []byte, size int) {
	t.Helper()
	want, keep, wantErr := readAnswer(bufio.NewReaderSize(bytes.NewReader(text), wireBuffer))
	got, err := inPieces(text, size)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || got.code != want.code {
		t.Fatalf("%q by %d: %d, %v, want %d, %v", text, size, got.code, err, want.code, wantErr)
	}
	if err != nil {
		return
	}
	if got.code >= 400 && got.status != want.status {
		t.Fatalf("%q: status %q, want %q", text, got.status, want.status)
	}
	_, chunked := got.frame.(*chunkedBody)
	if (got.body == nil) != (want.body == nil) && !chunked {
		t.Fatalf("%q by %d: body %v, want %v", text, size, got.body, want.body)
	}
	if got.keep && !keep && want.body == nil {
		t.Fatalf("%q by %d: the connection is kept", text, size)
	}
}

func TestReadingInPieces(t *testing.T) {
	for _, text := range someAnswers {
		for _, size := range []int{1, 2, 7, 1000} {
			sameAsNetHTTP(t, []byte(text), size)
		}
	}
}

// Chunks are where the two may differ, so what is right and what is wrong is told here.
func TestChunks(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"0\r\n\r\n", "<nil> true"},
		{"2\r\nok\r\n0\r\n\r\n", "<nil> true"},
		{"2\nok\r\n0\r\n\r\n", "malformed chunked encoding false"},
		{"A; x=\"y\"\r\n0123456789\r\n00\r\n\r\n", "<nil> true"},
		{"2\r\nok\r\n0\r\nA: b\r\nC: d\r\n\r\n", "<nil> true"},
		{"2\r\nok\r\n0\r\n\r\nmore", "<nil> false"},
		{"2\r\nok\r\n", "unexpected EOF false"},
		{"2\r\no", "unexpected EOF false"},
		{"2\r\nokay\r\n", "malformed chunked encoding false"},
		{"\r\n", "malformed chunked encoding false"},
		{"-1\r\n", "malformed chunked encoding false"},
		{"0x1\r\n", "malformed chunked encoding false"},
		{"10000000000000000\r\n", "malformed chunked encoding false"},
		{"2;" + strings.Repeat("x", mostLine) + "\r\n", "header line too long false"},
	} {
		text := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + c.body)
		want, _, err := readAnswer(bufio.NewReader(bytes.NewReader(text)))
		if err != nil || (want.body == nil) != strings.HasPrefix(c.want, "<nil>") {
			t.Errorf("%.40q: net/http says %v, %v", c.body, want.body, err)
		}
		for _, size := range []int{1, 3, 10_000} {
			r, err := inPieces(text, size)
			if got := fmt.Sprint(r.body, " ", r.keep); err != nil || got != c.want {
				t.Errorf("%.40q by %d: %s, %v, want %s", c.body, size, got, err, c.want)
			}
		}
	}
}

func TestEndlessHead(t *testing.T) {
	var r reading
	line := []byte("X: " + strings.Repeat("x", 64<<10) + "\r\n")
	_, err := r.feed([]byte("HTTP/1.1 200 OK\r\n"), nil)
	for n := 0; err == nil && n <= mostHead+len(line); n += len(line) {
		_, err = r.feed(line, nil)
	}
	contains(t, err, "not an answer: a head of over 1048576 bytes")
}

func FuzzReading(f *testing.F) {
	for _, text := range someAnswers {
		f.Add([]byte(text), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		sameAsNetHTTP(t, text, 1+size&1023)
	})
}

// A request that is put together is the one that net/http writes.
func TestLettersAreNetHTTPs(t *testing.T) {
	for _, url := range []string{"http://x/{key}", "http://x:81/a?b={key}&c={key}", "http://x/fixed", "http://x/a#{key}", "http://x/" + holder + "/{key}"} {
		for _, classes := range []bool{false, true} {
			h := newHTTP(t, HTTPConfig{URL: url, Headers: []string{"A: " + keyMark}, Classes: classes})
			l := &letter{HTTP: h}
			rapid.Check(t, func(rt *rapid.T) {
				r := &load.Request{
					Keys:  []string{rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_-]+`), rapid.String()).Draw(rt, "key")},
					Class: rapid.SampledFrom([]fulcrum.Class{fulcrum.ClassNormal, fulcrum.ClassUrgent, fulcrum.ClassBulk}).Draw(rt, "class"),
				}
				got, err := l.write(r)
				want, wantErr := (&letter{HTTP: h}).whole(r)
				if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					rt.Fatalf("%q, %v, want %q, %v", got, err, want, wantErr)
				}
			})
		}
	}
}
