package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// errSeveralRows is the error of a key that has more than one row in spite of the
// unique index: tables that inherit from the one that was opened are not in it.
var errSeveralRows = errors.New("postgres: more than one row for a key; make the resource many")

// unavailable marks an error as the database's absence.
type unavailable struct{ err error }

func (e unavailable) Error() string   { return fmt.Sprintf("%v: %v", store.ErrUnavailable, e.err) }
func (e unavailable) Unwrap() []error { return []error{store.ErrUnavailable, e.err} }

// ended is the context's error, if it has one by now. A deadline counts when it
// has passed, even if the context's timer has not fired yet.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return nil
}

// explain says what an error of a call means for the caller whose context ctx is:
// the context's own error, the database's absence (store.ErrUnavailable), or what
// it was. The connection did not survive if lost is true.
func explain(ctx context.Context, err error, lost bool) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refusalOf(refused.Code) != serverRefused {
		return fmt.Errorf("postgres: %w", err)
	}
	over := ended(ctx)
	switch {
	case over != nil:
		return over
	case lost, refused != nil, pgconn.Timeout(err):
		return unavailable{err}
	}
	return err
}

// divisible marks an error that single keys cause.
func divisible(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refusalOf(refused.Code) == keyRefused {
		return fulcrum.Divisible(err)
	}
	return err
}

// A refusal says what the server's error speaks of.
type refusal int

const (
	statementRefused refusal = iota // the statement: nothing changes if it comes again
	keyRefused                      // a value
	serverRefused                   // the server, which cannot serve now
)

// refusalOf looks at an SQLSTATE.
func refusalOf(code string) refusal {
	if len(code) < 2 {
		return statementRefused
	}
	switch code[:2] {
	case "22", "23": // data exception, integrity constraint violation
		return keyRefused
	case "08", "53", "57", "58", // connection, resources, operator intervention, system
		"28", "3D", // who may log in where: it did not concern this connection
		"40": // conflict with recovery, on a replica
		return serverRefused
	}
	return statementRefused
}

// stale says whether an error on a connection that did not survive it means that
// the connection was dead or dying when it was taken, so that another one may
// serve. A deadline does not mean that.
func stale(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "57P") || strings.HasPrefix(refused.Code, "08")
	}
	return !pgconn.Timeout(err)
}

// outdated says whether a prepared statement no longer fits, or no longer exists.
func outdated(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "0A000": // cached plan must not change result type
			return refused.Routine == "RevalidateCachedQuery"
		case "26000": // a pooler gave us another server
			return true
		}
	}
	return false
}

// errSchemaChanged says that the columns are not of the types they were of.
var errSchemaChanged = errors.New("postgres: the table has changed since it was opened")

// refusalIn is the server's error, nil if it is not one of the server's.
func refusalIn(err error) *pgconn.PgError {
	var refused *pgconn.PgError
	errors.As(err, &refused)
	return refused
}
