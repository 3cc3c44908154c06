package postgres

import "github.com/fulcrum-data/fulcrum/store"

// FetchSQL is the statement that reads batches of a table.
func FetchSQL(t store.Table) string { return t.(*table).plan.Load().fetch.sql }

// Stat counts the pool's connections, those that are being made among them, and
// those in use.
func (db *DB) Stat() (total, acquired int) {
	s := db.pool.Stat()
	return int(s.TotalConns()), int(s.AcquiredConns())
}
