package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// position is a place in the file, from 1.
type position struct{ line, column int }

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0 if it has no place
	Column int    `json:"column"` // from 1
	Field  string `json:"field"`  // its path, such as resources.users.key; empty for the whole file
	Text   string `json:"problem"`
}

// Error is file:line:column: field: text.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are all that was found, in the file's order.
type Problems []*Problem

// Error is a line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the problems one by one.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// hint names the known word that somebody may have meant, or all of them if there
// is none near.
func hint(word string, known []string) string {
	best, least := "", 1+max(1, min(len(word), 12)/3) // a third of it may be wrong
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %s?", best)
	case len(known) == 0:
		return "there are none"
	}
	return "there are " + strings.Join(known, ", ")
}

// farApart is how long a word may be that is compared letter by letter, in bytes.
const farApart = 64

// distance is how many letters must be put in, left out, changed or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	if len(a) > farApart || len(b) > farApart {
		return farApart
	}
	var before, last, row []int
	for j := range len(b) + 1 {
		last = append(last, j)
	}
	for i := range len(a) {
		row = append(make([]int, 0, len(b)+1), i+1)
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			d := min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row = append(row, d)
		}
		before, last = last, row
	}
	return last[len(b)]
}
