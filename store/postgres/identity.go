package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
)

// An identity says which server, in which of its lives, a connection leads to. A
// connection does not outlive any of it.
type identity struct {
	system   string // identifier of the cluster, shared by a primary and its replicas
	timeline string // in hexadecimal digits; a new one after each promotion
	life     string // when the server's counters began: anew after each crash
}

// identitySQL is asked for once per connection. Statistics do not survive a crash, so
// the time at which they began tells one life of a server from the next.
const identitySQL = `select (select system_identifier::text from pg_catalog.pg_control_system()),
	case when pg_catalog.pg_is_in_recovery() then '' else pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end,
	coalesce((extract(epoch from stats_reset) * 1000000)::bigint::text, '') from pg_catalog.pg_stat_bgwriter`

const identityKey = "fulcrum identity"

// identify says where a connection leads.
func identify(ctx context.Context, c *pgx.Conn) (*identity, error) {
	known := c.PgConn().CustomData()
	if who, ok := known[identityKey].(*identity); ok {
		return who, nil
	}
	who := &identity{}
	if err := c.QueryRow(ctx, identitySQL).Scan(&who.system, &who.timeline, &who.life); err != nil {
		return nil, err
	}
	known[identityKey] = who
	return who, nil
}

// token names a moment: the system identifier, the timeline, and the position in the
// write-ahead log, such as "pg:7312345678901234567:00000001:0/16B3748".
func (who *identity) token(lsn string) fulcrum.Token {
	return fulcrum.Token("pg:" + who.system + ":" + who.timeline + ":" + lsn)
}

// commitID names a transaction of this life of the server.
func (who *identity) commitID(xid uint64) fulcrum.CommitID {
	return fulcrum.CommitID(strings.Join([]string{"pg", who.system, who.timeline, who.life, strconv.FormatUint(xid, 10)}, ":"))
}

var errCommitID = errors.New("postgres: not the ID of a commit")

func parseCommitID(id fulcrum.CommitID) (who identity, xid uint64, err error) {
	parts := strings.Split(string(id), ":")
	if len(parts) != 5 || parts[0] != "pg" {
		return who, 0, errCommitID
	}
	if xid, err = strconv.ParseUint(parts[4], 10, 64); err != nil {
		return who, 0, errCommitID
	}
	return identity{parts[1], parts[2], parts[3]}, xid, nil
}

// Resolve asks the database what became of a commit whose answer was lost, until it
// answers or ctx ends. A transaction that still runs is waited for.
//
// A number that was given out just before a crash may be given out again after it.
// After a crash or a promotion therefore only "aborted" is believed.
func (w *writable) Resolve(ctx context.Context, id fulcrum.CommitID) (fulcrum.Fate, error) {
	was, xid, err := parseCommitID(id)
	if err != nil {
		return fulcrum.FateUnknown, err
	}
	for pause := newBackoff(); ; {
		fate, running, err := w.db.askFate(ctx, &was, xid)
		if err == nil && !running {
			return fate, nil
		}
		if !pause.wait(ctx) {
			if err == nil {
				err = fmt.Errorf("postgres: the transaction still runs: %w", context.DeadlineExceeded)
			}
			return fulcrum.FateUnknown, err
		}
	}
}

// askTimeout bounds one question, so that a connection that is silent does not use up
// all the time there is.
const askTimeout = 5 * time.Second

func (db *DB) askFate(ctx context.Context, was *identity, xid uint64) (fate fulcrum.Fate, running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var status string
	var who *identity
	err = db.run(ctx, func(ctx context.Context, c *pgx.Conn) (err error) {
		if who, err = identify(ctx, c); err != nil {
			return err
		}
		err = c.QueryRow(ctx, "select coalesce(pg_catalog.pg_xact_status($1::text::pg_catalog.xid8), '')", strconv.FormatUint(xid, 10)).Scan(&status)
		if refused := refusalIn(err); refused != nil && refused.Code == "22023" { // it is in the future: it was forgotten
			status, err = "aborted", nil
		}
		return err
	})
	if err != nil {
		return fulcrum.FateUnknown, false, err
	}
	switch {
	case who.system != was.system, who.timeline == "":
		return fulcrum.FateUnknown, false, nil
	case status == "in progress":
		return fulcrum.FateUnknown, *who == *was, nil
	case status == "aborted":
		return fulcrum.FateAborted, false, nil
	case status == "committed" && *who == *was:
		return fulcrum.FateCommitted, false, nil
	}
	return fulcrum.FateUnknown, false, nil
}
