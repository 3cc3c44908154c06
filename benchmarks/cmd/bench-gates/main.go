// Bench-gates measures Fulcrum's speed against what one would use instead, and
// fails if a gate is not met. Each figure is the median of interleaved pairs.
//
//	go run ./cmd/bench-gates [-pairs 15] [-each 300ms] [-only null,sqlite]
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

// suites are run in this order.
var suites = []duel.Suite{
	{Name: "null", About: "Batchers alone: a fetch that answers at once. Theirs: dataloadgen v0.0.10, 2 ms, 50 keys.", Make: nullCells},
	{Name: "sqlite", About: "Embedded SQLite, 200,000 rows. Theirs: prepared point selects through database/sql.", Make: sqliteCells},
	{Name: "postgres", About: "PostgreSQL, 1,000,000 rows of about 350 bytes, uniform keys, loopback. Theirs: pgx.", Make: pgCells},
	{Name: "http", About: "The gateway over the same PostgreSQL. Theirs: a net/http handler with a pooled query and encoding/json.", Make: httpCells},
	{Name: "cache", About: "A Reader behind a near cache over the same PostgreSQL, of a tenth and of three tenths of its rows; keys after Zipf's law, exponent 0.99. Theirs: the same Reader without it.", Make: cacheCells},
	{Name: "replicas", About: "A primary and two streaming replicas over the same rows, each copy read like the others; the way to one of them takes 20 times what a query did. Figures are 1/p99 of the response time, in 1/s.", Make: replicaCells},
	{Name: "beacons", About: "The gateway over the same PostgreSQL while browsers tell 2,000 times a second what people feel. Theirs: the same gateway while they do not. Clients and database share its cores.", Make: beaconCells},
}

func main() {
	pairs := flag.Int("pairs", 15, "interleaved pairs per cell")
	each := flag.Duration("each", 300*time.Millisecond, "length of each run")
	only := flag.String("only", "", "comma-separated suites; all if empty")
	plain := flag.String("serve-plain", "", "be the plain HTTP server over this PostgreSQL, which the http suite starts")
	flag.Parse()
	if *plain != "" {
		if err := servePlain(*plain); err != nil {
			fmt.Fprintln(os.Stderr, "bench-gates:", err)
			os.Exit(1)
		}
		return
	}
	ok, err := duel.RunAll(os.Stdout, suites, *pairs, *each, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gates:", err)
		os.Exit(1)
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "bench-gates: a gate is not met")
		os.Exit(1)
	}
}
