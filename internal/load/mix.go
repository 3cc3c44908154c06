package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum"
)

// Mix says of which class a request is. The zero value is all normal.
type Mix struct {
	upTo []float64 // cumulated shares, up to 1
	of   []fulcrum.Class
	spec string
}

var classNames = map[string]fulcrum.Class{
	"urgent": fulcrum.ClassUrgent, "normal": fulcrum.ClassNormal, "bulk": fulcrum.ClassBulk,
}

// ParseMix reads what --mix takes: weights of the classes, such as
// urgent=5,normal=85,bulk=10.
func ParseMix(spec string) (Mix, error) {
	m := Mix{spec: spec}
	total := 0.0
	seen := map[string]bool{}
	for part := range strings.SplitSeq(spec, ",") {
		name, text, _ := strings.Cut(part, "=")
		class, ok := classNames[name]
		if !ok || seen[name] {
			return Mix{}, fmt.Errorf("%q: want each of urgent, normal and bulk at most once, such as urgent=5,normal=95", part)
		}
		seen[name] = true
		weight, err := strconv.ParseFloat(text, 64)
		if err != nil || !(weight >= 0 && weight <= 1e9) {
			return Mix{}, fmt.Errorf("%q: %q is not a weight from 0 to 10^9", part, text)
		}
		total += weight
		m.upTo = append(m.upTo, total)
		m.of = append(m.of, class)
	}
	if total == 0 {
		return Mix{}, fmt.Errorf("%q: all weights are 0", spec)
	}
	for i := range m.upTo {
		m.upTo[i] /= total
	}
	return m, nil
}

// String is the text it was read from, empty for the zero value.
func (m Mix) String() string { return m.spec }

func (m Mix) draw(rnd *rand.Rand) fulcrum.Class {
	if len(m.upTo) == 0 {
		return fulcrum.ClassNormal
	}
	u := rnd.Float64()
	for i, upTo := range m.upTo {
		if u < upTo {
			return m.of[i]
		}
	}
	return m.of[len(m.of)-1]
}
