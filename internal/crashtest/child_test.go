package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/journal"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// order is what a child is told to do, in its environment.
type order struct {
	Database string // sqlite:FILE or a DSN
	Journal  string // file; empty: writes are committed
	Round    int    // of the keys that it writes
	Callers  int    // each has a key of its own
	Writes   int    // of each caller; 0: until it is killed
	Sync     string // of SQLite; empty: full
}

const orderVariable = "FULCRUM_CRASHTEST_ORDER"

func TestMain(m *testing.M) {
	if text := os.Getenv(orderVariable); text != "" {
		var o order
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			panic(err)
		}
		if err := o.obey(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// log is the table that children append to: callers k, whose writes have the numbers n.
var log = store.Resource{Name: "log", Table: "log", Key: []string{"id"}, Columns: []string{"id", "k", "n"}, Writable: true}

// writing is a Writer with what it stands on.
type writing struct {
	db      store.DB
	table   store.Writable
	writer  *fulcrum.Writer[store.Change, store.Written]
	journal *journal.Journal
}

func (o order) open(ctx context.Context) (w writing, err error) {
	if path, ok := cutSQLite(o.Database); ok {
		w.db, err = sqlite.Open(ctx, sqlite.Config{Path: path, Synchronous: o.Sync})
	} else {
		w.db, err = postgres.Open(ctx, postgres.Config{DSN: o.Database, MinConns: -1, MaxConns: 8})
	}
	if err != nil {
		return w, err
	}
	table, err := w.db.Open(ctx, log)
	if err != nil {
		return w, err
	}
	w.table = table.(store.Writable)
	cfg := fulcrum.WriterConfig[store.Change, store.Written]{
		Apply: w.table.Apply, Resolve: w.table.Resolve,
		OrderBy: func(c store.Change) string { return caller(c) },
		Policy:  fulcrum.Policy{InFlight: 3, Reserved: 1},
	}
	if o.Journal != "" {
		if w.journal, err = journal.Open(ctx, journal.Config{Path: o.Journal, Shards: 2}); err != nil {
			return w, err
		}
		cfg.Journaling = &fulcrum.Journaling[store.Change]{
			Journal: w.journal, Applied: w.db.(store.Keeper).Applied,
			Encode: func(c store.Change) ([]byte, error) { return c.Body, nil },
			Decode: func(b []byte) (store.Change, error) { return store.Change{Op: store.Insert, Body: b}, nil },
		}
	}
	w.writer, err = fulcrum.NewWriter(cfg)
	return w, err
}

// caller is whose write a change is.
func caller(c store.Change) string {
	var row struct{ K string }
	if err := json.Unmarshal(c.Body, &row); err != nil {
		panic(err)
	}
	return row.K
}

func (w writing) close() error {
	err := w.writer.Shutdown(context.Background())
	if w.journal != nil {
		err = errors.Join(err, w.journal.Close(context.Background()))
	}
	return errors.Join(err, w.db.Close())
}

// obey writes, and says on standard output what was acknowledged: "k n".
func (o order) obey() error {
	ctx := context.Background()
	w, err := o.open(ctx)
	if err != nil {
		return err
	}
	how := fulcrum.Committed
	if o.Journal != "" {
		how = fulcrum.Journaled
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	acknowledge := func(k string, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%s %d\n", k, n)
		_ = out.Flush()
	}
	var wg sync.WaitGroup
	for i := range o.Callers {
		wg.Go(func() {
			k := fmt.Sprintf("%d-%d", o.Round, i)
			for n := 1; o.Writes == 0 || n <= o.Writes; n++ {
				change := store.Change{Op: store.Insert, Body: fmt.Appendf(nil, `{"k":%q,"n":%d}`, k, n)}
				if _, err := w.writer.Write(ctx, change, how); err != nil {
					return // the database is gone; what became of this one nobody was told
				}
				acknowledge(k, n)
			}
		})
	}
	wg.Wait()
	return w.close()
}
