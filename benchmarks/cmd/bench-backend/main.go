// Bench-backend measures on PostgreSQL what a fulcrum.Backend is for: a tuner that
// comes near the best fixed setting, overload that is refused instead of suffered,
// urgent requests that are kept quick, and changes that are followed.
//
//	go run ./cmd/bench-backend [-only tuner,overload,urgent,changes] [-rounds 2] [-o FILE] [-plot FILE]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

// part is one of the things that are measured.
type part struct {
	name string
	run  func(*bench) error
}

var parts = []part{{"tuner", (*bench).tuner}, {"overload", (*bench).overload}, {"urgent", (*bench).urgent}, {"changes", (*bench).changes}}

// bench is where all parts run.
type bench struct {
	out    io.Writer
	db     *pgusers.Server
	rounds int
	plot   string
}

func main() {
	only := flag.String("only", "", "parts to run, with commas between; all without it")
	rounds := flag.Int("rounds", 2, "rounds, in each of which every contender runs once")
	file := flag.String("o", "", "write what is printed to this file as well")
	plot := flag.String("plot", "", "draw the overload to this SVG file")
	flag.Parse()
	if err := run(*only, *rounds, *file, *plot); err != nil {
		fmt.Fprintln(os.Stderr, "bench-backend:", err)
		os.Exit(1)
	}
}

func run(only string, rounds int, file, plot string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	b := &bench{out: os.Stdout, rounds: rounds, plot: plot}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		b.out = io.MultiWriter(os.Stdout, f)
	}
	if b.db, err = pgusers.Start(); err != nil {
		return err
	}
	defer b.db.Close()
	priority := "with raised priority, so that the load comes when it is due"
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10); err != nil {
		priority = "with normal priority (raising it: " + err.Error() + ")"
	}
	fmt.Fprintf(b.out, heading, duel.Machine(), microsPerRow, priority, leftOut(chosen))
	for _, p := range chosen {
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

const heading = `# A backend on PostgreSQL

Machine: %s; load, library and database share its cores. Every row costs the database about %d µs, so that it is what is busy, and not who
measures. The load runs in the same process as the library, %s.

Printed by ` + "`make bench-backend`" + `%s.
`

// leftOut says which parts are not among the chosen ones.
func leftOut(chosen []part) string {
	if len(chosen) == len(parts) {
		return ""
	}
	var names []string
	for _, p := range chosen {
		names = append(names, p.name)
	}
	return " with -only " + strings.Join(names, ",")
}

func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there are tuner, overload, urgent and changes", name)
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}
