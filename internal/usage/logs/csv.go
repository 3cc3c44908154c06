package logs

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// csv reads comma-separated values. The first line may name the columns; without
// names, the first column is the time, unless the user says otherwise. Values between
// quotes may go over several lines.
type csv struct {
	filler
	names    mapping
	columns  []field
	begun    bool
	open     bool     // a value goes on
	lines    []byte   // with such values
	values   [][]byte // of the line
	postgres *pgLog
}

const maxCSVLine = 1 << 20

func (c *csv) parse(line []byte, r *usage.Record) outcome {
	odd := bytes.Count(line, []byte(`"`))%2 == 1
	if c.open || odd {
		if len(c.lines)+len(line) > maxCSVLine {
			c.open, c.lines = false, c.lines[:0]
			return broken
		}
		if c.open {
			c.lines = append(c.lines, '\n')
		} else {
			c.lines = c.lines[:0]
		}
		c.lines = append(c.lines, line...)
		if c.open = c.open != odd; c.open {
			return passed
		}
		line = c.lines
	}
	c.split(line)
	if !c.begun {
		c.begun = true
		if c.header() {
			return passed
		}
	}
	c.begin(r)
	if c.postgres != nil {
		return c.postgres.record(c, r)
	}
	return c.record(r)
}

// split cuts a line into values and unquotes them in place.
func (c *csv) split(line []byte) {
	c.values = c.values[:0]
	for {
		if len(line) > 0 && line[0] == '"' {
			value, n := unquote(line)
			c.values = append(c.values, value)
			line = line[n:]
			if len(line) == 0 {
				return
			}
			line = line[1:]
			continue
		}
		i := bytes.IndexByte(line, ',')
		if i < 0 {
			c.values = append(c.values, bytes.TrimSpace(line))
			return
		}
		c.values = append(c.values, bytes.TrimSpace(line[:i]))
		line = line[i+1:]
	}
}

// unquote reads a value between quotes, in which two quotes stand for one, and
// returns how much of the text it took, up to the next comma or the end.
func unquote(text []byte) (value []byte, n int) {
	value = text[1:1:len(text)]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
			value = append(value, text[i])
		case i+1 < len(text) && text[i+1] == '"':
			value = append(value, '"')
			i++
		default:
			end := i + 1
			for end < len(text) && text[end] != ',' {
				end++
			}
			return value, end
		}
	}
	return value, len(text)
}

// header says whether the line names columns, and learns them. Columns given by
// number are 1 and up.
func (c *csv) header() bool {
	c.columns = make([]field, len(c.values))
	known := false
	for i, v := range c.values {
		c.columns[i] = c.names.named(string(v))
		known = known || c.columns[i] != unknown
	}
	if i := slices.IndexFunc(c.values, func(v []byte) bool { return string(v) == "query" }); i >= 0 && slices.Contains(c.columns, timesField) {
		c.columns[i] = pathField // of pg_stat_statements, where it is the statement
	}
	if known && (len(c.values) == 0 || !c.isTime(c.values[0])) {
		return true
	}
	c.columns = make([]field, len(c.values))
	for name, f := range c.names {
		if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(c.columns) {
			c.columns[n-1] = f
			known = true
		}
	}
	if !known && len(c.columns) > 0 {
		c.columns[0] = timeField
	}
	return false
}

func (c *csv) isTime(v []byte) bool {
	_, ok := c.clock.any(v)
	return ok
}

func (c *csv) record(r *usage.Record) outcome {
	some := false
	for i, f := range c.columns {
		if f == unknown {
			continue
		}
		if i >= len(c.values) || !c.set(r, f, c.values[i]) {
			return broken
		}
		some = some || len(c.values[i]) > 0
	}
	c.end(r)
	return usable(some, r)
}

// pgLog reads PostgreSQL's csvlog: https://www.postgresql.org/docs/current/runtime-config-logging.html
// Statements with a duration are requests; the log's time is that of their end.
type pgLog struct{}

// The columns of csvlog.
const (
	pgTime     = 0
	pgClient   = 4
	pgSeverity = 11
	pgMessage  = 13
	pgQuery    = 19
	pgColumns  = 23 // at least
)

var (
	pgDuration  = []byte("duration: ")
	pgCancelled = []byte("canceling statement due to user request")
)

func (*pgLog) record(c *csv, r *usage.Record) outcome {
	if !isPGLog(c.values) || !c.set(r, timeField, c.values[pgTime]) {
		return broken
	}
	client := c.values[pgClient]
	if i := bytes.LastIndexByte(client, ':'); i >= 0 {
		client = client[:i]
	}
	r.Client = client
	message := c.values[pgMessage]
	if bytes.Equal(message, pgCancelled) {
		r.Aborted, r.Path = true, c.values[pgQuery]
		return parsed
	}
	rest, ok := bytes.CutPrefix(message, pgDuration)
	if !ok {
		return passed
	}
	took, statement, ok := bytes.Cut(rest, []byte(" ms"))
	if !ok || !setTook(r, tookMillis, took) {
		return broken
	}
	r.Time -= int64(r.Took)
	_, r.Path, _ = bytes.Cut(statement, []byte(": "))
	return parsed
}

// isPGLog knows csvlog by its number of columns and its severities.
func isPGLog(values [][]byte) bool {
	if len(values) < pgColumns {
		return false
	}
	switch string(values[pgSeverity]) {
	case "LOG", "ERROR", "FATAL", "WARNING", "NOTICE", "INFO", "PANIC", "DEBUG":
		return true
	}
	return false
}
