// Package postgres reads PostgreSQL for a [fulcrum.Reader]: rows as Go values with
// [Query] and [ReaderConfig], or as JSON for any table or view with [DB.Open].
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
