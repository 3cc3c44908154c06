package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

func TestFreshness(t *testing.T) {
	for _, c := range []struct {
		header []string // pairs
		want   fulcrum.Option
	}{
		{nil, fulcrum.Option{}},
		{[]string{"Cache-Control", ""}, fulcrum.Option{}},
		{[]string{"Cache-Control", "only-if-cached, max-stale=3"}, fulcrum.Option{}},
		{[]string{"Cache-Control", "No-Cache"}, fulcrum.Fresh},
		{[]string{"Cache-Control", "max-age=7, no-store"}, fulcrum.Fresh},
		{[]string{"Cache-Control", "a", "Cache-Control", "no-cache"}, fulcrum.Fresh},
		{[]string{"Cache-Control", ` max-age="7" `}, fulcrum.MaxStaleness(7 * time.Second)},
		{[]string{"Cache-Control", "max-age=0"}, fulcrum.Fresh},
		{[]string{"Cache-Control", "max-age"}, fulcrum.Fresh},
		{[]string{"Cache-Control", "max-age=-1"}, fulcrum.Fresh},
		{[]string{"Cache-Control", "max-age=99999999999"}, fulcrum.Fresh},
		{[]string{"Cache-Control", "max-age=7", "Fulcrum-After", "x"}, fulcrum.Fresh},
	} {
		h := http.Header{}
		for i := 0; i < len(c.header); i += 2 {
			h.Add(c.header[i], c.header[i+1])
		}
		if got := freshnessOf(h); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.header, got, c.want)
		}
	}
}

// Whatever else a header says, no-cache holds.
func FuzzFreshness(f *testing.F) {
	for _, s := range []string{"no-cache", "max-age=7", "max-age=x, no-store", ",,=", `max-age="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, values := range [][]string{{s, "no-cache"}, {"no-cache", s}, {s + ",no-cache"}} {
			if got := freshnessOf(http.Header{"Cache-Control": values}); got != fulcrum.Fresh {
				t.Errorf("%q: %+v", values, got)
			}
		}
	})
}
