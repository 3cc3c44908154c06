package postgres

import (
	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// FetchSQL is the statement that reads batches of a table.
func FetchSQL(t store.Table) string { return t.(*table).plan.Load().fetch.sql }

// Stat counts the pool's connections, those that are being made among them, and
// those in use.
func (db *DB) Stat() (total, acquired int) {
	s := db.pool.Stat()
	return int(s.TotalConns()), int(s.AcquiredConns())
}

// Blind has replicas be believed whatever they have seen.
func (db *DB) Blind() { db.blind = true }

// ReadToken is what a token names.
func ReadToken(t fulcrum.Token) (system string, timeline, at uint64, err error) {
	m, err := parseToken(t)
	return m.system, m.timeline, uint64(m.at), err
}
