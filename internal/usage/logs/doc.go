// Package logs reads requests from logs of many formats, compressed or not: access
// logs of web servers and proxies, PostgreSQL's logs and statistics, CSV and JSON
// lines, and recorded traces of keys. It finds out the format by itself ([Open]) and
// counts lines that do not have it.
//
// A format is a [parser]: it fills a record from a line without allocating, where
// speed matters. Fields with names, in whatever format, go through one table of
// aliases (fields.go), so that a time is understood alike everywhere.
package logs
