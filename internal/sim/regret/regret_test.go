package regret

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	names := map[string]bool{}
	for _, c := range append(Grid(), Dynamic()...) {
		if names[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		names[c.Name] = true
		if s := c.Setup(1); s.To <= s.From || s.Backend.Cores == 0 {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
	if len(Grid()) != 180 {
		t.Errorf("%d cells, want 180", len(Grid()))
	}
}

func TestBestNeedsGoodput(t *testing.T) {
	scores := map[int]Score{
		1: {Mean: 1, P99: 1, Goodput: 97}, // the quickest, because it sheds
		2: {Mean: 2, P99: 2, Goodput: 98},
		8: {Mean: 3, P99: 3, Goodput: 100},
	}
	if k := best(scores); k != 2 {
		t.Errorf("the best is %d, want 2", k)
	}
	if r := regret(scores[8], scores[2]); r.Mean != 50 || r.P99 != 50 || math.Abs(r.Goodput-2.04) > .01 {
		t.Errorf("%+v", r)
	}
}

// TestBookGoesOn: what was scored is not run again, and the table lists misses.
func TestBookGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "book")
	cells := []Cell{gridCell(roundTrips[0], 2, 10, 0.05)}
	b, err := OpenBook(file, "")
	if err != nil {
		t.Fatal(err)
	}
	for who := range map[string]Contender{"auto": Auto()} {
		if err := b.put(entry{cells[0].Name, 1, who}, Score{Mean: 1, P99: 1, Goodput: 1, K: 3}); err != nil {
			t.Fatal(err)
		}
	}
	for k := 1; k <= maxInFlight; k++ {
		if err := b.put(entry{cells[0].Name, 1, Fixed(k).Name}, Score{Mean: float64(k), P99: 1, Goodput: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = OpenBook(file, "fixed 7"); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, ok := b.get(entry{cells[0].Name, 1, "fixed 7"}); ok {
		t.Error("fixed 7 is not forgotten")
	}
	if err := b.Fill(cells, []Contender{Auto()}, []uint64{1}, func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	rows := b.Rows(cells, "auto", []uint64{1})
	if len(rows) != 1 || rows[0].BestK != 1 || rows[0].Mean != 0 || rows[0].Own.K != 3 {
		t.Fatalf("%+v", rows)
	}
	var out strings.Builder
	if err := b.WriteTable(&out, []uint64{1}, []uint64{1}, "a test"); err != nil || !strings.Contains(out.String(), "| auto | 1 |") {
		t.Errorf("%v: %s", err, out.String())
	}
}
