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

// Whatever a header says, it asks for nothing older than without it.
func FuzzFreshness(f *testing.F) {
	for _, s := range []string{"no-cache", "max-age=7", "max-age=x, no-store", ",,=", `max-age="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o := freshnessOf(http.Header{"Cache-Control": {s}})
		for seconds := range 3 {
			if o == fulcrum.MaxStaleness(time.Duration(-1-seconds)) && o != fulcrum.Fresh {
				t.Errorf("%q: %+v", s, o)
			}
		}
		if again := freshnessOf(http.Header{"Cache-Control": {s, "no-cache"}}); again != fulcrum.Fresh {
			t.Errorf("%q and no-cache: %+v", s, again)
		}
	})
}
