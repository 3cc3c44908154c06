package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// A verdict says what an error of a write means for those in the same commit.
type verdict int

const (
	hopeless verdict = iota // the statement, or the table: nobody's change can be made
	ofRows                  // single rows cause it
	passing                 // the same may succeed later
)

// verdictOf looks at an SQLSTATE.
func verdictOf(e *pgconn.PgError) verdict {
	switch {
	case len(e.Code) < 5:
		return hopeless
	case e.Code == "42501" && e.Routine == "ExecWithCheckOptions": // a policy does not allow this row
		return ofRows
	case e.Code == "55P03" || e.Code == "25006" || e.Code == "55006": // a lock, a standby, an object in use
		return passing
	case strings.HasPrefix(e.Code, "57P"):
		return passing
	}
	switch e.Code[:2] {
	case "22", "23", // data exception, integrity constraint violation
		"21", // two rows of a statement that are the same for an index
		"44", // check option
		"54", // too long for an index
		"P0": // what a trigger raises
		return ofRows
	case "08", "40", "53": // connection, rollback, resources
		return passing
	}
	return hopeless
}

// isRowError says whether single rows cause an error.
func isRowError(err error) bool {
	if errors.Is(err, errUnclear) {
		return true
	}
	refused := refusalIn(err)
	return refused != nil && verdictOf(refused) == ofRows
}

// passes says whether it makes sense to try again what failed before COMMIT was sent.
func passes(err error) bool {
	if refused := refusalIn(err); refused != nil {
		return verdictOf(refused) == passing || outdated(err)
	}
	var none noConnection
	var wrong *store.ConfigError
	switch {
	case errors.As(err, &none):
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	case errors.As(err, &wrong), isBodyError(err), errors.Is(err, errSchemaChanged), errors.Is(err, errOutOfStep), errors.Is(err, errUnclear), errors.Is(err, fulcrum.ErrPosition):
		return false
	}
	return true // the connection broke
}

// isSchemaError says whether the table may not be what it was when it was opened.
func isSchemaError(err error) bool {
	refused := refusalIn(err)
	return refused != nil && (strings.HasPrefix(refused.Code, "42") || refused.Code == "0A000") && verdictOf(refused) == hopeless
}

// rowError is what the database has against one change.
func rowError(err error) error {
	refused := refusalIn(err)
	if refused == nil {
		return err
	}
	return &store.RowError{
		Constraint: refused.ConstraintName, Column: refused.ColumnName, Code: refused.Code, Message: refused.Message,
	}
}

// explainWrite says what an error means to the caller: of the table, what to do; of
// the network, that the database is away.
func (w *writable) explainWrite(ctx context.Context, err error) error {
	err = missingOwn(w.resource.Name, err)
	refused := refusalIn(err)
	if refused != nil && verdictOf(refused) == hopeless && refusalOf(refused.Code) == statementRefused {
		return fmt.Errorf("postgres: resource %q: table %s cannot be written: %s (SQLSTATE %s): %s: %w",
			w.resource.Name, w.resource.Table, refused.Message, refused.Code, remedy(refused.Code), err)
	}
	var wrong *store.ConfigError
	if errors.As(err, &wrong) || errors.Is(err, errOutOfStep) {
		return err
	}
	if over := ended(ctx); over != nil {
		return errors.Join(over, unavailable{err})
	}
	return unavailable{err}
}

// remedy says what to do about an SQLSTATE.
func remedy(code string) string {
	switch code {
	case "42501":
		return "grant select, insert, update and delete on it to Fulcrum's role"
	case "42P01":
		return "make the table, or correct the resource"
	case "42703":
		return "make the column, or correct the resource"
	case "42P10":
		return "make a unique index over exactly the key's columns"
	}
	return "look at what changed in the database, and correct the table or the resource"
}
