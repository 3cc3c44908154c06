package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
)

// ambiguous marks an error as the loss of the answer to COMMIT.
type ambiguous struct{ err error }

func (e ambiguous) Error() string   { return fmt.Sprintf("%v: %v", fulcrum.ErrAmbiguous, e.err) }
func (e ambiguous) Unwrap() []error { return []error{fulcrum.ErrAmbiguous, e.err} }

var errOutOfStep = errors.New("postgres: the server's answers are out of step")

// A flight is what travels to the server together, and the answers to it.
type flight struct {
	ctx   context.Context
	pipe  *pgconn.Pipeline
	reads []reading // one for each statement
	asked bool      // for the token
}

// A reading reads the answer to a statement.
type reading struct {
	row func([][]byte) error
	end func() error // after the last row; nil for nothing
	tag *string      // where the command's tag goes; nil for nowhere
}

func takeOff(ctx context.Context, c *pgx.Conn) *flight {
	return &flight{ctx: ctx, pipe: c.PgConn().StartPipeline(ctx)}
}

func ignoreRows([][]byte) error { return nil }

// prepared adds a prepared statement.
func (f *flight) prepared(sd *pgconn.StatementDescription, params *parameters, formats []int16, row func([][]byte) error) {
	f.pipe.SendQueryStatement(sd, params.values, params.formats, formats)
	f.reads = append(f.reads, reading{row: row})
}

// plain adds a statement that is not worth preparing.
func (f *flight) plain(sql string, params *parameters, formats []int16, row func([][]byte) error) {
	var values [][]byte
	var kinds []int16
	if params != nil {
		values, kinds = params.values, params.formats
	}
	f.pipe.SendQueryParams(sql, values, nil, kinds, formats)
	f.reads = append(f.reads, reading{row: row})
}

// command adds a statement without rows.
func (f *flight) command(sql string) { f.plain(sql, nil, nil, ignoreRows) }

// after has end called after the last row of the last statement.
func (f *flight) after(end func() error) { f.reads[len(f.reads)-1].end = end }

// A failure is an error with the place at which it came up.
type failure struct {
	err  error
	at   int  // of the statement
	last bool // all statements had succeeded
}

// land reads the answers to all statements, up to the first that failed.
func (f *flight) land() failure {
	for at, r := range f.reads {
		err := nextTagged(f.pipe, r.row, r.tag)
		if err == nil && r.end != nil {
			err = r.end()
		}
		if err != nil {
			return failure{err: err, at: at}
		}
	}
	result, err := f.pipe.GetResults()
	if _, ok := result.(*pgconn.PipelineSync); err == nil && !ok {
		err = errOutOfStep
	}
	return failure{err: err, at: len(f.reads), last: true}
}

// close ends the flight. What was not read is passed over.
func (f *flight) close() error { return f.pipe.Close() }

// commitFailure says what an error means if it came up where COMMIT had been sent.
func commitFailure(f failure) error {
	refused := refusalIn(f.err)
	switch {
	case f.err == nil:
		return nil
	case refused != nil && (!f.last || refused.SeverityUnlocalized == "ERROR"):
		return f.err // the transaction ended before COMMIT, or by it
	case pgconn.SafeToRetry(f.err):
		return f.err
	}
	return ambiguous{f.err}
}

// tokenSQL asks for the moment up to which all is committed that was so before.
const tokenSQL = "select (" + endSQL + ")::text"

// endSQL is the end of the log as commits make it. Where they wait for the disk, that is
// what is on it; what others have begun to write beyond would have replicas look as if
// they lagged until it is flushed.
const endSQL = `select case pg_catalog.current_setting('synchronous_commit') when 'off' then pg_catalog.pg_current_wal_insert_lsn()
	else pg_catalog.pg_current_wal_flush_lsn() end`

var tokenStatement = newStatement(tokenSQL)

// askToken ends the transaction, and adds the question for the token behind it; nil adds
// none.
func (f *flight) askToken(sd *pgconn.StatementDescription) {
	f.pipe.SendPipelineSync()
	if f.asked = sd != nil; !f.asked {
		return
	}
	f.pipe.SendQueryStatement(sd, nil, nil, []int16{textFormat})
	f.pipe.SendPipelineSync()
}

// readToken reads the answer. The commit is made: an error costs the token alone.
func (f *flight) readToken(who *identity) fulcrum.Token {
	if !f.asked {
		return ""
	}
	var lsn string
	err := nextResult(f.pipe, func(values [][]byte) error {
		lsn = string(values[0])
		return nil
	})
	if err != nil || lsn == "" {
		return ""
	}
	return who.token(lsn)
}

// tell hands out the token of a commit that is made.
func (j *job) tell(f *flight) {
	token := f.readToken(j.who)
	j.c.SetToken(token)
	if token != "" {
		j.w.db.primary.passed(token)
	}
}

// isCommit says whether a command's tag is that of a transaction that was committed:
// COMMIT of one that has failed is answered with ROLLBACK.
func isCommit(tag string) bool { return strings.HasPrefix(tag, "COMMIT") }
