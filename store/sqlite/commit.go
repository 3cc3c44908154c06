package sqlite

import (
	"context"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// How a commit is made to last, as Config.Synchronous says it.
const (
	SyncFull   = "full"   // an answered commit outlives a loss of power
	SyncNormal = "normal" // it outlives the process; a loss of power may undo the last ones
	SyncOff    = "off"    // a loss of power may destroy the file
)

var _ store.Committer = (*DB)(nil)

// Commits is 1: SQLite makes one at a time, on a connection beside Conns.
func (db *DB) Commits() int { return 1 }

// mayCommit is why nothing can be written, nil if it can.
func (db *DB) mayCommit() error {
	if db.cfg.ReadOnly {
		return fmt.Errorf("sqlite: %s is opened with ReadOnly: leave that out to write", db.cfg.Path)
	}
	return nil
}

// commit runs f on the connection that writes, which it opens when first needed. A
// mapped file that somebody cuts off ends f, as in with.
func (db *DB) commit(ctx context.Context, f func(*conn) error) error {
	if err := db.mayCommit(); err != nil {
		return err
	}
	select {
	case db.committing <- struct{}{}:
	case <-db.done:
		return db.errClosed()
	case <-ctx.Done():
		return fmt.Errorf("sqlite: another commit is in flight: %w", ctx.Err())
	}
	defer func() { <-db.committing }()
	if db.closed.Load() {
		return db.errClosed()
	}
	if db.committer == nil {
		c, err := openConn(db, db.writePragmas())
		if err != nil {
			return err
		}
		db.committer = c
	}
	db.committer.ctx = ctx
	lost, err := db.guarded(db.committer, f)
	if lost {
		db.committer = nil
		return err
	}
	db.committer.ctx, db.committer.ended = nil, nil
	if sqlite3.Xsqlite3_get_autocommit(db.committer.tls, db.committer.handle) == 0 { // undoing has failed too
		db.committer.close()
		db.committer = nil
	}
	if err == nil {
		db.committed.Add(1)
	}
	return err
}

// walPages is after how many pages the log is written back into the file: 40 MiB. Rows
// that are changed again meanwhile are written back once. With SQLite's 1,000 a fifth of
// the time went into that.
const walPages = 10_000

// writePragmas are what the connection that writes runs when it is opened.
func (db *DB) writePragmas() []string {
	return []string{
		"pragma journal_mode = wal",
		"pragma synchronous = " + db.cfg.Synchronous,
		"pragma foreign_keys = on",
		fmt.Sprintf("pragma wal_autocheckpoint = %d", walPages),
		fmt.Sprintf("pragma mmap_size = %d", max(0, db.cfg.MapBytes)),
	}
}

// moment is the token of what is committed by now: reads see all of it.
func (db *DB) moment() fulcrum.Token {
	return fulcrum.Token(fmt.Sprintf("sqlite-%x-%d", db.opened, db.committed.Load()))
}

// planOf is the plan of a statement, the same for the same text. Texts come from
// configurations and from which columns bodies name; there is room for so many.
func (db *DB) planOf(sql string) *plan {
	db.mu.Lock()
	defer db.mu.Unlock()
	if p := db.texts[sql]; p != nil {
		return p
	}
	p := &plan{id: db.plans, sql: sql}
	if len(db.texts) >= mostTexts {
		p.id = ownStatement
		return p
	}
	db.plans++
	db.texts[sql] = p
	return p
}

const (
	// mostTexts is how many statements for writing are kept prepared.
	mostTexts = 1000
	// ownStatement is the id of a plan that shares one statement with all of its kind.
	ownStatement = 0
)
