package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/fulcrum-data/fulcrum"
)

// User is what the examples read.
type User struct {
	ID   int64
	Name string
}

// table stands for a database.
var table = map[int64]User{1: {1, "Ada"}, 2: {2, "Grace"}, 3: {3, "Barbara"}}

// A Reader answers single reads; those that come together share one query.
func ExampleReader() {
	users, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{
		Name: "users",
		Fetch: func(ctx context.Context, b *fulcrum.Batch[int64, User]) error {
			for _, id := range b.Keys() { // one query for all of them
				if u, ok := table[id]; ok {
					b.Set(id, u)
				}
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer users.Shutdown(ctx)

	u, err := users.Get(ctx, 2)
	fmt.Println(u.Name, err)

	_, err = users.Get(ctx, 42, fulcrum.Urgent)
	fmt.Println(errors.Is(err, fulcrum.ErrNotFound))
	// Output:
	// Grace <nil>
	// true
}

// FetchMap is the short way for a function that takes keys and returns a map.
func ExampleFetchMap() {
	load := func(ctx context.Context, ids []int64) (map[int64]User, error) {
		found := make(map[int64]User)
		for _, id := range ids {
			if u, ok := table[id]; ok {
				found[id] = u
			}
		}
		return found, nil
	}
	users, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{Fetch: fulcrum.FetchMap(load)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer users.Shutdown(ctx)

	found, err := users.GetMany(ctx, []int64{1, 3, 42})
	fmt.Println(found[1].Name, found[3].Name, len(found), err)
	// Output: Ada Barbara 2 <nil>
}

// Review belongs to a user; its resolver asks for one user, as GraphQL servers
// such as gqlgen generate it.
type Review struct {
	Text   string
	UserID int64
}

type reviewResolver struct {
	users *fulcrum.Reader[int64, User]
}

// User resolves Review.user. There is no loader to make for each request: one
// Reader serves all requests, and joins those of different requests as well.
func (r *reviewResolver) User(ctx context.Context, review *Review) (*User, error) {
	u, err := r.users.Get(ctx, review.UserID)
	if errors.Is(err, fulcrum.ErrNotFound) {
		return nil, nil // null in the answer
	}
	return &u, err
}

// Resolvers that run side by side share their queries.
func ExampleReader_resolvers() {
	queries, keys := 0, 0
	started, release := make(chan struct{}), make(chan struct{})
	users, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{
		Policy: fulcrum.Policy{InFlight: 1},
		Fetch: func(ctx context.Context, b *fulcrum.Batch[int64, User]) error {
			queries++
			keys += b.Len()
			if queries == 1 { // the first query takes as long as the others need to come
				close(started)
				<-release
			}
			for _, id := range b.Keys() {
				b.Set(id, table[id])
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	resolver := &reviewResolver{users: users}
	var wg sync.WaitGroup
	wg.Go(func() { resolver.User(ctx, &Review{UserID: 1}) })
	<-started
	for i := range 30 {
		wg.Go(func() { resolver.User(ctx, &Review{UserID: int64(i%3) + 1}) })
	}
	for users.Stats().Queued < 30 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	users.Shutdown(ctx)
	fmt.Printf("31 resolvers, %d queries, %d keys\n", queries, keys)
	// Output: 31 resolvers, 2 queries, 4 keys
}

// Two tables of one database share what it can bear.
func ExampleNewBackend() {
	database, err := fulcrum.NewBackend(fulcrum.BackendConfig{
		Name:    "shop",
		OnEvent: func(e fulcrum.Event) { fmt.Println(e) }, // such as: circuit closed → open (failures): …
	})
	if err != nil {
		panic(err)
	}
	load := fulcrum.FetchMap(func(_ context.Context, ids []int) (map[int]string, error) {
		names := make(map[int]string, len(ids))
		for _, id := range ids {
			names[id] = fmt.Sprint("row ", id)
		}
		return names, nil
	})
	users, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, string]{Name: "users", Fetch: load, Backend: database})
	if err != nil {
		panic(err)
	}
	orders, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, string]{Name: "orders", Fetch: load, Backend: database})
	if err != nil {
		panic(err)
	}
	user, err := users.Get(context.Background(), 7)
	fmt.Println(user, err)
	order, err := orders.Get(context.Background(), 8)
	fmt.Println(order, err)
	fmt.Println(database.Stats().Modes.Circuit)
	// Output:
	// row 7 <nil>
	// row 8 <nil>
	// closed
}
