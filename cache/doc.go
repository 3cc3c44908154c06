// Package cache keeps what a fulcrum.Reader has read in the memory of the process, so
// that keys which are asked for again cost no query.
//
//	near, err := cache.New(cache.Config[int64, User]{Entries: 20_000})
//	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{Cache: near, …})
//	writer, err := fulcrum.NewWriter(fulcrum.WriterConfig[Change, Done]{
//		Invalidate: cache.Invalidating[Change, Done](near, func(c Change) int64 { return c.ID }), …})
//
// # What it promises
//
// No Get that begins after a write was acknowledged returns a value from before it, if the
// write was told to the Near: by a Writer with Invalidate, by Begin, or by Forget. Of what
// it is not told (other processes, other programs, triggers, cascades) it learns when an
// entry is older than TTL, and nothing else bounds that.
//
// # How it keeps that
//
// Each key belongs to a stripe, and a stripe is one word: a generation, and how many
// writes are under way. A write raises the generation when it begins and when it is over.
// Before a query the word is read (the lease), and the entry that is made of the answer
// holds it; an entry is told only while its stripe's word is still the same. So a write
// never has to find the entries that it makes old, in whatever scope they are, and an
// answer that comes late is old the moment it is kept. Keys that share a stripe with one
// that is written are read anew, too; there are two stripes for each entry.
package cache
