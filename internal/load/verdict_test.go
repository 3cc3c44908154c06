package load

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
)

// binomialBelow is P(Binomial(n, q) < k), exactly.
func binomialBelow(n int64, q float64, k int64) float64 {
	p := new(big.Float).SetPrec(200).SetFloat64(q)
	other := new(big.Float).SetPrec(200).Sub(big.NewFloat(1).SetPrec(200), p)
	sum := new(big.Float).SetPrec(200)
	for i := range k {
		term := new(big.Float).SetPrec(200).SetInt(new(big.Int).Binomial(n, i))
		for range i {
			term.Mul(term, p)
		}
		for range n - i {
			term.Mul(term, other)
		}
		sum.Add(sum, term)
	}
	f, _ := sum.Float64()
	return f
}

func TestUpperRank(t *testing.T) {
	for _, n := range []uint64{1, 2, 10, 50, 200, 299, 300, 500} {
		for _, q := range []float64{.5, .95, .99} {
			k := upperRank(n, q, .95)
			if k <= n && binomialBelow(int64(n), q, int64(k)) < .95 {
				t.Errorf("n %d, q %v: %d is too small", n, q, k)
			}
			if k > 1 && binomialBelow(int64(n), q, int64(k-1)) >= .95 {
				t.Errorf("n %d, q %v: %d is not the smallest", n, q, k)
			}
		}
	}
	// 0.99^298 > 5 % ≥ 0.99^299: fewer than 299 values bound no p99.
	if upperRank(298, .99, .95) != 299 || upperRank(299, .99, .95) != 299 {
		t.Error(upperRank(298, .99, .95), upperRank(299, .99, .95))
	}
}

func responses(values ...time.Duration) hist.Snapshot {
	h := hist.New()
	for _, v := range values {
		h.Record(v)
	}
	return h.Snapshot()
}

func spread(n int) hist.Snapshot {
	h := hist.New()
	for i := range n {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	return h.Snapshot()
}

// The limit holds the true quantile in 95 of 100 experiments, give or take chance.
func TestUpperCovers(t *testing.T) {
	rnd, covered := rand.New(rand.NewPCG(3, 3)), 0
	truth := time.Duration(-math.Log(.01) * 1e6)
	const experiments = 400
	for range experiments {
		h := hist.New()
		for range 2000 {
			h.Record(time.Duration(rnd.ExpFloat64() * 1e6))
		}
		s := &Step{Due: 2000, Good: 2000, Response: h.Snapshot()}
		if s.Upper(.99, .95) >= truth {
			covered++
		}
	}
	if covered < experiments*92/100 || covered > experiments*99/100 {
		t.Errorf("%d of %d", covered, experiments)
	}
}

func TestUpperCountsWhatFailed(t *testing.T) {
	s := &Step{Due: 1000, Good: 1000, Response: spread(1000)}
	if u := s.Upper(.99, .95); u < 994*time.Millisecond || u > 1000*time.Millisecond {
		t.Errorf("%s", u)
	}
	s.Due, s.Failed = 1100, 100
	if u := s.Upper(.99, .95); u != math.MaxInt64 {
		t.Errorf("a tenth failed, and the limit is %s", u)
	}
}

func TestQuantileIsKnown(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      Step
		q      float64
		least  time.Duration
		unsure bool
	}{
		{"all answered", Step{Good: 100, Response: spread(100)}, .99, 99 * time.Millisecond, false},
		{"one missing above", Step{Good: 99, Censored: 1, Response: spread(99), Least: responses(2 * time.Second)}, .99, 99 * time.Millisecond, false},
		{"one missing below", Step{Good: 99, Censored: 1, Response: spread(99), Least: responses(time.Millisecond)}, .5, 49 * time.Millisecond, true},
		{"two missing", Step{Good: 98, Censored: 2, Response: spread(98), Least: responses(2*time.Second, 2*time.Second)}, .99, 2 * time.Second, true},
		{"median with two missing", Step{Good: 98, Censored: 2, Response: spread(98), Least: responses(2*time.Second, 2*time.Second)}, .5, 50 * time.Millisecond, false},
		{"none answered", Step{Censored: 1, Least: responses(time.Second)}, .5, time.Second, true},
	} {
		got, known := c.s.Quantile(c.q)
		if !nearly(float64(got), float64(c.least), .005) || known == c.unsure {
			t.Errorf("%s: %s, known: %v", c.name, got, known)
		}
	}
}

// Rounds add up.
func TestAdd(t *testing.T) {
	a := &Step{Duration: time.Second, Due: 10, Sent: 9, Good: 8, Failed: 1, Censored: 1, Unsent: 1, Completed: 8, Sending: time.Second,
		Response: spread(8), Lag: spread(10), Errors: []ErrorCount{{"x", 1}}}
	b := &Step{Duration: time.Second, Due: 20, Sent: 20, Good: 18, Failed: 2, Completed: 17, Sending: 2 * time.Second,
		Response: spread(18), Lag: spread(20), Errors: []ErrorCount{{"y", 2}}, Interrupted: true}
	a.Add(b)
	if a.Due != 30 || a.Good != 26 || a.Response.Count() != 26 || a.Lag.Count() != 30 || !a.Interrupted ||
		fmt.Sprint(a.Errors) != "[{y 2} {x 1}]" || a.Offered() != 15 || a.Throughput() != 12.5 || !nearly(a.SentRate(), 29./3, 1e-9) {
		t.Errorf("%+v", a)
	}
}

func TestErrorLogIsBounded(t *testing.T) {
	var l errorLog
	for i := range 100 {
		l.add(fmt.Errorf("error %d", i))
	}
	l.add(errors.New("error 3"))
	all := l.sorted()
	if len(all) != mostErrors+1 || all[0] != (ErrorCount{others, 92}) || all[1] != (ErrorCount{"error 3", 2}) {
		t.Errorf("%v", all)
	}
}
