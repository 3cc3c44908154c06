// Package fulcrum decides, for every data request, whether to answer at once or
// to share the work.
//
// # One query for many callers
//
// A service asks its database for one row at a time, from thousands of
// goroutines. A [Reader] joins those that come together into one query:
//
//	users, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{
//		Name: "users",
//		Fetch: fulcrum.FetchMap(func(ctx context.Context, ids []int64) (map[int64]User, error) {
//			return loadUsers(ctx, ids) // … where id in (…)
//		}),
//	})
//	u, err := users.Get(ctx, 42)
//
// Nobody waits when nobody else is there: a lone Get runs at once, alone. While
// queries are in flight, later Gets gather; when one query is done, what has
// gathered leaves together. There is no timer in this path: the busier the
// database, the larger the batches, the less each row costs.
//
// # What each caller can rely on
//
//   - Its own answer or its own error: [Batch.Set] and [Batch.Fail] speak of one
//     key, [ErrNotFound] is what remains unsaid, and a panic in Fetch becomes a
//     [PanicError] of the keys that cause it.
//   - Its own deadline: a caller whose context ends leaves at once, and nobody
//     else notices. Fetch sees no caller's context, only a deadline and the scope.
//   - Fresh data: a Get joins a query only while that is still queued, never one
//     in flight, so it reads what was committed before it was called.
//   - A bounded wait: a full lane refuses with a [ShedError] that says why and
//     when to come back.
//
// # Whom to serve first
//
// [Urgent] requests take reserved slots and go alone; [Normal] ones share; [Bulk]
// ones share behind them. The class comes with the call or with its context:
//
//	u, err := users.Get(ctx, 42, fulcrum.Urgent)
//	ctx = fulcrum.WithOptions(ctx, fulcrum.Bulk)
//
// [WithScope] names the tenant. Requests of different scopes never share a query,
// and Fetch finds the scope with [ScopeFrom].
//
// # Steering and seeing
//
// A [Policy] holds the limits: batches in flight, reserved slots, largest batch,
// queue lengths. [Reader.SetPolicy] swaps it while requests run. [Reader.Stats]
// tells what happened and why; [Hooks] tell it as it happens.
//
// # One database, several Readers
//
// Readers of one database share a [Backend]: its slots, max-min fair, a tuner that
// finds how many of them the database bears, and a circuit that leaves it alone
// while it fails ([ErrCircuitOpen]). Under stress its mode changes, and load beyond
// what can be answered is shed early. Each change has a reason, in
// [BackendConfig].OnEvent and [Backend.Stats].
package fulcrum
