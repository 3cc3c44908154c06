package duel

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Suite is cells that need the same things around them.
type Suite struct {
	Name  string
	About string // what is compared with what
	// Make starts what they need; the function that it returns stops that.
	Make func() (cells []Cell, stop func(), err error)
}

// RunAll plays the suites in their order, or those that only names, separated by commas,
// and prints a table for each. It says whether all gates are met.
func RunAll(w io.Writer, suites []Suite, pairs int, each time.Duration, only string) (allMet bool, err error) {
	fmt.Fprintf(w, "Machine: %s\nEach cell: median of %d interleaved pairs of %s, twice both for a lone caller; ratio is ours/theirs of neighbours.\n", Machine(), pairs, each)
	allMet = true
	for _, s := range suites {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.Name) {
			continue
		}
		met, err := s.run(w, pairs, each)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.Name, err)
		}
		allMet = allMet && met
	}
	return allMet, nil
}

func (s Suite) run(w io.Writer, pairs int, each time.Duration) (bool, error) {
	cells, stop, err := s.Make()
	if err != nil {
		return false, err
	}
	defer stop()
	fmt.Fprintf(w, "\n## %s\n%s\n\n", s.Name, s.About)
	Header(w)
	met := true
	for _, c := range cells {
		n, each := pairs, each
		if c.Alone {
			n, each = 2*n, 2*each
		}
		r, err := Run(c, n, each)
		if err != nil {
			return false, err
		}
		r.Print(w)
		met = met && r.Met()
	}
	return met, nil
}
