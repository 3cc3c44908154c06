package region

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/fulcrum-data/fulcrum"
)

// four are the example regions.
func four() []Region {
	return []Region{
		{Name: "default"},
		{Name: "us-east", Policy: Policy{Mode: fulcrum.ModeThroughput, MaxBatch: 100}},
		{Name: "us-west", Policy: Policy{Mode: fulcrum.ModeLatency, MaxBatch: 10}},
		{Name: "europe", Policy: Policy{MaxBatch: 50}},
		{Name: "asia", Policy: Policy{Mode: fulcrum.ModeThroughput, MaxBatch: 200}},
	}
}

// geoFile writes a database that knows these networks: a country or subdivision each,
// "+EU" for a continent alone, "" for a record without a place.
func geoFile(t testing.TB, networks map[string]string) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	for network, where := range networks {
		country, subdivision, _ := strings.Cut(where, "-")
		r := mmdbtype.Map{}
		switch continent, only := strings.CutPrefix(where, "+"); {
		case only:
			r["continent"] = mmdbtype.Map{"code": mmdbtype.String(continent)}
		case where != "":
			r["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(country)}
		}
		if subdivision != "" {
			r["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(subdivision)}}
		}
		_, ip, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(ip, r); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "test.mmdb")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return file
}

func testGeo(t testing.TB) *Geo {
	t.Helper()
	g, err := OpenGeo(geoFile(t, map[string]string{
		"81.2.69.0/24": "GB", "89.160.20.0/24": "SE", "216.160.83.0/24": "US-WA", "12.0.0.0/8": "US-NY", "2a02:cf40::/29": "NO",
		"175.16.0.0/16": "CN", "67.43.156.0/24": "BT", "5.83.0.0/16": "+OC", "200.1.0.0/16": "", "201.1.0.0/16": "AQ",
	}))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func testTable(t testing.TB) *Table {
	return newTable(t, Config{
		Regions: four(), Geo: testGeo(t),
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("::ffff:192.0.2.0/120")},
	})
}

// headers makes a request's header of pairs.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

const (
	proxy    = "10.1.2.3:4711"
	stranger = "81.2.69.160:4711" // GB
)

// Every source, right and wrong; the text says what was decided, why, and what was
// passed over.
func TestExplain(t *testing.T) {
	table := testTable(t)
	for _, c := range []struct {
		name, peer string
		headers    []string
		want       string
	}{
		{"nothing", "198.51.100.1:1", nil, `region=default by default for address "198.51.100.1"; ignored address "198.51.100.1": the database does not know it`},
		{"header", stranger, []string{"Fulcrum-Region", "asia"}, `region=asia by Fulcrum-Region "asia"`},
		{"header goes first", proxy, []string{"Fulcrum-Region", "asia", "CF-IPCountry", "DE"}, `region=asia by Fulcrum-Region "asia"`},
		{"default by name", stranger, []string{"Fulcrum-Region", "default"}, `region=default by Fulcrum-Region "default"`},
		{"unknown header", proxy, []string{"Fulcrum-Region", "mars", "CF-IPCountry", "DE"}, `region=europe by CF-IPCountry "DE"; ignored Fulcrum-Region "mars": there is no such region`},
		{"header twice", stranger, []string{"Fulcrum-Region", "asia", "Fulcrum-Region", "europe"}, `region=europe by address "81.2.69.160 (GB)"; ignored Fulcrum-Region "asia": it is there more than once`},
		{"empty header", stranger, []string{"Fulcrum-Region", ""}, `region=europe by address "81.2.69.160 (GB)"; ignored Fulcrum-Region "": there is no such region`},
		{"odd header", stranger, []string{"Fulcrum-Region", "a\x01ü" + strings.Repeat("x", 100)}, `region=europe by address "81.2.69.160 (GB)"; ignored Fulcrum-Region "a\x01\u00fc` + strings.Repeat("x", 60) + `"...: there is no such region`},
		{"Cloudflare", proxy, []string{"CF-IPCountry", "JP"}, `region=asia by CF-IPCountry "JP"`},
		{"small letters", proxy, []string{"CF-IPCountry", "jp"}, `region=asia by CF-IPCountry "jp"`},
		{"Cloudflare knows not", proxy, []string{"CF-IPCountry", "XX", "X-Forwarded-For", "89.160.20.112"}, `region=europe by address "89.160.20.112 (SE)"; ignored CF-IPCountry "XX": it is no country`},
		{"Tor", proxy, []string{"CF-IPCountry", "T1"}, `region=default by default for address "10.1.2.3"; ignored CF-IPCountry "T1": it is no country; ignored address "10.1.2.3": the database does not know it`},
		{"Cloudflare from anybody", stranger, []string{"CF-IPCountry", "JP"}, `region=europe by address "81.2.69.160 (GB)"; ignored CF-IPCountry "JP": it does not come from a trusted proxy`},
		{"Cloudflare twice", proxy, []string{"CF-IPCountry", "JP", "CF-IPCountry", "DE", "Fly-Region", "fra"}, `region=europe by Fly-Region "fra"; ignored CF-IPCountry "JP": it is there more than once`},
		{"CloudFront", proxy, []string{"CloudFront-Viewer-Country", "US"}, `region=us-east by CloudFront-Viewer-Country "US"`},
		{"CloudFront with a state", proxy, []string{"CloudFront-Viewer-Country", "US", "CloudFront-Viewer-Country-Region", "CA"}, `region=us-west by CloudFront-Viewer-Country "US"`},
		{"a state of no country", proxy, []string{"CloudFront-Viewer-Country", "DE", "CloudFront-Viewer-Country-Region", "CA"}, `region=europe by CloudFront-Viewer-Country "DE"`},
		{"Fly", proxy, []string{"Fly-Region", "sjc"}, `region=us-west by Fly-Region "sjc"`},
		{"Fly's newest", proxy, []string{"Fly-Region", "zzz", "X-Forwarded-For", "12.1.1.1"}, `region=us-east by address "12.1.1.1 (US-NY)"; ignored Fly-Region "zzz": it is not known which country that is: name it among a region's areas`},
		{"nobody serves it", proxy, []string{"CF-IPCountry", "AQ", "X-Forwarded-For", "201.1.1.1"}, `region=default by default for address "201.1.1.1"; ignored CF-IPCountry "AQ": no region serves it; ignored address "201.1.1.1 (AQ)": no region serves it`},
		{"address", "216.160.83.56:80", nil, `region=us-west by address "216.160.83.56 (US-WA)"`},
		{"IPv6", "[2a02:cf40::1]:80", nil, `region=europe by address "2a02:cf40::1 (NO)"`},
		{"IPv4 in IPv6", "[::ffff:81.2.69.160]:80", nil, `region=europe by address "81.2.69.160 (GB)"`},
		{"continent alone", "5.83.1.1:1", nil, `region=asia by address "5.83.1.1 (continent OC)"`},
		{"record without place", "200.1.1.1:1", nil, `region=default by default for address "200.1.1.1"; ignored address "200.1.1.1": no region serves it`},
		{"socket", "@", nil, `region=default by default; ignored address "@": it is no address`},
		{"forwarded", proxy, []string{"X-Forwarded-For", "175.16.199.1"}, `region=asia by address "175.16.199.1 (CN)"`},
		{"forwarded from anybody", stranger, []string{"X-Forwarded-For", "175.16.199.1"}, `region=europe by address "81.2.69.160 (GB)"; ignored X-Forwarded-For "175.16.199.1": it does not come from a trusted proxy`},
		{"made up on the left", proxy, []string{"X-Forwarded-For", "175.16.199.1, 81.2.69.1, 10.9.9.9"}, `region=europe by address "81.2.69.1 (GB)"`},
		{"several lines", proxy, []string{"X-Forwarded-For", "175.16.199.1", "X-Forwarded-For", "81.2.69.1 ,10.9.9.9", "X-Forwarded-For", "192.0.2.7"}, `region=europe by address "81.2.69.1 (GB)"`},
		{"proxies only", proxy, []string{"X-Forwarded-For", "10.0.0.9, 10.0.0.8"}, `region=default by default for address "10.0.0.9"; ignored address "10.0.0.9": the database does not know it`},
		{"no address", proxy, []string{"X-Forwarded-For", "81.2.69.1, unknown"}, `region=default by default; ignored X-Forwarded-For "81.2.69.1, unknown": it holds something that is no address`},
		{"too many hops", proxy, []string{"X-Forwarded-For", strings.Repeat("10.0.0.1,", 33)}, `region=default by default; ignored X-Forwarded-For "` + strings.Repeat("10.0.0.1,", 7) + `1"...: more than 32 trusted proxies`},
		{"empty elements", proxy, []string{"X-Forwarded-For", ", ,\t81.2.69.1:99 ,,"}, `region=europe by address "81.2.69.1 (GB)"`},
		{"IPv6 through a proxy", "[::1]:5", []string{"X-Forwarded-For", "[2a02:cf40::7]:443"}, `region=europe by address "2a02:cf40::7 (NO)"`},
		{"zone", "[fe80::1%eth0]:80", nil, `region=default by default for address "fe80::1"; ignored address "fe80::1": the database does not know it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := headers(c.headers...)
			r, e := table.Explain(c.peer, h)
			if e.String() != c.want {
				t.Errorf("\n got %s\nwant %s", e, c.want)
			}
			for range 2 { // the second time from the memo
				if found, source := table.Find(c.peer, h); found != r || source != e.Source {
					t.Errorf("Find says %s by %s", found.Name, source)
				}
			}
		})
	}
}

// Areas of one's own go over those that come by default.
func TestAreas(t *testing.T) {
	area := func(texts ...string) (all []Area) {
		for _, text := range texts {
			a, err := ParseArea(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, a)
		}
		return all
	}
	table := newTable(t, Config{
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Regions: []Region{
			{Name: "europe"},
			{Name: "nordics", Areas: area("se", "NO", "DK", "fi", "fly:arn", "Fly:zzz")},
			{Name: "us-west", Areas: area("US-CA")},
			{Name: "south", Areas: area("Africa", "oceania", "AU-TAS")},
		},
	})
	for value, want := range map[string]string{"SE": "nordics", "DE": "europe", "ZA": "south", "AU": "south", "US": "default", "JP": "default"} {
		if r, _ := table.Find(proxy, headers("CF-IPCountry", value)); r.Name != want {
			t.Errorf("%s: %s, want %s", value, r.Name, want)
		}
	}
	for value, want := range map[string]string{"arn": "nordics", "zzz": "nordics", "sjc": "us-west", "sea": "default", "fra": "europe", "jnb": "south"} {
		if r, _ := table.Find(proxy, headers("Fly-Region", value)); r.Name != want {
			t.Errorf("%s: %s, want %s", value, r.Name, want)
		}
	}
	if got := table.Regions(); len(got) != 5 || got[4].Name != Default || got[4].Index() != 4 || table.Trivial() {
		t.Errorf("%v", got)
	}
	if !newTable(t, Config{}).Trivial() {
		t.Error("an empty table is not trivial")
	}
	for _, text := range []string{"", "moon", "D", "XX", "DEU", "US-", "US-CALI", "-CA", "fly:", "fly:lax1", "fly:x", "EU", "US-C\x00"} {
		if a, err := ParseArea(text); err == nil {
			t.Errorf("%q is the area %q", text, a)
		}
	}
}

// All that is a default is right itself.
func TestDefaultAreas(t *testing.T) {
	for name, areas := range defaultAreas {
		if !slices.Equal(DefaultAreas(name), areas) {
			t.Error(name)
		}
		for _, a := range areas {
			if got, err := ParseArea(string(a)); err != nil || got != a {
				t.Errorf("%s: %s: %v", name, a, err)
			}
		}
	}
	if len(continentOf) != 250 {
		t.Errorf("%d countries, ISO 3166-1 and Kosovo are 250", len(continentOf))
	}
	for airport, p := range airports {
		if p.continent == (code{}) {
			t.Errorf("%s is on no continent", airport)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	de, _ := ParseArea("DE")
	many := make([]Region, 101)
	for i := range many {
		many[i].Name = "r" + strings.Repeat("x", i%50) + string(rune('a'+i/50))
	}
	for want, regions := range map[string][]Region{
		"region: a b: want a name of up to 63":             {{Name: "a b"}},
		"region: a: is there twice":                        {{Name: "a"}, {Name: "a"}},
		"region: default: areas: serves all that no other": {{Name: "default", Areas: []Area{de}}},
		"region: b: areas: DE is served by a already":      {{Name: "a", Areas: []Area{de}}, {Name: "b", Areas: []Area{de}}},
		"there are 101 regions, at most 100 may be":        many,
	} {
		if _, err := New(Config{Regions: regions}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestPolicyOver(t *testing.T) {
	base := fulcrum.Policy{Mode: fulcrum.ModeLatency, InFlight: 7, MaxBatch: 9, Linger: 3 * time.Millisecond}
	got := Policy{Mode: fulcrum.ModeThroughput, MaxBatch: 100, Linger: time.Second}.Over(base)
	if want := (fulcrum.Policy{Mode: fulcrum.ModeThroughput, InFlight: 7, MaxBatch: 100, Linger: time.Second}); got != want {
		t.Errorf("%+v", got)
	}
	if got := (Policy{Mode: fulcrum.ModeLatency}).Over(base); got != base {
		t.Errorf("%+v", got)
	}
	p := Policy{Mode: fulcrum.ModeThroughput, MaxBatch: 10, Linger: time.Second, SLO: SLO{99, time.Second}}
	if p.String() != "throughput, batches up to 10, linger 1s, SLO p99=1s" || (Policy{}).String() != "balanced" {
		t.Error(p)
	}
}

func TestSLO(t *testing.T) {
	for text, want := range map[string]SLO{"p99=20ms": {99, 20 * time.Millisecond}, "p95 <= 1.5s": {95, 1500 * time.Millisecond}, "p50 = 1m": {50, time.Minute}} {
		got, err := ParseSLO(text)
		if again, _ := ParseSLO(got.String()); err != nil || got != want || again != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "p99", "p99=", "p90=1s", "99=1s", "p99=20", "p99=-1s", "p99=999us", "p99=61s", "p99=1s ", "p99==1s", "p99=" + strings.Repeat("1", 30) + "s"} {
		if got, err := ParseSLO(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if (SLO{}).String() != "" {
		t.Error("a promise of nothing")
	}
}
