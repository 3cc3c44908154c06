package shared_test

import (
	"context"
	"encoding/json"
	"log"
	"strconv"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/cache/shared"
)

type user struct{ ID, Name string }

func loadUsers(context.Context, []int64) (map[int64]user, error) { return nil, nil }

func writeUser(user) error { return nil }

// Values go through Redis, and what this process asks for again stays in its memory.
func Example() {
	link, err := shared.Open(shared.LinkConfig{URL: "redis://127.0.0.1:6379", Namespace: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer link.Close()
	tier, err := shared.New(link, shared.Config[int64, user]{
		Resource: "users",
		Key:      func(id int64) string { return strconv.FormatInt(id, 10) },
		Parse:    func(s string) (int64, bool) { id, err := strconv.ParseInt(s, 10, 64); return id, err == nil },
		Encode:   func(u user) ([]byte, error) { return json.Marshal(u) },
		Decode: func(b []byte) (u user, err error) {
			err = json.Unmarshal(b, &u)
			return u, err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	near, err := cache.New(cache.Config[int64, user]{Entries: 20_000})
	if err != nil {
		log.Fatal(err)
	}
	tier.Tell(shared.Listener[int64]{Forget: near.Forget, Hold: func() func() {
		all := near.BeginAll()
		return func() { all.End(true) }
	}})
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, user]{Cache: near, Fetch: tier.Fetch(fulcrum.FetchMap(loadUsers))})
	if err != nil {
		log.Fatal(err)
	}

	// A write says so before its commit and before its answer, to memory first and last.
	id := int64(7)
	inMemory, inRedis := near.Begin(id), tier.Begin(id)
	err = writeUser(user{ID: "7", Name: "Ada"})
	inRedis.End(true)
	inMemory.End(true)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = reader.Get(context.Background(), id)
}
