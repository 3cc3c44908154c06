// Package shared keeps what fulcrum.Readers have read in Redis, where other processes find
// it, too. It stands behind the batch: one round trip asks for all keys of a query, and the
// database is asked for those that are missing.
//
//	link, err := shared.Open(shared.LinkConfig{URL: "redis://127.0.0.1:6379"})
//	tier, err := shared.New(link, shared.Config[int64, User]{Resource: "users", …})
//	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{Fetch: tier.Fetch(fetch), …})
//
// A write calls Begin before it is committed and End before it is acknowledged. A near tier
// (cache.Near) in front of the Reader is told of others' writes through Tell.
//
// # What it promises
//
// No read that begins after a write was acknowledged gets a value from before it, if both
// went through the same Link. Through another Link that holds, too, but for two bounds:
//
//   - A near tier hears of the write when Redis has told it: within 3 heartbeats, 1.2 s, or it
//     stops telling what it has. Without a near tier there is nothing to wait for.
//   - A write whose process cannot reach Redis when it begins is not known to others until it
//     can again. What they had kept before it is told for up to TTL, and by a near tier that
//     took it from Redis for the near tier's TTL on top. A Redis that nobody can reach is no
//     such case: nobody reads from it, and when it is back, all wait for Settle before they do.
//
// Redis is never why a request fails. One that does not answer within Timeout is passed over;
// after three such answers, or an error, all requests pass it over until it answers in the
// background. Near tiers are empty for as long as they cannot hear of others' writes.
//
// # How it keeps that
//
//   - Who finds no value gets a token, and a value is kept only under the token that is still
//     there. Begin and End take tokens and values away. Between them nothing is kept: Begin
//     leaves a mark, which expires after WriteTime in case that the writer died.
//   - A Link that could not tell Redis of a write remembers it, tells it first when Redis is
//     back, and reads nothing until then. If there is too much to remember, it remembers to
//     forget everything of the resource.
//   - The keys of a Redis begin with its run_id, so that one that restarts with an old
//     snapshot has nothing to tell. All that is asked of Redis is asked by a script that it
//     knows only if it is still the one whose run_id was seen.
//
// A value that Redis drops for want of memory costs a query, no more. It has to be Redis 7 or
// newer, or Valkey; a cluster is not supported. One that has become a replica is noticed, since
// it refuses the script. One that becomes the primary again without a restart, within a TTL,
// is not.
package shared
