package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// batchPut answers POST /v1/{resource}:batchPut: many rows, one result each, in their
// order. Rows of one key are made in their order.
func (x *exchange) batchPut(name string) {
	if !x.allow(http.MethodPost) || !x.find(name, writeGrant) {
		return
	}
	if x.res.write == nil {
		x.fail(forbidden.because("resource %s is not writable", x.res.name))
		return
	}
	var none store.Change
	how, p := x.conditions(&none)
	if p.kind == nil && (none.IfVersion != "" || none.IfAbsent || none.Once != nil || none.Return) {
		p = badHeader.because("If-Match, If-None-Match, Idempotency-Key and Prefer are for single rows")
	}
	var rows []json.RawMessage
	if p.kind == nil {
		rows, p = x.readRows()
	}
	if p.kind != nil {
		x.fail(p)
		return
	}
	puts := x.parseRows(rows)
	ctx := x.begin()
	out, _ := x.res.write.WriteMany(ctx, puts.changes, options[x.class], how) // each has its own error
	ctx.end()
	if p := puts.sort(x, out); p.kind != nil {
		x.fail(p)
		return
	}
	x.buf = puts.append(x.buf[:0], x.res.name, out)
	x.send(http.StatusOK, rowType, x.buf)
}

// readRows wants {"rows":[…]} and nothing else.
func (x *exchange) readRows() ([]json.RawMessage, problem) {
	body, p := x.readBody()
	if p.kind != nil {
		return nil, p
	}
	if !utf8.Valid(body) {
		return nil, badJSON.because("the body is not UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, badJSON.because("%v", jsonError(err, `{"rows":[…]}`))
	}
	for name := range fields {
		if name != "rows" {
			return nil, unknownField.because(`field %q is not known, the only one is "rows"`, shorten(name))
		}
	}
	if fieldTwice(body, fields["rows"]) {
		return nil, duplicateField.because(`field "rows" is there twice`)
	}
	var rows []json.RawMessage
	if raw := fields["rows"]; raw != nil {
		if err := json.Unmarshal(raw, &rows); err != nil {
			return nil, badJSON.because(`"rows": %v`, jsonError(err, "an array"))
		}
	}
	switch limit := x.g.cfg.MaxKeys; {
	case len(rows) == 0:
		return nil, noKeys.because(`name at least one row in "rows"`)
	case len(rows) > limit:
		return nil, tooManyKeys.because("there are %d rows, the limit is %d", len(rows), limit)
	}
	return rows, problem{}
}

// puts are the rows of a batchPut.
type puts struct {
	changes []store.Change
	place   []int     // of each change among the rows
	wrong   []problem // of each row; without a kind if there is none
}

func (x *exchange) parseRows(rows []json.RawMessage) puts {
	p := puts{wrong: make([]problem, len(rows))}
	for i, raw := range rows {
		c, err := x.res.writable.ParseChange(store.Change{Op: store.Put, Body: raw, AskCreated: true})
		if err != nil {
			p.wrong[i] = problemOf(err)
			continue
		}
		p.changes, p.place = append(p.changes, c), append(p.place, i)
	}
	return p
}

// sort notes what became of each row. Where all failed alike, that is the problem of the
// request itself: whoever was shed must see 429.
func (p *puts) sort(x *exchange, out []fulcrum.Outcome[store.Written]) problem {
	alike := len(out) == len(p.wrong)
	var first problem
	for i, o := range out {
		if o.Err == nil {
			alike = false
			continue
		}
		failed := x.report(o.Err)
		p.wrong[p.place[i]] = failed
		if first.kind == nil {
			first = failed
		}
		alike = alike && failed.kind == first.kind && (failed.status == http.StatusTooManyRequests || failed.status >= 500)
	}
	if alike {
		return first
	}
	return problem{}
}

// append writes the answer as JSON.
func (p *puts) append(b []byte, resource string, out []fulcrum.Outcome[store.Written]) []byte {
	made := make(map[int]int, len(out)) // places of outcomes, by row
	for i, at := range p.place {
		made[at] = i
	}
	l := list{append(b, `{"results":[`...), true}
	for row, wrong := range p.wrong {
		l.comma()
		i, parsed := made[row]
		if !parsed {
			l.b = append(wrong.append(append(l.b, `{"error":`...), prefix+resource), '}')
			continue
		}
		l.b = appendString(append(l.b, `{"key":`...), string(p.changes[i].Key))
		if wrong.kind != nil {
			l.b = append(wrong.append(append(l.b, `,"error":`...), prefix+resource+"/"+string(p.changes[i].Key)), '}')
			continue
		}
		l.b = appendWritten(l.b, out[i].Receipt)
	}
	return append(l.b, `]}`...)
}

func appendWritten(b []byte, r fulcrum.Receipt[store.Written]) []byte {
	b = append(b, `,"durability":"`...)
	b = append(append(b, r.Durability.String()...), '"')
	if r.Durability == fulcrum.DurabilityCommitted {
		b = strconv.AppendBool(append(b, `,"created":`...), r.Result.Created)
	}
	if r.Result.Version != "" {
		b = appendString(append(b, `,"version":`...), r.Result.Version)
	}
	if r.Token != "" {
		b = appendString(append(b, `,"token":`...), string(r.Token))
	}
	return append(b, '}')
}
