// Package sim runs the library's own deciders, internal/dispatch and internal/tune,
// in virtual time against a modelled backend. It answers what would happen at
// another load, with another tuner or on another database, some hundred times
// faster than it would happen, and the same each time for the same seed.
package sim
