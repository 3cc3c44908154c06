package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Keys say which key a request asks for. The zero value asks for key 1 always.
type Keys struct {
	draw func(rnd *rand.Rand, seq uint64) string
	spec string
}

const maxKeys = 1 << 53

// ParseKeys reads what --keys takes. Numbers are keys from 1 to N.
//
//	uniform:N       all alike
//	zipf:S:N        key k in proportion to k^-S, S > 0
//	hot:SHARE:H:N   SHARE of the requests go to keys 1 to H, the others to the rest
//	trace:FILE      a key per line, in this order, again from the start at its end
func ParseKeys(spec string) (Keys, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	var draw func(*rand.Rand, uint64) string
	var err error
	switch kind {
	case "uniform":
		draw, err = uniformKeys(rest)
	case "zipf":
		draw, err = zipfKeys(rest)
	case "hot":
		draw, err = hotKeys(rest)
	case "trace":
		draw, err = traceKeys(rest)
	default:
		err = fmt.Errorf("%q: want uniform:N, zipf:S:N, hot:SHARE:H:N or trace:FILE", spec)
	}
	return Keys{draw: draw, spec: spec}, err
}

// AmongKeys draws from a list, all alike. The text says in a report what they are.
func AmongKeys(list []string, text string) Keys {
	return Keys{draw: func(rnd *rand.Rand, _ uint64) string { return list[rnd.IntN(len(list))] }, spec: text}
}

// String is the text it was read from.
func (k Keys) String() string { return k.spec }

// Draw is the key of request seq. It depends on rnd and seq alone.
func (k Keys) Draw(rnd *rand.Rand, seq uint64) string {
	if k.draw == nil {
		return "1"
	}
	return k.draw(rnd, seq)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func uniformKeys(rest string) (func(*rand.Rand, uint64) string, error) {
	n, err := parseCount("uniform:N", rest)
	return func(rnd *rand.Rand, _ uint64) string { return number(1 + rnd.Int64N(n)) }, err
}

func zipfKeys(rest string) (func(*rand.Rand, uint64) string, error) {
	s, rest, _ := strings.Cut(rest, ":")
	exponent, err := strconv.ParseFloat(s, 64)
	if err != nil || !(exponent > 0) || exponent > 100 {
		return nil, fmt.Errorf("zipf:S:N: S: %q is not a number over 0 and up to 100", s)
	}
	n, err := parseCount("zipf:S:N: N", rest)
	if err != nil {
		return nil, err
	}
	z := newZipf(exponent, n)
	return func(rnd *rand.Rand, _ uint64) string { return number(z.draw(rnd)) }, nil
}

func hotKeys(rest string) (func(*rand.Rand, uint64) string, error) {
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("hot:SHARE:H:N: %q does not have three parts", rest)
	}
	share, err := strconv.ParseFloat(parts[0], 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return nil, fmt.Errorf("hot:SHARE:H:N: SHARE: %q is not between 0 and 1", parts[0])
	}
	hot, err := parseCount("hot:SHARE:H:N: H", parts[1])
	if err != nil {
		return nil, err
	}
	n, err := parseCount("hot:SHARE:H:N: N", parts[2])
	if err == nil && hot >= n {
		err = fmt.Errorf("hot:SHARE:H:N: H: %d hot keys leave none of %d", hot, n)
	}
	return func(rnd *rand.Rand, _ uint64) string {
		if rnd.Float64() < share {
			return number(1 + rnd.Int64N(hot))
		}
		return number(1 + hot + rnd.Int64N(n-hot))
	}, err
}

func traceKeys(file string) (func(*rand.Rand, uint64) string, error) {
	if file == "" {
		return nil, fmt.Errorf("trace:FILE: the file's name is missing")
	}
	keys, err := readKeys(file)
	return func(_ *rand.Rand, seq uint64) string { return keys[seq%uint64(len(keys))] }, err
}

func parseCount(what, s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || n > maxKeys {
		return 0, fmt.Errorf("%s: %q is not a number from 1 to 2^53", what, s)
	}
	return n, nil
}

// zipf draws k from 1 to n with probability in proportion to k^-s, for any s > 0,
// in constant time and memory: rejection-inversion by W. Hörmann and G. Derflinger
// ("Rejection-inversion to generate variates from monotone discrete
// distributions", 1996).
//
// With h(x) = x^-s and its integral H, a point u drawn evenly between H(1.5) − h(1)
// and H(n + ½) stands for x = H⁻¹(u), and that for the k next to it. The area over
// k's interval is a little larger than h(k), so u is rejected where it lies in
// what is too much; that is rare.
type zipf struct {
	s         float64
	n         float64
	low, high float64 // of u
	sure      float64 // within so much of its k, x is accepted without a look
}

func newZipf(s float64, n int64) *zipf {
	z := &zipf{s: s, n: float64(n)}
	z.low = z.integral(1.5) - 1
	z.high = z.integral(z.n + .5)
	z.sure = 2 - z.inverse(z.integral(2.5)-z.height(2))
	return z
}

func (z *zipf) draw(rnd *rand.Rand) int64 {
	for {
		u := z.high + rnd.Float64()*(z.low-z.high)
		x := z.inverse(u)
		k := min(max(math.Round(x), 1), z.n)
		if k-x <= z.sure || u >= z.integral(k+.5)-z.height(k) {
			return int64(k)
		}
	}
}

// height is h(x).
func (z *zipf) height(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

// integral is H(x) = (x^(1−s) − 1)/(1−s), which is log x where s is 1.
func (z *zipf) integral(x float64) float64 {
	l := math.Log(x)
	return ratioExpm1((1-z.s)*l) * l
}

// inverse is H⁻¹(u).
func (z *zipf) inverse(u float64) float64 {
	t := max(u*(1-z.s), -1) // rounding may lead beyond
	return math.Exp(ratioLog1p(t) * u)
}

// near0 is where the ratios below are continued by their series.
const near0 = 1e-8

// ratioExpm1 is (e^x − 1)/x.
func ratioExpm1(x float64) float64 {
	if math.Abs(x) < near0 {
		return 1 + x/2
	}
	return math.Expm1(x) / x
}

// ratioLog1p is log(1 + x)/x.
func ratioLog1p(x float64) float64 {
	if math.Abs(x) < near0 {
		return 1 - x/2
	}
	return math.Log1p(x) / x
}
