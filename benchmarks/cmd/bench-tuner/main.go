// Command bench-tuner puts the tuner and its rivals through the scenarios of
// internal/sim/regret and writes what came of it.
//
// Scores are kept in a file, a line each: a run that was stopped goes on where it
// was, and -forget auto runs only the tuner again after a change.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum/internal/sim/regret"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-tuner:", err)
		os.Exit(1)
	}
}

func bench() error {
	file := flag.String("book", "tuner.jsonl", "file of scores, kept from run to run")
	forget := flag.String("forget", "", "run contenders again whose names begin so")
	out := flag.String("o", "", "write the table to this file; default: print it")
	seedList := flag.String("seeds", "11,12,13", "seeds that auto is judged by; the rivals run with the first")
	short := flag.Bool("short", false, "run a tenth of the cells, with the first seed only, and print a summary")
	flag.Parse()
	seeds, err := parseSeeds(*seedList)
	if err != nil {
		return err
	}
	book, err := regret.OpenBook(*file, *forget)
	if err != nil {
		return err
	}
	defer book.Close()
	if *short {
		return summary(book, seeds[:1])
	}
	cells := append(regret.Grid(), regret.Dynamic()...)
	if err := book.Fill(cells, []regret.Contender{regret.Auto()}, seeds, progress); err != nil {
		return err
	}
	if err := book.Fill(cells, regret.Contenders(), seeds[:1], progress); err != nil {
		return err
	}
	to := os.Stdout
	if *out != "" {
		if to, err = os.Create(*out); err != nil {
			return err
		}
		defer to.Close()
	}
	return book.WriteTable(to, seeds, seeds[:1], "make bench-tuner")
}

// summary runs every tenth cell of the grid: enough to see that nothing broke.
func summary(book *regret.Book, seeds []uint64) error {
	var cells []regret.Cell
	for i, c := range regret.Grid() {
		if i%10 == 0 {
			cells = append(cells, c)
		}
	}
	if err := book.Fill(cells, []regret.Contender{regret.Auto()}, seeds, progress); err != nil {
		return err
	}
	f := regret.Sum(book.Rows(cells, "auto", seeds))
	fmt.Printf("%d cells: mean regret median %.1f %%, p90 %.1f %%, max %.1f %%; p99 median %.1f %%; worst goodput %.1f %%\n",
		f.Cells, f.MeanMedian, f.MeanP90, f.MeanMax, f.P99Median, f.GoodputWorst)
	return nil
}

func parseSeeds(text string) ([]uint64, error) {
	var seeds []uint64
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("-seeds: %q is not a number", s)
		}
		seeds = append(seeds, n)
	}
	return seeds, nil
}

// progress goes to standard error, every hundredth job.
func progress(done, of int) {
	if done%100 == 0 && done > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d\n", done, of)
	}
}
