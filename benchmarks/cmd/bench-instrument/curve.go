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

// curves compares what --curve finds with a fine sweep by hand.
func curves(out io.Writer) (bool, error) {
	dir, err := os.MkdirTemp("", "bench-instrument-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "fulcrum")
	if err := build(program); err != nil {
		return false, err
	}
	file := filepath.Join(dir, "users.db")
	if err := makeSQLite(file); err != nil {
		return false, err
	}
	b, err := pgusers.Start()
	if err != nil {
		return false, err
	}
	defer b.Close()
	fmt.Fprintf(out, "\n## The SLO rate\n\n`fulcrum bench --strategy direct --curve --slo %s` beside %d sweeps by hand in steps of 4 %%: the load that parts those that kept the SLO from those that did not with the fewest exceptions. Wanted: within 10 %%.\n\n"+
		"| store | --curve | by hand | apart | |\n|---|---|---|---|---|\n", limit, sweeps)
	met := true
	for _, store := range []struct{ name, dsn string }{{"SQLite, 200,000 rows", "sqlite:" + file}, {"PostgreSQL, 1,000,000 rows", b.DSN()}} {
		found, hand, err := both(program, store.dsn)
		if err != nil {
			return false, fmt.Errorf("%s: %w", store.name, err)
		}
		apart := found/hand - 1
		is := math.Abs(apart) <= closeBy
		met = met && is
		fmt.Fprintf(out, "| %s | %.0f/s | %.0f/s | %+.1f %% | %s |\n", store.name, found, hand, 100*apart, verdict(is))
	}
	return met, nil
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

func both(program, dsn string) (found, hand float64, err error) {
	var searched results
	if err := bench(program, dsn, &searched, "--curve", "--lowest", "2000"); err != nil {
		return 0, 0, err
	}
	var loads []float64
	for r := sweepFrom * searched.SLORate; r < sweepUntil*searched.SLORate; r *= fine {
		loads = append(loads, math.Round(r))
	}
	list := strings.Trim(strings.ReplaceAll(fmt.Sprintf("%.0f", loads), " ", ","), "[]")
	kept, breached := make([]int, len(loads)), make([]int, len(loads))
	for range sweeps {
		var swept results
		if err := bench(program, dsn, &swept, "--rate", list); err != nil {
			return 0, 0, err
		}
		for i, s := range swept.Steps {
			switch {
			case s.Kept:
				kept[i]++
			case s.Reason == nil || !strings.HasPrefix(*s.Reason, "the generator was late"):
				breached[i]++ // by the target; else nothing is known of it
			}
		}
	}
	return searched.SLORate, threshold(loads, kept, breached), nil
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
