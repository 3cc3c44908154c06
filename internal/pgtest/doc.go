// Package pgtest runs real PostgreSQL servers for tests and benchmarks.
//
// Start gives a test a server of its own on a free loopback port and takes it
// away when the test ends; Launch does the same for a program. Servers can be
// stopped, started again, killed, frozen and followed by streaming replicas,
// so that a test can see what its code does when a database does those things.
//
//	db := pgtest.Start(t, pgtest.Databases("shop"))
//	pool, err := pgxpool.New(t.Context(), db.DSN())
//
// It is meant for tests and benchmark programs on Unix; production code must
// not import it.
//
// # How it is quick
//
// initdb takes about half a second, so it runs once per PostgreSQL version,
// user and day. Its result is kept and every server starts from a copy; a file
// lock lets any number of test processes share it. Servers live in /dev/shm
// unless they are Durable, TMPDIR is set or there is little room; then they
// live in os.TempDir.
//
// # How it leaves nothing behind
//
// PostgreSQL's postmaster is a direct child of the test process. On Linux the
// kernel sends it SIGQUIT when that process dies, however it dies, and an
// immediate shutdown follows. The kernel ties that signal to the thread that
// forked, not to the process, so each postmaster is started and awaited by a
// goroutine locked to its thread for as long as the server lives. A frozen
// server cannot react; for it a small shell waits at the other end of a pipe
// and thaws it once the pipe closes. Folders of dead processes are recognised
// by their free lock and removed by the next process.
//
// Only processes started here are ever signalled: the postmaster through its
// handle, and the processes whose parent it is at that moment.
//
// # Root
//
// PostgreSQL refuses to run as root. Then the servers run as the account
// "postgres", which owns their folder.
package pgtest
