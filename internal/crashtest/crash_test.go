package crashtest

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the independent readers
	_ "modernc.org/sqlite"

	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
)

func cutSQLite(database string) (path string, ok bool) { return strings.CutPrefix(database, "sqlite:") }

// child is a process that writes.
type child struct {
	*exec.Cmd
	out io.ReadCloser
}

func begin(t *testing.T, o order) child {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := child{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	c.Env = append(os.Environ(), orderVariable+"="+string(text))
	c.Stderr = os.Stderr
	if c.out, err = c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// killed lets a child write for a while after its first acknowledgement, does what, kills
// it, and returns the last write of each caller that was acknowledged.
func killed(t *testing.T, o order, after time.Duration, what func()) map[string]int {
	t.Helper()
	c := begin(t, o)
	last := make(map[string]int)
	lines := bufio.NewScanner(c.out)
	for first := true; lines.Scan(); first = false {
		if first {
			time.AfterFunc(after, func() {
				what()
				_ = c.Process.Kill()
			})
		}
		var k string
		var n int
		if _, err := fmt.Sscan(lines.Text(), &k, &n); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		last[k] = n
	}
	_ = c.Wait() // it was killed
	if len(last) == 0 {
		t.Fatal("the child has acknowledged nothing")
	}
	return last
}

// stock is a database with an empty log, and a way to read it that is not ours.
type stock struct {
	name   string
	reader *sql.DB
	server *pgtest.Server // nil: a file
}

func file(t *testing.T) stock {
	path := filepath.Join(t.TempDir(), "log.db")
	return makeStock(t, "sqlite:"+path, "sqlite", path, "id integer primary key autoincrement, k text not null, n integer not null")
}

func server(t *testing.T) stock {
	pg := pgtest.Start(t, pgtest.Durable())
	s := makeStock(t, pg.DSN(), "pgx", pg.DSN(), "id bigint generated always as identity primary key, k text not null, n bigint not null")
	s.server = pg
	return s
}

func makeStock(t *testing.T, name, driver, dsn, columns string) stock {
	t.Helper()
	reader, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	reader.SetMaxIdleConns(0) // those to a server that crashed are dead
	t.Cleanup(func() { _ = reader.Close() })
	if _, err := reader.ExecContext(t.Context(), "create table log ("+columns+")"); err != nil {
		t.Fatal(err)
	}
	s := stock{name: name, reader: reader}
	w, err := order{Database: name}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.(store.Keeper).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// holds looks at the rows of one round: of each caller all writes up to one that is not
// before the last acknowledged, none twice, in their order.
func (s stock) holds(t *testing.T, round int, acknowledged map[string]int) (rows int) {
	t.Helper()
	found, err := s.reader.QueryContext(t.Context(), fmt.Sprintf("select k, n from log where k like '%d-%%' order by id", round))
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	last := make(map[string]int)
	for found.Next() {
		var k string
		var n int
		if err := found.Scan(&k, &n); err != nil {
			t.Fatal(err)
		}
		if n != last[k]+1 {
			t.Fatalf("round %d, caller %s: %d comes after %d", round, k, n, last[k])
		}
		last[k] = n
		rows++
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	for k, n := range acknowledged {
		if last[k] < n {
			t.Fatalf("round %d, caller %s: %d was acknowledged, and the last that is there is %d", round, k, n, last[k])
		}
		if last[k] > n+1 {
			t.Fatalf("round %d, caller %s: %d is there, though %d was not acknowledged", round, k, last[k], last[k]-1)
		}
	}
	return rows
}

const callers = 8

// rounds kills writers at random moments, and every fifth time crashes their server
// first.
func rounds(t *testing.T, s stock, n int, journal string) {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	total, acknowledged := 0, 0
	for round := range n {
		crash := s.server != nil && round%5 == 4
		after := time.Duration(random.Int64N(int64(40 * time.Millisecond)))
		last := killed(t, order{Database: s.name, Journal: journal, Round: round, Callers: callers}, after, func() {
			if crash {
				_ = s.server.Stop(pgtest.Immediate)
			}
		})
		if crash {
			if err := s.server.StartAgain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if journal != "" {
			s.drain(t, journal)
		}
		for _, n := range last {
			acknowledged += n
		}
		total += s.holds(t, round, last)
	}
	t.Logf("%d rounds: %d writes acknowledged, %d there", n, acknowledged, total)
}

// drain applies what the journal still holds, as the next start would.
func (s stock) drain(t *testing.T, journal string) {
	t.Helper()
	w, err := order{Database: s.name, Journal: journal}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.writer.Flush(ctx); err != nil {
		t.Fatalf("the journal is not applied: %v (%v)", err, w.writer.Stats().Trouble)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

func TestKilledWriters(t *testing.T) {
	t.Run("SQLite, committed", func(t *testing.T) { rounds(t, file(t), committedRounds, "") })
	t.Run("SQLite, journaled", func(t *testing.T) { rounds(t, file(t), journaledRounds, filepath.Join(t.TempDir(), "j")) })
	t.Run("PostgreSQL, committed", func(t *testing.T) { rounds(t, server(t), committedRounds, "") })
	t.Run("PostgreSQL, journaled", func(t *testing.T) {
		rounds(t, server(t), journaledRounds, filepath.Join(t.TempDir(), "j"))
	})
}
