package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum"
)

// Mix says of which class a request is, and whether it writes. The zero value is all
// reads of class normal.
type Mix struct {
	upTo []float64 // cumulated shares, up to 1
	of   []kind
	spec string
}

// A kind is what a share of the requests has in common.
type kind struct {
	class fulcrum.Class
	write bool
}

var kinds = map[string]kind{
	"urgent": {class: fulcrum.ClassUrgent}, "normal": {class: fulcrum.ClassNormal}, "bulk": {class: fulcrum.ClassBulk},
	"write": {class: fulcrum.ClassNormal, write: true},
}

// ParseMix reads what --mix takes: weights of the classes that reads are of, and of
// writes, such as urgent=5,normal=85,bulk=5,write=5.
func ParseMix(spec string) (Mix, error) {
	m := Mix{spec: spec}
	total := 0.0
	seen := map[string]bool{}
	for part := range strings.SplitSeq(spec, ",") {
		name, text, _ := strings.Cut(part, "=")
		k, ok := kinds[name]
		if !ok || seen[name] {
			return Mix{}, fmt.Errorf("%q: want each of urgent, normal, bulk and write at most once, such as urgent=5,normal=95", part)
		}
		seen[name] = true
		weight, err := strconv.ParseFloat(text, 64)
		if err != nil || !(weight >= 0 && weight <= 1e9) {
			return Mix{}, fmt.Errorf("%q: %q is not a weight from 0 to 10^9", part, text)
		}
		total += weight
		m.upTo = append(m.upTo, total)
		m.of = append(m.of, k)
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

// Writes says whether any request may write.
func (m Mix) Writes() bool {
	for i, k := range m.of {
		if k.write && (m.upTo[i] > 0 && (i == 0 || m.upTo[i] > m.upTo[i-1])) {
			return true
		}
	}
	return false
}

func (m Mix) draw(rnd *rand.Rand) kind {
	if len(m.upTo) == 0 {
		return kind{class: fulcrum.ClassNormal}
	}
	u := rnd.Float64()
	for i, upTo := range m.upTo {
		if u < upTo {
			return m.of[i]
		}
	}
	return m.of[len(m.of)-1]
}
