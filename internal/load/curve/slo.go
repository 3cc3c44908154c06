package curve

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// SLO is a limit on a quantile of the response time.
type SLO struct {
	Quantile float64 // such as 0.99
	Limit    time.Duration
}

// ParseSLO reads what --slo takes: p99=20ms, with any quantile from p1 to p99.99.
func ParseSLO(spec string) (SLO, error) {
	name, limit, _ := strings.Cut(spec, "=")
	percent, err := strconv.ParseFloat(strings.TrimPrefix(name, "p"), 64)
	if err != nil || !strings.HasPrefix(name, "p") || !(percent >= 1 && percent <= 99.99) {
		return SLO{}, fmt.Errorf("%q: want a quantile from p1 to p99.99 and its limit, such as p99=20ms", spec)
	}
	d, err := time.ParseDuration(limit)
	if err != nil || d <= 0 {
		return SLO{}, fmt.Errorf("%q: %q is not a positive duration such as 20ms", spec, limit)
	}
	return SLO{percent / 100, d}, nil
}

// String is the text that ParseSLO reads.
func (s SLO) String() string { return s.name() + "=" + s.Limit.String() }

func (s SLO) name() string { return fmt.Sprintf("p%.6g", s.Quantile*100) }

// least is how many requests it takes to meet the SLO with confidence, all of them
// within the limit: q^n ≤ 1 − confidence.
func (s SLO) least() float64 { return math.Log(1-Confidence) / math.Log(s.Quantile) }

// Breach says why a step does not meet the SLO; empty if it does, with confidence.
func (s SLO) Breach(step *load.Step) string {
	if v := step.Verdict(); v != "" {
		return v
	}
	upper := step.Upper(s.Quantile, Confidence)
	switch {
	case upper <= s.Limit:
		return ""
	case upper == math.MaxInt64:
		return fmt.Sprintf("%d requests, of which %d failed, are too few to be sure of the %s", step.Due, step.Failed+step.Censored, s.name())
	}
	return fmt.Sprintf("%s up to %s", s.name(), upper.Round(upper/1000+1))
}
