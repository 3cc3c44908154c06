package fulcrum_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	_ "modernc.org/sqlite"

	"github.com/fulcrum-data/fulcrum"
)

// With database/sql, a query over json_each (SQLite) or unnest (PostgreSQL) is one
// prepared statement for every number of keys. The position that it returns says
// which key a row belongs to, whatever the database thinks equal.
func ExampleReader_databaseSQL() {
	db, err := sql.Open("sqlite", "file:example?mode=memory&cache=shared")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	if _, err := db.Exec(`create table users (id integer primary key, name text);
		insert into users values (1, 'Ada'), (2, 'Grace'), (3, 'Barbara')`); err != nil {
		fmt.Println(err)
		return
	}
	many, err := db.Prepare(`select k.key, u.id, u.name from json_each(?) k join users u on u.id = k.value`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fetch := func(ctx context.Context, b *fulcrum.Batch[int64, User]) error {
		ids, err := json.Marshal(b.Keys())
		if err != nil {
			return err
		}
		rows, err := many.QueryContext(ctx, string(ids))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var position int
			var u User
			if err := rows.Scan(&position, &u.ID, &u.Name); err != nil {
				return err
			}
			b.SetAt(position, u)
		}
		return rows.Err()
	}

	users, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, User]{Name: "users", Fetch: fetch})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer users.Shutdown(ctx)
	u, err := users.Get(ctx, 3)
	fmt.Println(u.Name, err)
	// Output: Barbara <nil>
}
