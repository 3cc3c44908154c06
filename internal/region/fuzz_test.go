package region

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "1.2.3.4:80": "1.2.3.4", "1.2.3.4:": "1.2.3.4", "::1": "::1", "[::1]": "::1", "[::1]:80": "::1", "[::1]:": "::1",
		"fe80::1%eth0": "fe80::1", "[fe80::1%25eth0]:80": "fe80::1", "::ffff:1.2.3.4": "1.2.3.4", "[::ffff:1.2.3.4]:80": "1.2.3.4", "2001:DB8::1": "2001:db8::1",
	} {
		if got, ok := parseAddress(text); !ok || got.String() != want {
			t.Errorf("%q: %s %t, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "-", "unknown", "_hidden", "@", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4:99999", "1.2.3.4:x", "1.2.3.4:-1", "[1.2.3.4]:80",
		"[::1", "::1]", "[::1]80", "[::1]:x", "[[::1]]", "1::2::3", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4/24", "\x00", strings.Repeat("1", 1<<20), ":80", ":",
	} {
		if got, ok := parseAddress(text); ok {
			t.Errorf("%.40q is %s", text, got)
		}
	}
}

// Whatever is read as an address is one, without zone, and reads back as itself.
func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"1.2.3.4:80", "[::1%eth0]:9", "::ffff:1.2.3.4", "", "[", "]:", "1.2.3.4:000000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := parseAddress(text)
		if !ok {
			return
		}
		if again, ok := parseAddress(a.String()); !ok || again != a || !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%q: %s, again %s", text, a, again)
		}
	})
}

// Whatever a client sends: there is a region, Find and Explain agree, the explanation
// may stand in a header, and no header of a stranger but Fulcrum-Region decides.
func FuzzFind(f *testing.F) {
	f.Add("10.0.0.1:80", "asia", "DE", "US", "sjc", "1.2.3.4, 5.6.7.8")
	f.Add("81.2.69.1:1", "\r\nSet-Cookie: x", "T1", "\x00", "é", "[::1%x]:99999,,,")
	f.Add("@", "", strings.Repeat("x", 5000), "us", "", strings.Repeat(",", 5000))
	table := testTable(f)
	f.Fuzz(func(t *testing.T, peer, name, cloudflare, cloudFront, fly, forwarded string) {
		h := headers("Fulcrum-Region", name, "CF-IPCountry", cloudflare, "CloudFront-Viewer-Country", cloudFront, "Fly-Region", fly, "X-Forwarded-For", forwarded)
		r, e := table.Explain(peer, h)
		if found, source := table.Find(peer, h); r == nil || found != r || source != e.Source {
			t.Fatalf("Find: %v by %s; Explain: %s", found, source, e)
		}
		text := e.String()
		for _, b := range []byte(text) {
			if b < ' ' || b > '~' {
				t.Fatalf("%q is not printable", text)
			}
		}
		if len(text) > 4096 {
			t.Fatalf("%d bytes", len(text))
		}
		a, known := parseAddress(peer)
		if e.Source > ByHeader && e.Source < ByAddress && !(known && table.trusts(a)) {
			t.Fatalf("a stranger decided: %s", e)
		}
		if known && !table.trusts(a) && e.Client != (netip.Addr{}) && e.Client != a {
			t.Fatalf("a stranger forwarded: %s", e)
		}
	})
}

// FuzzParseSLO: what is taken for a promise is written as it is read.
func FuzzParseSLO(f *testing.F) {
	for _, s := range []string{"p99=20ms", "p95 <= 1s", "p50<=1m", "p99=0", "p98=1s", "p99=1h", "p99=-1s", "p99=1e3s", "p99=.5s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		slo, err := ParseSLO(text)
		if err != nil {
			return
		}
		if again, err := ParseSLO(slo.String()); err != nil || again != slo {
			t.Fatalf("%q became %+v, then %+v, %v", text, slo, again, err)
		}
	})
}
