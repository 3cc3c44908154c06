package gateway

import (
	"net/http"
	"reflect"
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
	} {
		h := http.Header{}
		for i := 0; i < len(c.header); i += 2 {
			h.Add(c.header[i], c.header[i+1])
		}
		if got := freshnessOf(h); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, want %+v", c.header, got, c.want)
		}
	}
}

// What a journal has can be known by the primary alone.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		tokens []string
		want   fulcrum.Option
	}{
		{[]string{"pg:1:2:3", "x"}, fulcrum.After("pg:1:2:3", "x")},
		{[]string{"pg:1:2:3", "journal:a:1:2"}, fulcrum.Fresh},
	} {
		if got := behind(c.tokens); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, want %+v", c.tokens, got, c.want)
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
			if got := freshnessOf(http.Header{"Cache-Control": values}); !reflect.DeepEqual(got, fulcrum.Fresh) {
				t.Errorf("%q: %+v", values, got)
			}
		}
	})
}
