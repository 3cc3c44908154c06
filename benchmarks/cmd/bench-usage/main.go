// Bench-usage measures fulcrum analyze beside GoAccess on the same logs, in turn, and
// tries for real what it predicts of a cache. It prints a table of each.
//
//	go run ./cmd/bench-usage [-rounds 3] [-lines 300000] [-many 10000000] [-o FILE]
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

func main() {
	rounds := flag.Int("rounds", 3, "rounds, in each of which every program reads every log once; 0: none, and only the gain of a cache is tried")
	lines := flag.Int("lines", 300_000, "lines of the logs that both read")
	many := flag.Int("many", 10_000_000, "lines of the log that fulcrum alone reads")
	file := flag.String("o", "", "write the table to this file as well")
	flag.Parse()
	if err := run(*rounds, *lines, *many, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench-usage:", err)
		os.Exit(1)
	}
}

// bench is where logs and programs are.
type bench struct {
	dir, fulcrum, goaccess string
	out                    io.Writer
}

func run(rounds, lines, many int, file string) error {
	b := bench{out: os.Stdout}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		b.out = io.MultiWriter(os.Stdout, f)
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench-usage"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.fulcrum = filepath.Join(b.dir, "fulcrum")
	build := exec.Command("go", "build", "-o", b.fulcrum, "./cmd/fulcrum")
	build.Dir, build.Stderr = "..", os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	if rounds > 0 {
		if err := b.beside(rounds, lines, many); err != nil {
			return err
		}
	}
	return b.tried()
}

// beside compares with GoAccess.
func (b *bench) beside(rounds, lines, many int) (err error) {
	if b.goaccess, err = exec.LookPath("goaccess"); err != nil {
		return errors.New("goaccess is not installed: apt-get install goaccess")
	}
	version, err := exec.Command(b.goaccess, "--version").Output()
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(string(version), "\n")
	fmt.Fprintf(b.out, heading, duel.Machine(), rounds, strings.TrimRight(name, "."))
	if err := b.compare(rounds, lines); err != nil {
		return err
	}
	return b.large(many)
}

const heading = `# fulcrum analyze beside GoAccess

Machine: %s. Each program reads a log in combined format from the page cache and writes its whole report as JSON; %d rounds, in turn,
medians. Lines per second are by processor time, user and system together, of the whole process, its start and its report included; fulcrum
runs with GOMAXPROCS=1. The gates: at least 600,000 lines per second and core, at least 6 times GoAccess, 10 million lines within 1 GB.

Printed by ` + "`make bench-usage`" + `; the rival is %s.

| log | lines | GoAccess, lines/s/core | fulcrum, lines/s/core | ratio (least to most) | GoAccess, MB | fulcrum, MB |
|---|---|---|---|---|---|---|
`

// logs are those that both read: a made-up shop, and a recorded log over and over.
func (b *bench) logs(lines int) (map[string]string, error) {
	shop := filepath.Join(b.dir, "shop.log")
	if err := writeShop(shop, lines); err != nil {
		return nil, err
	}
	all := map[string]string{"shop (made up)": shop}
	if dir := os.Getenv("FULCRUM_DATA"); dir != "" {
		recorded := filepath.Join(b.dir, "recorded.log")
		if err := repeat(recorded, filepath.Join(dir, "apache_access.log"), max(1, lines/10_000)); err != nil {
			return nil, err
		}
		all["apache_access.log, repeated"] = recorded
	}
	return all, nil
}

// repeat writes a file several times. Its memory is kept small: that of a child
// begins with that of its parent.
func repeat(to, from string, times int) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for range times {
		in, err := os.Open(from)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// cost is what a run cost.
type cost struct {
	cpu  time.Duration
	peak int64 // bytes
}

func (b *bench) compare(rounds, lines int) error {
	logs, err := b.logs(lines)
	if err != nil {
		return err
	}
	names := []string{}
	for name := range logs {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	for _, name := range names {
		var rival, own []cost
		var ratios []float64
		for range rounds {
			r, err := b.time(exec.Command(b.goaccess, logs[name], "--log-format=COMBINED", "--no-global-config", "--no-progress", "-o", filepath.Join(b.dir, "out.json")))
			if err != nil {
				return err
			}
			o, err := b.time(exec.Command(b.fulcrum, "analyze", "--json", logs[name]))
			if err != nil {
				return err
			}
			rival, own, ratios = append(rival, r), append(own, o), append(ratios, r.cpu.Seconds()/o.cpu.Seconds())
		}
		slices.Sort(ratios)
		r, o := median(rival), median(own)
		fmt.Fprintf(b.out, "| %s | %d | %.0f | %.0f | %.1f (%.1f to %.1f) | %d | %d |\n", name, lines, float64(lines)/r.cpu.Seconds(), float64(lines)/o.cpu.Seconds(),
			ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], r.peak>>20, o.peak>>20)
	}
	return nil
}

func median(all []cost) cost {
	slices.SortFunc(all, func(a, b cost) int { return cmp.Compare(a.cpu, b.cpu) })
	return all[len(all)/2]
}

// time runs a program and returns what it used.
func (b *bench) time(c *exec.Cmd) (cost, error) {
	var stderr strings.Builder
	c.Env, c.Stderr = append(os.Environ(), "GOMAXPROCS=1"), &stderr
	if err := c.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, stderr.String())
	}
	s := c.ProcessState
	used := cost{cpu: s.UserTime() + s.SystemTime()}
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		used.peak = r.Maxrss << 10 // Linux counts in KiB
	}
	return used, nil
}

// large is the memory of a log with many lines.
func (b *bench) large(many int) error {
	if many == 0 {
		return nil
	}
	name := filepath.Join(b.dir, "many.log")
	if err := writeShop(name, many); err != nil {
		return err
	}
	used, err := b.time(exec.Command(b.fulcrum, "analyze", "--json", name))
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\n%d lines of the shop: %.0f lines/s/core, at most %d MB of memory.\n", many, float64(many)/used.cpu.Seconds(), used.peak>>20)
	return nil
}
