package postgres_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// A service reads its users one by one, from many goroutines; they share queries.
func Example() {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{DSN: "postgres://shop@localhost/shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	type User struct {
		ID      int64
		Name    string
		Updated time.Time
	}
	cfg, err := postgres.ReaderConfig(ctx, db, postgres.Query[int64, User]{
		Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "updated"},
		Scan: pgx.RowToStructByName[User],
	})
	if err != nil {
		log.Fatal(err)
	}
	users, err := fulcrum.NewReader(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer users.Shutdown(ctx)

	u, err := users.Get(ctx, 42)
	fmt.Println(u.Name, err)
}

// A key of two columns.
func ExampleQuery() {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{DSN: "postgres://shop@localhost/shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	type member struct {
		tenant string
		user   int64
	}
	cfg, err := postgres.ReaderConfig(ctx, db, postgres.Query[member, string]{
		Table: "memberships", Key: []string{"tenant", "user_id"}, Columns: []string{"role"},
		Parts: func(m member) []any { return []any{m.tenant, m.user} },
		Scan:  pgx.RowTo[string],
	})
	if err != nil {
		log.Fatal(err)
	}
	roles, err := fulcrum.NewReader(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer roles.Shutdown(ctx)
	fmt.Println(roles.Get(ctx, member{"acme", 42}))
}

// Each tenant sees its own rows alone, by the table's policies.
func Example_rowLevelSecurity() {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Config{DSN: "postgres://app@localhost/shop", ScopeSetting: "app.tenant"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	orders, err := db.Open(ctx, store.Resource{
		Name: "orders_by_user", Table: "orders", Key: []string{"user_id"}, Columns: []string{"id", "total"},
		Many: true, Order: "created_at desc", Limit: 20,
	})
	if err != nil {
		log.Fatal(err)
	}
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{Fetch: orders.Fetch, One: orders.One})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Shutdown(ctx)
	list, err := reader.Get(fulcrum.WithScope(ctx, "acme"), "42")
	fmt.Println(string(list), err)
}
