package load

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const slice = "testdata/azure_llm_conv_1200.csv"

func mustArrivals(t testing.TB, spec string) Arrivals {
	t.Helper()
	a, err := ParseArrivals(spec)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// dues are the first n due times.
func dues(s Schedule, n int) []time.Duration {
	var all []time.Duration
	for range n {
		due, ok := s()
		if !ok {
			break
		}
		all = append(all, due)
	}
	return all
}

// variation is the coefficient of variation of the gaps, and their mean.
func variation(dues []time.Duration) (cv float64, mean time.Duration) {
	var sum, squares float64
	for i := range dues[1:] {
		gap := float64(dues[i+1] - dues[i])
		sum += gap
		squares += gap * gap
	}
	n := float64(len(dues) - 1)
	m := sum / n
	return math.Sqrt(squares/n-m*m) / m, time.Duration(m)
}

func nearly(got, want, tolerance float64) bool { return math.Abs(got/want-1) <= tolerance }

func TestArrivals(t *testing.T) {
	for _, c := range []struct {
		spec string
		cv   float64
	}{
		{"constant", 0}, {"poisson", 1},
		{"bursts:4", math.Sqrt(7)}, // of 4 gaps 3 are 0: E[g²]/E[g]² = 2·16/4 = 8
	} {
		all := dues(mustArrivals(t, c.spec).Schedule(20_000, 1, 7), 400_000)
		cv, mean := variation(all)
		if !slices.IsSorted(all) || math.Abs(cv-c.cv) > .01*(1+c.cv) || !nearly(float64(mean), 5e4, .01) {
			t.Errorf("%s: CV %.3f, want %.3f; mean gap %s, want 50µs", c.spec, cv, c.cv, mean)
		}
	}
	var zero Arrivals
	if zero.String() != "poisson" || zero.Trace() || zero.Span() != 0 || zero.Rate() != 0 {
		t.Errorf("the zero value is %v", zero)
	}
}

func TestConstantArrivalsDoNotDrift(t *testing.T) {
	next := mustArrivals(t, "constant").Schedule(3, 1, 0)
	all := dues(next, 3_000_001)
	if got := all[3_000_000]; got != 1_000_000*time.Second {
		t.Errorf("after 3,000,000 at 3/s: %s", got)
	}
}

func TestChunksKeepTheRateInKeys(t *testing.T) {
	for _, spec := range []string{"constant", "poisson", "bursts:3"} {
		_, mean := variation(dues(mustArrivals(t, spec).Schedule(1000, 20, 1), 100_000))
		if !nearly(float64(mean), 2e7, .02) {
			t.Errorf("%s: chunks of 20 at 1,000 keys/s are %s apart, want 20ms", spec, mean)
		}
	}
	a := mustArrivals(t, "trace:"+slice)
	one, ten := dues(a.Schedule(0, 1, 0), 1200), dues(a.Schedule(0, 10, 0), 1200)
	if len(ten) != 120 || ten[7] != one[70] {
		t.Errorf("chunks of a trace: %d, the eighth due at %s, want %s", len(ten), ten[7], one[70])
	}
}

func TestSameSeedSameArrivals(t *testing.T) {
	a := mustArrivals(t, "poisson")
	if !slices.Equal(dues(a.Schedule(100, 1, 3), 99), dues(a.Schedule(100, 1, 3), 99)) {
		t.Error("the same seed gives other times")
	}
	if slices.Equal(dues(a.Schedule(100, 1, 3), 99), dues(a.Schedule(100, 1, 4), 99)) {
		t.Error("another seed gives the same times")
	}
}

// The coefficients of variation come from an independent program.
func TestTraceKeepsItsBurstiness(t *testing.T) {
	check := func(file string, n int, cv float64) {
		t.Helper()
		for _, speed := range []string{"", "@1", "@10", "@10x", "@0.5"} {
			a := mustArrivals(t, "trace:"+file+speed)
			all := dues(a.Schedule(0, 1, 0), n+1)
			got, _ := variation(all)
			if len(all) != n || !nearly(got, cv, .002) || all[0] != 0 || a.Span() != all[n-1]+1 {
				t.Errorf("%s%s: %d arrivals with CV %.4f, want %d with %.4f", file, speed, len(all), got, n, cv)
			}
		}
		if ten, one := mustArrivals(t, "trace:"+file+"@10"), mustArrivals(t, "trace:"+file); !nearly(ten.Rate(), 10*one.Rate(), 1e-6) || !ten.Trace() {
			t.Errorf("at 10 times its speed the rate is %.3f instead of %.3f", ten.Rate(), 10*one.Rate())
		}
	}
	check(slice, 1200, 1.2172)
	if dir := os.Getenv("FULCRUM_DATA"); dir != "" {
		check(filepath.Join(dir, "azure_llm_conv.csv"), 19_366, 1.0942)
	}
}

func write(t testing.TB, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTraceFormats(t *testing.T) {
	want := []time.Duration{0, 500 * time.Millisecond, 2 * time.Second}
	for name, text := range map[string]string{
		"numbers":        "10\n10.5\n12\n",
		"unsorted":       "12,x\n10,y\n\n10.5,z",
		"header":         "time,size\n1e1,1\n1.05e1,2\n12,3\n",
		"times":          "2023-11-16 18:15:46\n2023-11-16 18:15:46.5000000\n2023-11-16 18:15:48\n",
		"RFC 3339":       "2023-11-16T18:15:46Z\n2023-11-16T19:15:46.5+01:00\r\n2023-11-16T18:15:48Z\n",
		"quoted":         "\"t\"\n\"10\"\n \"10.5\" \n\"12\"\n",
		"before 2000":    "1970-01-01 00:00:00\n1970-01-01 00:00:00.5\n1970-01-01 00:00:02\n",
		"without a zone": "2023-11-16T18:15:46\n2023-11-16T18:15:46.5\n2023-11-16T18:15:48\n",
	} {
		got := dues(mustArrivals(t, "trace:"+write(t, text)).Schedule(0, 1, 0), 9)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestParseArrivalsRefuses(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"", "want poisson, constant, bursts:N or trace:FILE[@SPEED]"},
		{"Poisson", "want poisson"}, {"poisson:3", "want poisson"}, {"constant:", "want poisson"},
		{"bursts", `bursts:N: "" is not a number from 1 to 1000000`},
		{"bursts:0", `"0" is not`}, {"bursts:-1", `"-1" is not`}, {"bursts:1000001", "is not"}, {"bursts:x", `"x" is not`},
		{"trace:", "file's name is missing"}, {"trace:@2", "file's name is missing"},
		{"trace:none.csv", "no such file"}, {"trace:testdata", "directory"},
		{"trace:" + slice + "@0", `"0" is not a positive number`}, {"trace:" + slice + "@-1", "is not a positive"},
		{"trace:" + slice + "@NaN", "is not a positive"}, {"trace:" + slice + "@", `"" is not`}, {"trace:" + slice + "@1e9", "up to 1000000"},
		{"trace:" + write(t, "1\n"), "at least two times"}, {"trace:" + write(t, ""), "at least two times"},
		{"trace:" + write(t, "1\n1\n1"), "all times are the same"},
		{"trace:" + write(t, "a\nb\n"), `:2: "b" is neither a number of seconds nor a time such as`},
		{"trace:" + write(t, "1\nNaN\n"), `:2: "NaN" is neither`},
		{"trace:" + write(t, "1\n1e300\n"), `:2: "1e300" is neither`},
		{"trace:" + write(t, "1\n1e9\n"), `:2: "1e9" is more than a year away`},
		{"trace:" + write(t, "1\n"+strings.Repeat("9", maxTraceLine)), ":2: bufio.Scanner: token too long"},
	} {
		if _, err := ParseArrivals(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.spec, err, c.want)
		}
	}
}

func FuzzParseArrivals(f *testing.F) {
	for _, s := range []string{"poisson", "constant", "bursts:3", "trace:" + slice + "@10", "trace:x@y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if strings.HasPrefix(spec, "trace:/") {
			t.Skip() // devices
		}
		a, err := ParseArrivals(spec)
		if err != nil {
			return
		}
		if all := dues(a.Schedule(10, 2, 1), 100); !slices.IsSorted(all) || len(all) == 0 || all[0] < 0 || a.String() != spec {
			t.Fatalf("%q: %v", spec, all)
		}
	})
}

func FuzzTrace(f *testing.F) {
	f.Add("TIMESTAMP,A\n2023-11-16 18:15:46.6805900,374\n2023-11-16 18:15:50,1\n")
	f.Add("1\n2.5\n")
	f.Fuzz(func(t *testing.T, text string) {
		times, err := readTimes(write(t, text))
		if err == nil && (len(times) < 2 || times[0] != 0 || !slices.IsSorted(times)) {
			t.Fatalf("%q: %v", text, times)
		}
	})
}
