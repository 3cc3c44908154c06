// Bench-gates measures Fulcrum's speed against what one would use instead, and
// fails if a gate is not met. Each figure is the median of interleaved pairs.
//
//	go run ./cmd/bench-gates [-pairs 15] [-each 300ms] [-only null,sqlite]
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

// suites are run in this order.
var suites = []struct {
	name  string
	about string
	make  func() (cells []duel.Cell, close func(), err error)
}{
	{"null", "Batchers alone: a fetch that answers at once. Theirs: dataloadgen v0.0.10, 2 ms, 50 keys.", nullCells},
	{"sqlite", "Embedded SQLite, 200,000 rows. Theirs: prepared point selects through database/sql.", sqliteCells},
	{"postgres", "PostgreSQL, 1,000,000 rows of about 350 bytes, uniform keys, loopback. Theirs: pgx.", pgCells},
	{"http", "The gateway over the same PostgreSQL. Theirs: a net/http handler with a pooled query and encoding/json.", httpCells},
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
	ok, err := run(*pairs, *each, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gates:", err)
		os.Exit(1)
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "bench-gates: a gate is not met")
		os.Exit(1)
	}
}

func run(pairs int, each time.Duration, only string) (allMet bool, err error) {
	fmt.Printf("Machine: %s\nEach cell: median of %d interleaved pairs of %s, twice both for a lone caller; ratio is ours/theirs of neighbours.\n", duel.Machine(), pairs, each)
	allMet = true
	for _, s := range suites {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		met, err := runSuite(s.name, s.about, s.make, pairs, each)
		if err != nil {
			return false, err
		}
		allMet = allMet && met
	}
	return allMet, nil
}

func runSuite(name, about string, makeCells func() ([]duel.Cell, func(), error), pairs int, each time.Duration) (bool, error) {
	cells, closeAll, err := makeCells()
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	defer closeAll()
	fmt.Printf("\n## %s\n%s\n\n", name, about)
	duel.Header(os.Stdout)
	met := true
	for _, c := range cells {
		n, each := pairs, each
		if c.Alone {
			n, each = 2*n, 2*each
		}
		r, err := duel.Run(c, n, each)
		if err != nil {
			return false, err
		}
		r.Print(os.Stdout)
		met = met && r.Met()
	}
	return met, nil
}
