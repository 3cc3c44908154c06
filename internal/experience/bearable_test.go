package experience

import (
	"math/rand/v2"
	"testing"
	"time"
)

// shoppers wait up to five seconds; beyond the cliff fewer buy. Their slowest answer takes
// what the page takes but for 300 ms.
func shoppers(n int, cliff time.Duration, below, beyond float64) []Visit {
	random := rand.New(rand.NewPCG(9, 1))
	visits := make([]Visit, n)
	for i := range visits {
		wait := 400*time.Millisecond + time.Duration(random.Float64()*4.6e9)
		p := below
		if wait > cliff {
			p = beyond
		}
		visits[i] = Visit{Wait: wait, Answer: wait - 300*time.Millisecond, Converted: random.Float64() < p}
	}
	return visits
}

func TestBearable(t *testing.T) {
	edges := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}
	for _, c := range []struct {
		name          string
		visits        []Visit
		page, answer  time.Duration
		nothing, what string
	}{
		{name: "a cliff at 2 s", visits: shoppers(20_000, 2*time.Second, .2, .1), page: 2 * time.Second, answer: 1700 * time.Millisecond, what: "conversions"},
		{name: "no effect", visits: shoppers(20_000, 2*time.Second, .2, .2), nothing: "it was found"},
		{name: "more who wait buy", visits: shoppers(20_000, 2*time.Second, .1, .2), nothing: "it was found"},
		{name: "too few", visits: shoppers(50, 2*time.Second, .2, .1), nothing: "it was found"},
	} {
		r, err := Analyse(c.visits, Config{Edges: edges})
		if err != nil {
			t.Fatal(err)
		}
		b := r.Bearable
		switch {
		case c.nothing != "":
			if b != nil {
				t.Errorf("%s: %s: %+v", c.name, c.nothing, b)
			}
		case b == nil || b.Page != c.page || b.Answer.Round(time.Millisecond) != c.answer || b.What != c.what || b.Fewer.Value >= b.Most.Value:
			t.Errorf("%s: %+v", c.name, b)
		}
	}
	// Where the slowest answers are not known, nothing is said of them.
	visits := shoppers(20_000, 2*time.Second, .2, .1)
	for i := range visits {
		visits[i].Answer = 0
	}
	if r, err := Analyse(visits, Config{Edges: edges}); err != nil || r.Bearable == nil || r.Bearable.Answer != 0 {
		t.Errorf("%+v, %v", r.Bearable, err)
	}
}
