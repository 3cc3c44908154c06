// Package usage finds out how a system is really used: how much at its peak, how
// long people wait before they leave, whether requests come together or alone, and
// what is hot. From that it derives the settings it would choose, each with its
// evidence and predicted gain.
//
// An [Analyzer] takes in one [Record] after the other, from a log (package logs) or
// from a running gateway, in bounded memory, and tells a [Report] at any time. It
// has no clock: all times come with the records.
//
// # What is exact and what is not
//
// Peaks, dispersion and clustering are exact up to [Config.MaxHours] of traffic at a
// time. Keys are counted exactly up to [Config.MaxKeys] different ones; then a sample
// of keys, chosen by their hash, is counted instead, the number of keys comes from a
// HyperLogLog sketch and the top keys from space-saving counters. The miss-ratio
// curve is exact up to [Config.ExactReferences]; beyond, it follows a sample of keys
// (SHARDS, Waldspurger et al., FAST 2015).
//
// A log whose times are whole seconds says nothing about what happens within one:
// neither does the report.
package usage
