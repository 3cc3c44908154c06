// Package sqlite reads SQLite files for a [fulcrum.Reader]: rows as Go values with
// [Query] and [ReaderConfig], or as JSON for any table with [DB.Open]. Tables that are
// opened as Writable are written as well, through a [fulcrum.Writer].
//
// # How it is fast
//
// A point select spends most of its time around SQLite, not in it: finding a
// connection, a goroutine that watches the context, values boxed and copied. Here
// a connection is taken from a stack of warm ones, a statement stays prepared on
// it, and values go from SQLite's memory into the caller's without a stop.
// Deadlines cost nothing until a query is long: SQLite asks after every thousand
// steps of its virtual machine whether it should go on.
//
// # What a shared query is
//
// A batch runs the plain query, with one prepared statement, for one key after
// the other inside one read transaction. In an embedded database that is as fast
// as a join with a list of keys, because what callers share is the connection and
// the snapshot. It keeps three promises without effort: a row belongs to the key
// that found it, whatever collation and affinity say; a limit for each key stops
// at the limit; and a row that cannot be read fails alone.
//
// # What a commit is
//
// SQLite has one writer, so one connection beside those of the readers makes all commits,
// one after the other. A commit is one transaction, begun with the write lock, and each of
// its changes a prepared statement: one that breaks a constraint undoes itself alone.
// Deferred foreign keys can fail only at the end; then the transaction is made again, with
// a look after each row, and a row that needs one that comes later in it fails.
//
// With Config.Synchronous left as it is, an answered commit outlives a loss of power. A
// lock that another process holds is waited for, as long as Config.BusyTimeout and the
// context allow; that, a full disk and a disk that fails are store.ErrUnavailable, and
// nothing of the transaction is there. Only if the sync itself has failed that cannot be
// said, and the error is fulcrum.ErrAmbiguous.
//
// The token of a commit counts the commits of this DB since it was opened. Readers of the
// same DB see what was answered at once.
//
// # What it does to the file
//
// A file is opened, never made. Unless Config.ReadOnly is set it is put into WAL
// mode, where readers and writers do not wait for each other; it stays in that
// mode afterwards. The connections of readers refuse to write. [DB.Init] makes Fulcrum's
// own tables, fulcrum_once, fulcrum_positions and fulcrum_dead_letters.
package sqlite
