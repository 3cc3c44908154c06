package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// batchGet answers POST /v1/{resource}:batchGet.
func (x *exchange) batchGet(name string) {
	if !x.allow(http.MethodPost) || !x.find(name, readGrant) {
		return
	}
	named, p := x.readKeys()
	if p.kind != nil {
		x.fail(p)
		return
	}
	asked := x.parse(named)
	ctx := x.begin()
	if p := x.awaitToken(ctx); p.kind != nil {
		ctx.end()
		x.fail(p)
		return
	}
	rows, err := x.reader.GetMany(ctx, asked.keys, options[x.class], x.fresh[0], x.fresh[1])
	ctx.end()
	if p := asked.sort(x, rows, err); p.kind != nil {
		x.fail(p)
		return
	}
	x.buf = asked.append(x.buf[:0], x.res.name, rows)
	x.send(http.StatusOK, rowType, x.buf)
}

// readKeys reads the body: each key is its parts.
func (x *exchange) readKeys() ([][]string, problem) {
	body, p := x.readBody()
	if p.kind != nil {
		return nil, p
	}
	return parseBody(body, x.g.cfg.MaxKeys)
}

func (x *exchange) readBody() ([]byte, problem) {
	limit := x.g.cfg.MaxBody
	tooLarge := bodyTooLarge.because("the limit is %d bytes", limit)
	if x.r.ContentLength > limit {
		return nil, tooLarge
	}
	c, now := http.NewResponseController(x.w), time.Now()
	_ = c.SetReadDeadline(now.Add(min(bodyTime, x.timeout)))
	body := bytes.NewBuffer(x.buf[:0])
	_, err := body.ReadFrom(http.MaxBytesReader(x.w, x.r.Body, limit))
	x.buf = body.Bytes()
	if x.bodyRead = err == nil; x.bodyRead {
		_ = c.SetReadDeadline(now.Add(x.g.cfg.Timeout + slowest)) // an ended one would look like a client that has left
	}
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, tooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, slowBody.because("there were %d bytes after %s", len(x.buf), min(bodyTime, x.timeout))
	}
	if err != nil {
		return nil, badJSON.because("the body ended early: %v", readError(err))
	}
	return x.buf, problem{}
}

// readError leaves out of a network error what is no business of the client.
func readError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return errors.New("it could not be read")
}

// parseBody wants {"keys":[…]} and nothing else.
func parseBody(body []byte, maxKeys int) ([][]string, problem) {
	if !utf8.Valid(body) {
		return nil, badJSON.because("the body is not UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, badJSON.because("%v", jsonError(err, "an object"))
	}
	for name := range fields {
		if name != "keys" {
			return nil, unknownField.because("field %q is not known", shorten(name))
		}
	}
	if fieldTwice(body, fields["keys"]) {
		return nil, duplicateField.because(`field "keys" is there twice`)
	}
	var raw []json.RawMessage
	if keys := fields["keys"]; keys != nil {
		if err := json.Unmarshal(keys, &raw); err != nil {
			return nil, badJSON.because(`"keys": %v`, jsonError(err, "an array"))
		}
	}
	switch {
	case len(raw) == 0:
		return nil, problem{kind: noKeys}
	case len(raw) > maxKeys:
		return nil, tooManyKeys.because("there are %d keys, the limit is %d", len(raw), maxKeys)
	}
	return parseKeys(raw)
}

// fieldTwice says whether an object in which all fields have one name has more than
// one: last is the last one's value. What stands before it has a comma then.
func fieldTwice(body []byte, last json.RawMessage) bool {
	before := bytes.TrimRight(body, " \t\r\n")
	before = bytes.TrimRight(bytes.TrimSuffix(before, []byte("}")), " \t\r\n")
	return bytes.IndexByte(before[:len(before)-len(last)], ',') >= 0
}

// jsonError says what was wrong without the names of Go's types.
func jsonError(err error, want string) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s (after %d bytes)", strings.TrimPrefix(syntax.Error(), "json: "), syntax.Offset)
	}
	return fmt.Errorf("want %s", want)
}

func parseKeys(raw []json.RawMessage) ([][]string, problem) {
	keys := make([][]string, len(raw))
	parts := make([]string, 0, len(raw)) // one array for all, since most have one part
	for i, text := range raw {
		from := len(parts)
		var err error
		if parts, err = appendParts(parts, text); err != nil {
			return nil, badKey.because("keys[%d]: %v", i, err)
		}
		keys[i] = parts[from:len(parts):len(parts)]
	}
	return keys, problem{}
}

