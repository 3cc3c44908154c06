package logs

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// reported analyses a recorded file of the folder that FULCRUM_DATA names.
func reported(t *testing.T, name string, c usage.Config) *usage.Report {
	t.Helper()
	dir := os.Getenv("FULCRUM_DATA")
	if dir == "" {
		t.Skip("FULCRUM_DATA names no folder with recorded traffic")
	}
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s, err := Open(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := usage.New(c)
	if err := s.Each(t.Context(), a.Add, nil); err != nil {
		t.Fatal(err)
	}
	return a.Report()
}

// The sampled curve of a recorded trace with 0.9 million references is near the exact
// one at every size.
func TestSampledCurveOfARecordedTrace(t *testing.T) {
	var sizes []uint64
	for n := 100.0; n < 186_880; n *= 1.1 {
		sizes = append(sizes, uint64(n))
	}
	exact := reported(t, "arc_oltp.gz", usage.Config{Entries: sizes})
	sampled := reported(t, "arc_oltp.gz", usage.Config{Entries: sizes, ExactReferences: 8000})
	sum := 0.0
	for i, m := range exact.MissRatioCurve {
		sum += math.Abs(m.Ratio - sampled.MissRatioCurve[i].Ratio)
	}
	e := sum / float64(len(exact.MissRatioCurve))
	t.Logf("mean absolute error at %d sizes: %.5f", len(exact.MissRatioCurve), e)
	if e > .01 || e == 0 {
		t.Errorf("mean absolute error %v", e)
	}
}
