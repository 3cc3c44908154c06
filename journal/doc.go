// Package journal keeps writes in an SQLite file until they are applied elsewhere.
//
// An append is answered once its record would outlive a loss of power: appends are
// gathered by a fulcrum.Writer into transactions with synchronous=FULL, so that many
// share one sync. Records have offsets that rise and never come again, and a shard by
// the hash of their scope and key; those of a shard that came together are one row. What
// was applied is trimmed, a part with each commit, and SQLite uses its room again.
//
//	j, err := journal.Open(ctx, journal.Config{Path: "users.journal"})
//	w, err := fulcrum.NewWriter(fulcrum.WriterConfig[T, R]{…, Journal: j})
//
// One process at a time may have a journal open. Each row has a checksum and says which
// record it follows: a file that is damaged is refused. So are appends to one that is full,
// cannot be written, or is older than what was applied of it; what it holds can still be
// read.
package journal
