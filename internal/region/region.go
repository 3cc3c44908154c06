package region

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// Default is the name of the region of all requests that have no other one.
const Default = "default"

// Policy is what a region's requests get.
type Policy struct {
	Mode     fulcrum.Mode  // default balanced
	MaxBatch int           // keys in one query; 0: as the gateway's policy has it
	Linger   time.Duration // longest wait for company, at least 2 ms; 0: as the gateway's policy has it
	SLO      SLO           // the zero SLO means none
}

// Over is p with what this policy says instead.
func (r Policy) Over(p fulcrum.Policy) fulcrum.Policy {
	p.Mode = r.Mode
	if r.MaxBatch > 0 {
		p.MaxBatch = r.MaxBatch
	}
	if r.Linger > 0 {
		p.Linger = r.Linger
	}
	return p
}

// SLO is a promise on response times: this percentile is at most that long.
type SLO struct {
	Percentile int // 50, 95 or 99; 0: no promise
	Target     time.Duration
}

// Bounds of an SLO's target: below, timers cannot tell; above, nobody waits.
const (
	minTarget = time.Millisecond
	maxTarget = time.Minute
)

var sloText = regexp.MustCompile(`^p(50|95|99) *<?= *([0-9a-zµ.]{1,20})$`)

// ParseSLO reads p99=20ms; p99 <= 20ms is the same.
func ParseSLO(text string) (SLO, error) {
	m := sloText.FindStringSubmatch(text)
	if m == nil {
		return SLO{}, fmt.Errorf("want a percentile and a duration, such as p99=20ms; there are p50, p95 and p99")
	}
	target, err := time.ParseDuration(m[2])
	if err != nil || target < minTarget || target > maxTarget {
		return SLO{}, fmt.Errorf("want a duration between %s and 1m, such as p99=20ms", minTarget)
	}
	return SLO{map[string]int{"50": 50, "95": 95, "99": 99}[m[1]], target}, nil
}

// String is what ParseSLO reads; empty if there is no promise.
func (s SLO) String() string {
	if s.Percentile == 0 {
		return ""
	}
	return fmt.Sprintf("p%d=%s", s.Percentile, s.Target)
}

// Region is one region and its policy.
type Region struct {
	Name   string
	Policy Policy
	// Areas are what it serves. None means those that its name has by default; see
	// DefaultAreas.
	Areas []Area

	index int
}

// Index is the region's place in its table, from 0.
func (r *Region) Index() int { return r.index }

// ConfigError says what of a region cannot be as it is.
type ConfigError struct {
	Region  string
	Field   string // areas, or empty for the region itself
	Problem string
}

// Error names region and field.
func (e *ConfigError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("region: %s: %s", e.Region, e.Problem)
	}
	return fmt.Sprintf("region: %s: %s: %s", e.Region, e.Field, e.Problem)
}

// nameText is what can be a region's name: it stands in headers and labels.
var nameText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Check finds what is wrong with regions. There may be none of them.
func Check(regions []Region) []*ConfigError {
	var wrong []*ConfigError
	owner := map[Area]string{}
	var names []string
	for _, r := range regions {
		if !nameText.MatchString(r.Name) {
			wrong = append(wrong, &ConfigError{r.Name, "", "want a name of up to 63 letters, digits, dots, - and _, such as us-east"})
		}
		if slices.Contains(names, r.Name) {
			wrong = append(wrong, &ConfigError{r.Name, "", "is there twice"})
		}
		names = append(names, r.Name)
		if r.Name == Default && len(r.Areas) > 0 {
			wrong = append(wrong, &ConfigError{r.Name, "areas", "serves all that no other region serves: leave areas out"})
		}
		for _, a := range r.Areas {
			if other, taken := owner[a]; taken {
				wrong = append(wrong, &ConfigError{r.Name, "areas", fmt.Sprintf("%s is served by %s already", a, other)})
			}
			owner[a] = r.Name
		}
	}
	return wrong
}

// String is the policy in words.
func (r Policy) String() string {
	text := []string{r.Mode.String()}
	if r.MaxBatch > 0 {
		text = append(text, fmt.Sprintf("batches up to %d", r.MaxBatch))
	}
	if r.Linger > 0 {
		text = append(text, "linger "+r.Linger.String())
	}
	if r.SLO.Percentile > 0 {
		text = append(text, "SLO "+r.SLO.String())
	}
	return strings.Join(text, ", ")
}
