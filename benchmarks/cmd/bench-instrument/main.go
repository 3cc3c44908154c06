// Bench-instrument measures the bench itself: whether what it says is true, how much
// load it can offer, and that it says so where it cannot.
//
//	go run ./cmd/bench-instrument [-only stall,rate,trouble,starved,trace,histogram,sqlite,postgres] [-o FILE]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

// parts are run in this order. Each prints what it found and says whether it met
// what is asked for.
var parts = []struct {
	name string
	run  func(out io.Writer) (met bool, err error)
}{
	{"stall", stall},
	{"rate", rate},
	{"trouble", trouble},
	{"starved", starved},
	{"trace", replay},
	{"histogram", histogram},
	{"sqlite", onSQLite},
	{"postgres", onPostgreSQL},
}

func main() {
	only := flag.String("only", "", "comma-separated parts; all if empty")
	file := flag.String("o", "", "write the results to this file as well")
	serving := flag.String("serve", "", "be the server of this kind, which the parts start")
	offering := flag.String("offer", "", "be a generator that loads this URL, which the part starved starts")
	spinning := flag.Bool("spin", false, "keep a processor busy, which the part starved asks for")
	flag.Parse()
	var err error
	switch {
	case *serving != "":
		err = serve(*serving)
	case *offering != "":
		err = offer(*offering)
	case *spinning:
		spin()
	default:
		err = run(*only, *file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-instrument:", err)
		os.Exit(1)
	}
}

func run(only, file string) error {
	out := io.Writer(os.Stdout)
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		out = io.MultiWriter(out, f)
	}
	fmt.Fprintf(out, heading, duel.Machine(), time.Now().UTC().Format(time.DateOnly))
	missed := []string{}
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		met, err := p.run(out)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if !met {
			missed = append(missed, p.name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("not met: %s", strings.Join(missed, ", "))
	}
	return nil
}

const heading = `# How far the bench can be trusted

Machine: %s; generator, servers and databases share its cores. %s. Printed by ` + "`make bench-instrument`" + `, which fails if a demand is not met.
`

// verdict is the last word of a line.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**not met**"
}
