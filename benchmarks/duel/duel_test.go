package duel

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSidesTakeTurnsAndTheMedianCounts(t *testing.T) {
	var order []string
	rates := map[string][]float64{"ours": {9, 4, 10, 2}, "theirs": {1, 2, 2, 2}}
	side := func(name string) func(time.Duration) (float64, error) {
		return func(time.Duration) (float64, error) {
			order = append(order, name)
			r := rates[name][0]
			rates[name] = rates[name][1:]
			return r, nil
		}
	}
	r, err := Run(Cell{Name: "x", Ours: side("ours"), Theirs: side("theirs"), Gate: 2}, 3, time.Second)
	if err != nil || r.Ratio != 2 || r.Least != 1 || r.Most != 5 || !r.Met() {
		t.Errorf("got %+v, %v", r, err)
	}
	want := []string{"theirs", "ours", "ours", "theirs", "theirs", "ours", "ours", "theirs"}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestAnErrorEndsTheDuel(t *testing.T) {
	broken := errors.New("broken")
	l := Load{Callers: 3, Op: func(caller, i int) error {
		if caller == 1 && i == 5 {
			return broken
		}
		return nil
	}}
	_, err := Run(Cell{Name: "cell", Ours: l.Run, Theirs: l.Run}, 1, time.Hour)
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "cell: ") {
		t.Errorf("got %v", err)
	}
}

func TestATournamentComparesWithTheFirst(t *testing.T) {
	fixed := func(rate float64) func(time.Duration) (float64, error) {
		return func(time.Duration) (float64, error) { return rate, nil }
	}
	got, err := Tournament([]Contender{{"a", fixed(30)}, {"b", fixed(10)}, {"c", fixed(60)}}, 3, time.Second)
	want := []Standing{{"a", 30, 1, 1, 1}, {"b", 10, 3, 3, 3}, {"c", 60, .5, .5, .5}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
