package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // makes the file that is read

	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

const (
	limit      = "p99=20ms"
	fine       = 1.04 // from one load of the sweep by hand to the next
	sweepFrom  = .65  // of what the search found
	sweepUntil = 1.4
	sweeps     = 3
	closeBy    = .1
)

// onSQLite compares what --curve finds with a fine sweep by hand.
func onSQLite(out io.Writer) (bool, error) {
	return curves(out, "SQLite, 200,000 rows", func(dir string) (dsn string, stop func(), err error) {
		file := filepath.Join(dir, "users.db")
		return "sqlite:" + file, func() {}, makeSQLite(file)
	})
}

// onPostgreSQL does the same.
func onPostgreSQL(out io.Writer) (bool, error) {
	return curves(out, "PostgreSQL, 1,000,000 rows", func(string) (dsn string, stop func(), err error) {
		b, err := pgusers.Start()
		if err != nil {
			return "", nil, err
		}
		return b.DSN(), b.Close, nil
	})
}

func curves(out io.Writer, name string, open func(dir string) (string, func(), error)) (bool, error) {
	dir, err := os.MkdirTemp("", "bench-instrument-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "fulcrum")
	if err := build(program); err != nil {
		return false, err
	}
	dsn, stop, err := open(dir)
	if err != nil {
		return false, err
	}
	defer stop()
	found, hand, err := both(program, dsn)
	if err != nil {
		return false, err
	}
	apart := found/hand - 1
	is := math.Abs(apart) <= closeBy
	fmt.Fprintf(out, "\n## The SLO rate on %s\n\n`fulcrum bench --strategy direct --curve --slo %s`, the median of %d, in turn with as many sweeps by hand in steps of 4 %%: the load that parts those that kept the SLO from those that did not with the fewest exceptions.\n\n"+
		"- --curve: %.0f/s\n- by hand: %.0f/s\n- apart: %+.1f %% (wanted: within 10 %%): %s\n", name, limit, sweeps, found, hand, 100*apart, verdict(is))
	return is, nil
}

func build(program string) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/fulcrum-data/fulcrum").Output()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", program, "./cmd/fulcrum")
	cmd.Dir, cmd.Stderr = strings.TrimSpace(string(root)), os.Stderr
	return cmd.Run()
}

func makeSQLite(file string) error {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range []string{
		"pragma journal_mode = wal",
		"create table users (id integer primary key, name text not null, bio text not null)",
		`insert into users with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
			select i, 'user ' || i, hex(randomblob(150)) from n`,
	} {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			return err
		}
	}
	return nil
}

// results are what fulcrum bench prints.
type results struct {
	SLORate float64 `json:"slo_rps"`
	Steps   []struct {
		Kept   bool    `json:"slo_kept"`
		Reason *string `json:"invalid_reason"`
	}
}

// both searches and sweeps in turn, as the machine drifts.
func both(program, dsn string) (found, hand float64, err error) {
	var loads, searched []float64
	var kept, breached []int
	for range sweeps {
		var search, sweep results
		if err := bench(program, dsn, &search, "--curve", "--lowest", "5000"); err != nil {
			return 0, 0, err
		}
		searched = append(searched, search.SLORate)
		if loads == nil {
			for r := sweepFrom * search.SLORate; r < sweepUntil*search.SLORate; r *= fine {
				loads = append(loads, math.Round(r))
			}
			kept, breached = make([]int, len(loads)), make([]int, len(loads))
		}
		if err := bench(program, dsn, &sweep, "--rate", strings.Trim(strings.ReplaceAll(fmt.Sprintf("%.0f", loads), " ", ","), "[]")); err != nil {
			return 0, 0, err
		}
		for i, s := range sweep.Steps {
			switch {
			case s.Kept:
				kept[i]++
			case s.Reason == nil || !strings.HasPrefix(*s.Reason, "the generator was late"):
				breached[i]++ // by the target; else nothing is known of it
			}
		}
	}
	return median(searched), threshold(loads, kept, breached), nil
}

// threshold is the load that parts those that kept the SLO from those that did not
// with the fewest exceptions; of several, the middle one.
func threshold(loads []float64, kept, breached []int) float64 {
	var best []float64
	fewest := math.MaxInt
	for at := range loads {
		exceptions := 0
		for i := range loads {
			if i <= at {
				exceptions += breached[i]
			} else {
				exceptions += kept[i]
			}
		}
		if exceptions < fewest {
			best, fewest = nil, exceptions
		}
		if exceptions == fewest {
			best = append(best, loads[at])
		}
	}
	return best[len(best)/2]
}

// bench runs fulcrum bench and reads what it found.
func bench(program, dsn string, into *results, args ...string) error {
	args = append([]string{"bench", "--store", dsn, "--table", "users", "--strategy", "direct", "--slo", limit, "--duration", "1s", "--drain", "500ms", "--json"}, args...)
	cmd := exec.Command(program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("fulcrum %s: %w: %s", strings.Join(args[3:], " "), err, stderr.String())
	}
	return json.Unmarshal(out, into)
}
