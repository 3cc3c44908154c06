package rivals

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
)

// Each rival answers each caller with its own row, or the comparison is worth nothing.
func TestEachRivalAnswersRightly(t *testing.T) {
	server := pgtest.Start(t)
	if err := server.Exec(t.Context(), `create table users (id bigint primary key, name text, email text, bio text, updated_at timestamptz);
		insert into users select i, 'user ' || i, '', '', now() from generate_series(1, 500) i`); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for name, make := range map[string]func(*pgxpool.Pool) Get{
		"direct": Direct, "singleflight": Singleflight, "dataloadgen": Dataloadgen, "graph-gophers": GraphGophers, "window": Window,
	} {
		t.Run(name, func(t *testing.T) { answersRightly(t, make(pool)) })
	}
}

func answersRightly(t *testing.T, get Get) {
	var wg sync.WaitGroup
	for id := int64(1); id <= 300; id++ {
		wg.Go(func() {
			p, err := get(context.Background(), id)
			if err := pgusers.MustBe(p, id, err); err != nil {
				t.Error(err)
			} else if p.Name != fmt.Sprint("user ", id) {
				t.Errorf("row %d is %+v", id, p)
			}
		})
	}
	wg.Wait()
	if _, err := get(context.Background(), 4711); !errors.Is(err, errMissing) && !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("a row that is not there: %v", err)
	}
}
