// Bench-writes measures gathered writes against what one would do instead, and fails if a
// gate is not met. Each figure is the median of interleaved pairs.
//
//	go run ./cmd/bench-writes [-pairs 15] [-each 500ms] [-only memory,sqlite] [-o FILE]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

// suites are run in this order.
var suites = []duel.Suite{
	{Name: "memory", About: "Messages that are answered from memory, to a sink that takes no time; theirs: the target of 1,000,000 a second.", Make: memoryCells},
	{Name: "sqlite", About: "Embedded SQLite, synchronous=FULL, 100,000 rows of about 350 bytes, uniform keys. Theirs: one prepared upsert and commit for each row through database/sql.", Make: sqliteCells},
	{Name: "journal", About: "Journal of 256-byte records, the last 10,000 or more kept. Theirs: a bare file with fdatasync and the same gathering.", Make: journalCells},
	{Name: "postgres", About: "PostgreSQL, fsync and synchronous_commit on, 100,000 rows of about 350 bytes, uniform keys. Theirs: pgx with 50 connections and an upsert for each row, or 2 statements of 1,000 rows at once (unnest). Beside these stand store/postgres, to which rows come as JSON and which answers for each, and a Writer of the same values over the same statement.", Make: pgCells},
}

func main() {
	pairs := flag.Int("pairs", 15, "interleaved pairs per cell")
	each := flag.Duration("each", 500*time.Millisecond, "length of each run")
	only := flag.String("only", "", "comma-separated suites; all if empty")
	file := flag.String("o", "", "write the tables to this file as well")
	flag.Parse()
	debug.SetGCPercent(400) // as fulcrum serve; it is theirs as well
	ok, err := run(*pairs, *each, *only, *file)
	if err == nil && !ok {
		err = fmt.Errorf("a gate is not met")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-writes:", err)
		os.Exit(1)
	}
}

func run(pairs int, each time.Duration, only, file string) (bool, error) {
	if file == "" {
		return duel.RunAll(os.Stdout, suites, pairs, each, only)
	}
	f, err := os.Create(file)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(f, "# Writes\n\nPrinted by `make bench-writes`, which fails if a gate is not met. %s.\n", time.Now().Format(time.DateOnly))
	ok, err := duel.RunAll(io.MultiWriter(os.Stdout, f), suites, pairs, each, only)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return ok, err
}