// appendParts reads one key: a number, a string, or an array of those.
func appendParts(parts []string, raw json.RawMessage) ([]string, error) {
	if raw[0] != '[' {
		part, err := scalar(raw)
		return append(parts, part), err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		return parts, errors.New("want a number, a string, or an array of at least one of those")
	}
	for _, text := range list {
		part, err := scalar(text)
		if err != nil {
			return parts, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// scalar is the text of a number, exactly as it stands there, or of a string.
func scalar(raw json.RawMessage) (string, error) {
	switch c := raw[0]; {
	case c == '-' || c >= '0' && c <= '9':
		return string(raw), nil
	case c != '"':
		return "", errors.New("want a number, a string, or an array of those")
	case bytes.IndexByte(raw, '\\') < 0:
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errors.New("want a string")
	}
	if strings.ContainsRune(s, utf8.RuneError) && bytes.Contains(bytes.ToLower(raw), []byte(`\ud`)) {
		return "", errors.New(`the escape \ud… is half a character`) // two of them would become one key
	}
	return s, nil
}

// asked is what a batchGet asks for, sorted by what became of it.
type asked struct {
	keys   []store.Key // each once, in the order they were named
	bad    []keyProblem
	failed []keyProblem
}

// keyProblem is what became of one key.
type keyProblem struct {
	key string
	problem
}

// parse makes keys of their parts. A key that does not fit fails alone.
func (x *exchange) parse(named [][]string) asked {
	a := asked{keys: make([]store.Key, 0, len(named))}
	seen := make(map[string]struct{}, len(named))
	first := func(key string) bool {
		_, twice := seen[key]
		seen[key] = struct{}{}
		return !twice
	}
	for _, parts := range named {
		key, err := x.res.table.ParseKey(parts)
		if err == nil {
			if first(string(key)) {
				a.keys = append(a.keys, key)
			}
			continue
		}
		if text := joinParts(parts); first(text) {
			a.bad = append(a.bad, keyProblem{text, problemOf(err)})
		}
	}
	return a
}

// joinParts names a key that never became one, as it would stand in a path.
func joinParts(parts []string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return strings.Join(escaped, "/")
}

// sort finds what became of each key. Where not one was answered and all failed
// alike, that is the problem of the request itself: whoever was shed must see 429.
func (a *asked) sort(x *exchange, rows map[store.Key][]byte, err error) problem {
	var errs fulcrum.KeyErrors[store.Key]
	if !errors.As(err, &errs) {
		if err != nil {
			return x.report(err)
		}
		return problem{}
	}
	alike := len(errs) == len(a.keys)
	for _, key := range a.keys {
		if e := errs[key]; e != nil {
			p := x.report(e)
			a.failed = append(a.failed, keyProblem{string(key), p})
			alike = alike && p.kind == a.failed[0].kind && p.status > 400
		}
	}
	if alike && len(a.bad) == 0 && len(a.failed) > 0 {
		return a.failed[0].problem
	}
	return problem{}
}

// append writes the answer as JSON.
func (a *asked) append(b []byte, resource string, rows map[store.Key][]byte) []byte {
	failed := make(map[string]struct{}, len(a.failed))
	for _, f := range a.failed {
		failed[f.key] = struct{}{}
	}
	missing := make([]store.Key, 0, len(a.keys)-len(rows))
	l := list{append(b, `{"rows":{`...), true}
	for _, key := range a.keys {
		if row, ok := rows[key]; ok {
			l.member(string(key))
			l.b = append(l.b, row...)
		} else if _, ok := failed[string(key)]; !ok {
			missing = append(missing, key)
		}
	}
	l = list{append(l.b, `},"missing":[`...), true}
	for _, key := range missing {
		l.comma()
		l.b = appendString(l.b, string(key))
	}
	l = list{append(l.b, `],"errors":{`...), true}
	for _, f := range append(a.bad, a.failed...) {
		l.member(f.key)
		l.b = f.append(l.b, prefix+resource+"/"+f.key)
	}
	return append(l.b, `}}`...)
}

// list puts the commas between the members of an object or array.
type list struct {
	b     []byte
	first bool
}

func (l *list) comma() {
	if !l.first {
		l.b = append(l.b, ',')
	}
	l.first = false
}

func (l *list) member(name string) {
	l.comma()
	l.b = append(appendString(l.b, name), ':')
}
