package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustKeys(t testing.TB, spec string) Keys {
	t.Helper()
	k, err := ParseKeys(spec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// frequencies are how often each key from 1 to n was drawn, of all.
func frequencies(t *testing.T, spec string, n, draws int) []float64 {
	t.Helper()
	keys, rnd := mustKeys(t, spec), rand.New(rand.NewPCG(1, 2))
	counts := make([]float64, n+1)
	for seq := range draws {
		k, err := strconv.Atoi(keys.Draw(rnd, uint64(seq)))
		if err != nil || k < 1 || k > n {
			t.Fatalf("%s draws %d", spec, k)
		}
		counts[k] += 1 / float64(draws)
	}
	return counts
}

// The frequencies must be within five standard deviations of what they should be.
func checkShares(t *testing.T, spec string, got []float64, want func(k int) float64, draws int) {
	t.Helper()
	for k := 1; k < len(got); k++ {
		p := want(k)
		if sd := math.Sqrt(p * (1 - p) / float64(draws)); math.Abs(got[k]-p) > 5*sd+1e-12 {
			t.Errorf("%s: key %d in %.5f of all, want %.5f ± %.5f", spec, k, got[k], p, sd)
		}
	}
}

func TestUniformKeys(t *testing.T) {
	const draws = 200_000
	checkShares(t, "uniform", frequencies(t, "uniform:50", 50, draws), func(int) float64 { return 1. / 50 }, draws)
}

func TestHotKeys(t *testing.T) {
	const draws = 200_000
	checkShares(t, "hot", frequencies(t, "hot:0.9:5:50", 50, draws), func(k int) float64 {
		if k <= 5 {
			return .9 / 5
		}
		return .1 / 45
	}, draws)
}

func TestZipfKeys(t *testing.T) {
	const n, draws = 100, 300_000
	for _, s := range []float64{.01, .5, .99, 1, 1 + 1e-9, 1.2, 2.5, 20} {
		norm := 0.0
		for k := 1; k <= n; k++ {
			norm += math.Pow(float64(k), -s)
		}
		spec := fmt.Sprintf("zipf:%v:%d", s, n)
		checkShares(t, spec, frequencies(t, spec, n, draws), func(k int) float64 { return math.Pow(float64(k), -s) / norm }, draws)
	}
}

// Whatever the exponent and the number of keys, what is drawn is one of them.
func TestZipfStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.Float64Range(1e-6, 100).Draw(t, "s")
		n := rapid.Int64Range(1, maxKeys).Draw(t, "n")
		z, rnd := newZipf(s, n), rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 100 {
			if k := z.draw(rnd); k < 1 || k > n {
				t.Fatalf("drew %d", k)
			}
		}
	})
}

func TestTraceKeys(t *testing.T) {
	keys := mustKeys(t, "trace:"+write(t, "a,1\n\nacme/7,2\n c \n"))
	var got []string
	for seq := range uint64(5) {
		got = append(got, keys.Draw(nil, seq))
	}
	if s := strings.Join(got, " "); s != "a acme/7 c a acme/7" {
		t.Errorf("%q", s)
	}
	if (Keys{}).Draw(nil, 9) != "1" {
		t.Error("the zero value does not ask for key 1")
	}
}

func TestParseKeysRefuses(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"", "want uniform:N, zipf:S:N, hot:SHARE:H:N or trace:FILE"}, {"gauss:3", "want uniform:N"},
		{"uniform", `uniform:N: "" is not a number from 1 to 2^53`}, {"uniform:0", `"0" is not`}, {"uniform:1e3", `"1e3" is not`},
		{"uniform:9007199254740993", "from 1 to 2^53"},
		{"zipf:1", `zipf:S:N: N: "" is not`}, {"zipf:0:9", `zipf:S:N: S: "0" is not a number over 0 and up to 100`},
		{"zipf:-1:9", `S: "-1"`}, {"zipf:NaN:9", `S: "NaN"`}, {"zipf:101:9", `S: "101"`}, {"zipf:x:9", `S: "x"`},
		{"hot:0.9:5", "does not have three parts"}, {"hot:2:5:9", `SHARE: "2" is not between 0 and 1`}, {"hot:NaN:5:9", "SHARE"},
		{"hot:.9:0:9", `H: "0" is not`}, {"hot:.9:9:9", "9 hot keys leave none of 9"}, {"hot:.9:5:x", `N: "x" is not`},
		{"trace:", "file's name is missing"}, {"trace:none", "no such file"}, {"trace:" + write(t, "\n"), "no keys in it"},
	} {
		if _, err := ParseKeys(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.spec, err, c.want)
		}
	}
}

func TestMix(t *testing.T) {
	const draws = 100_000
	m, err := ParseMix("urgent=5,normal=80,bulk=10,write=5")
	if err != nil {
		t.Fatal(err)
	}
	rnd, got := rand.New(rand.NewPCG(1, 1)), map[kind]float64{}
	for range draws {
		got[m.draw(rnd)] += 1. / draws
	}
	for name, want := range map[string]float64{"urgent": .05, "normal": .8, "bulk": .1, "write": .05} {
		if share := got[kinds[name]]; math.Abs(share-want) > .005 {
			t.Errorf("%s: %.3f of all, want %.2f", name, share, want)
		}
	}
	if (Mix{}).draw(rnd) != kinds["normal"] {
		t.Error("the zero value is not all normal")
	}
}

func TestMixWrites(t *testing.T) {
	for spec, want := range map[string]bool{"normal=1": false, "normal=1,write=1": true, "write=1": true, "write=0,normal=1": false, "normal=1,write=0": false} {
		if m, err := ParseMix(spec); err != nil || m.Writes() != want {
			t.Errorf("%s: %t, %v", spec, m.Writes(), err)
		}
	}
	if (Mix{}).Writes() {
		t.Error("the zero value writes")
	}
}

func TestParseMixRefuses(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"", "want each of urgent, normal, bulk and write at most once"}, {"fast=1", "want each of"}, {"urgent=1,urgent=2", "at most once"},
		{"urgent", `"" is not a weight`}, {"urgent=-1", `"-1" is not a weight`}, {"urgent=NaN", "is not a weight"},
		{"urgent=1e10", "is not a weight"}, {"urgent=0,bulk=0", "all weights are 0"},
	} {
		if _, err := ParseMix(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.spec, err, c.want)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{"uniform:3", "zipf:1.1:9", "hot:0.5:2:9", "trace:testdata/README.md"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if strings.HasPrefix(spec, "trace:/") {
			t.Skip() // devices
		}
		if k, err := ParseKeys(spec); err == nil && k.Draw(rand.New(rand.NewPCG(1, 1)), 5) == "" {
			t.Fatalf("%q draws nothing", spec)
		}
	})
}

func FuzzParseMix(f *testing.F) {
	f.Add("urgent=1,bulk=2")
	f.Fuzz(func(t *testing.T, spec string) {
		if m, err := ParseMix(spec); err == nil {
			m.draw(rand.New(rand.NewPCG(1, 1)))
		}
	})
}
