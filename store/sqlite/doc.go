// Package sqlite reads SQLite files for a [fulcrum.Reader]: rows as Go values with
// [Query] and [ReaderConfig], or as JSON for any table with [DB.Open].
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
// # What it does to the file
//
// A file is opened, never made. Unless Config.ReadOnly is set it is put into WAL
// mode, where readers and writers do not wait for each other; it stays in that
// mode afterwards. All connections refuse to write.
package sqlite
