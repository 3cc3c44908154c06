// Package postgres reads PostgreSQL for a [fulcrum.Reader]: rows as Go values with
// [Query] and [ReaderConfig], or as JSON for any table or view with [DB.Open]. It makes
// the commits of a [fulcrum.Writer].
//
// # One statement for every batch
//
// A batch of any size is one prepared statement with one array for each key column:
//
//	select t.*, k.i
//	from unnest($1::bigint[]) with ordinality as k(k1, i)
//	cross join lateral (select t."id", t."name" from "users" as t where t."id" = k.k1) as t
//
// The position i says which key a row belongs to. Nothing compares values outside
// of the database, so a key finds what `where id = $1` finds, whatever its type
// and collation call equal: citext, char(n), a collation that ignores case.
//
// The planner turns the lateral subquery into a nested loop over the key's index;
// into a view that groups it can push the key. Sessions run with plan_cache_mode =
// force_generic_plan (unless the DSN says otherwise): the statement is then
// planned once for each connection, for ten keys, and ten keys always favour the
// index. Without it PostgreSQL would plan each small batch anew, which costs more
// than to run it.
//
// A table's key must hold all columns of a unique index. A view has none and can
// only be Many; its key should be an indexed column of a table below. A table's
// Many key needs an index that begins with one of its columns, best one that
// begins with all of them and goes on with those of the order.
//
// # Writing
//
// A resource with Writable opens as a [store.Writable] (PostgreSQL 13 or later). The
// changes of a commit that one statement can make are made by one, with one array for
// each column:
//
//	insert into "users" as t ("id", "name") select k.k1, k.c2
//	from unnest($1::bigint[], $2::text[]) as k(k1, c2)
//	on conflict ("id") do update set "name" = excluded."name"
//	returning t.xmax = 0, pg_current_xact_id()
//
// Patches are an update, deletes a delete, with the position of each change beside its
// key, and the rows that come back say which changes found one. A commit that names
// several sets of columns has a statement for each of them. All statements and the end
// of the transaction are one round trip. Values travel as text, which the database's
// own input functions judge, but for integers, booleans, bytea and text.
//
// If a row fails on its data (SQLSTATE 22, 23, 44, 54, what a trigger raises, what a
// policy forbids) the commit is made again under savepoints, half of what is under
// suspicion at a time: one bad row among 1,000 costs at most 22 further statements,
// savepoints and all. Constraints that are checked at the end of the transaction are left so,
// unless one of them fails there; then each step is checked, and rows of this commit
// that need each other fail too. What may pass (08, 40, 53, 57P, a lost connection) is
// tried again; anything else is an error of the commit that names the table and says
// what to do.
//
// Keys that the database takes for the same although their texts differ (citext, char(n),
// numeric, a collation that ignores case) are found by a query of its own before the
// commit, and their changes are made one after the other.
//
// A version column is raised by one if it is an integer, or set to the time, and never
// to one that it had; a new row begins at 1, also after it was deleted. The columns that
// the database computes, and the version, cannot be written.
//
// COPY is not used: it tells no key, no version and nothing of single rows, and one
// row that is there already fails all others.
//
// # When the answer to COMMIT is lost
//
// The transaction's number travels back before the transaction ends, so that [store.Writable]'s
// Resolve can ask pg_xact_status about it. A number that was given out just before a crash
// may be given out again; the time at which the server's statistics began, which no crash
// survives, tells one life of a server from the next, and after a crash or a promotion
// only "aborted" is believed. Where the number did not arrive either, the error is
// [fulcrum.ErrAmbiguous] and there is nothing to ask about. A connection that has died
// while nobody used it is noticed before anything is sent.
//
// With [Config].Tokens each commit has a token "pg:system identifier:timeline:position",
// the position being that of the write-ahead log after the commit.
//
// # Replicas
//
// With [Config].Replicas, [DB.Copies] are what fulcrum.BackendConfig.Copies wants, and a
// call goes to the replica that fulcrum.CopyFrom names. Where it must come behind a write
// ([fulcrum.After]), the replica's position is asked for in a statement of its own before
// the query, in the same round trip: in one statement the snapshot would be older than
// the position. A token of another timeline than the replica's last restart point is
// none that it can know; the primary is asked then. How old a replica is follows from where
// the primary's log stood when, not from clocks of two machines.
//
// # Fulcrum's own tables
//
// [DB.Init] makes them: first answers to idempotency keys, positions of journals, dead
// letters. They are written in the transaction of the rows, which then takes three
// round trips.
//
// # Values as JSON
//
// Nothing is rounded and nothing is lost:
//
//	boolean, smallint, integer, oid       true, 42
//	bigint                                42; beyond ±2^53 a string
//	real, double precision                1.5; "NaN", "Infinity", "-Infinity"
//	numeric, money                        "12.50"
//	text, varchar, char(n), citext, enum  "text"; char(n) with its padding
//	json, jsonb                           as it is
//	bytea                                 "base64" with padding
//	uuid                                  "0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"
//	timestamptz                           "2024-02-29T12:30:00.5Z", in UTC
//	timestamp                             the same: it is taken to be in UTC
//	date, time, timetz                    "2024-02-29", "12:30:00.5", "12:30:00+02:00"
//	interval                              ISO 8601: "P1Y2M3DT4H5M6.5S"
//	array                                 JSON arrays, nested like its dimensions
//	everything else                       PostgreSQL's text as a string: inet, cidr,
//	                                      ranges, composite types, bit, hstore, xml …
//
// Infinite times are "infinity" and "-infinity". A year outside of 0 to 9999 has a
// sign and at least four digits, and year 0 is 1 BC, as in ISO 8601. A domain is
// shown like the type below it.
//
// All rows of a batch share one buffer, so whoever keeps one row for long should
// copy it.
//
// # Keys
//
// smallint, integer, bigint, text, varchar, char(n), citext, name, uuid, bytea
// (base64url), boolean, date, timestamp, timestamptz (RFC 3339), numeric, real,
// double precision, inet, cidr, enums and domains over these. A key that does not
// parse is a [store.KeyError] before the database sees it.
//
// # When the database goes away
//
// Calls fail with [store.ErrUnavailable] at once if it refuses, or with their
// context's error at its end, give or take 5 ms, if it is silent. Connections are made when they
// are needed, so it is used again as soon as it is back. A read that finds its
// pooled connection dead is tried again, on a new one if need be.
//
// # Row-level security
//
// With [Config].ScopeSetting every call runs in a transaction that first sets this
// parameter to the call's scope (see [fulcrum.WithScope]), in the same round trip.
// A policy such as
//
//	create policy tenant on orders using (tenant = current_setting('app.tenant', true))
//
// then shows each tenant its own rows. The setting ends with the transaction, so
// it cannot reach the next user of the connection. PostgreSQL lets superusers,
// roles with BYPASSRLS, and owners of tables without FORCE pass all policies, and
// views use their owner's rights unless they are security_invoker: connect as
// another role. Behind a policy an index helps only if the key type's equality is
// leakproof, as that of integers, uuid and text is.
package postgres
