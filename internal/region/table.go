package region

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Config is what a Table is made of. The zero Config has the default region alone.
type Config struct {
	Regions []Region       // default none; one of the name "default" is added if it is missing
	Proxies []netip.Prefix // whose CDN headers and X-Forwarded-For are believed; default none
	Geo     *Geo           // finds clients' addresses; nil: nobody is looked up
}

// maxRegions bounds the regions: each has metrics and, per resource, a queue.
const maxRegions = 100

// Table finds the region of a request. It never changes and is safe for concurrent
// use.
type Table struct {
	regions  []*Region
	fallback *Region
	proxies  []netip.Prefix
	geo      *Geo
	memo     *memo // nil without geo

	names        map[string]*Region
	continents   map[code]*Region
	countries    map[code]*Region
	subdivisions map[[2]code]*Region
	fly          map[code]*Region
}

// New makes a table. Its error joins ConfigErrors.
func New(cfg Config) (*Table, error) {
	var all []error
	for _, e := range Check(cfg.Regions) {
		all = append(all, e)
	}
	if len(cfg.Regions) > maxRegions {
		all = append(all, fmt.Errorf("region: there are %d regions, at most %d may be", len(cfg.Regions), maxRegions))
	}
	if all != nil {
		return nil, errors.Join(all...)
	}
	t := &Table{
		geo: cfg.Geo, names: map[string]*Region{}, continents: map[code]*Region{}, countries: map[code]*Region{},
		subdivisions: map[[2]code]*Region{}, fly: map[code]*Region{},
	}
	for _, p := range cfg.Proxies {
		t.proxies = append(t.proxies, unmapped(p))
	}
	for _, r := range cfg.Regions {
		t.add(r)
	}
	if t.fallback = t.names[Default]; t.fallback == nil {
		t.fallback = t.add(Region{Name: Default})
	}
	for _, r := range t.regions { // explicit areas go over those that come by default
		if len(r.Areas) == 0 {
			t.serve(r, defaultAreas[r.Name])
		}
	}
	for _, r := range t.regions {
		t.serve(r, r.Areas)
	}
	if t.geo != nil {
		t.memo = new(memo)
	}
	return t, nil
}

// unmapped makes an IPv4 network of one that is written as IPv6: addresses are looked
// at that way.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}

func (t *Table) add(r Region) *Region {
	r.index = len(t.regions)
	t.regions = append(t.regions, &r)
	t.names[r.Name] = &r
	return &r
}

func (t *Table) serve(r *Region, areas []Area) {
	for _, a := range areas {
		if c, ok := continents[a]; ok {
			t.continents[c] = r
			continue
		}
		if airport, ok := strings.CutPrefix(string(a), flyPrefix); ok {
			c, _ := codeOf(airport)
			t.fly[c] = r
			continue
		}
		country, subdivision, _ := strings.Cut(string(a), "-")
		c, _ := codeOf(country)
		if s, ok := codeOf(subdivision); ok {
			t.subdivisions[[2]code{c, s}] = r
		} else {
			t.countries[c] = r
		}
	}
}

// Default is the region of requests that have no other one.
func (t *Table) Default() *Region { return t.fallback }

// Regions are all regions, by their indices.
func (t *Table) Regions() []*Region { return t.regions }

// Trivial says that there is the default region only.
func (t *Table) Trivial() bool { return len(t.regions) == 1 }

// at is the region that serves a place, nil if none does.
func (t *Table) at(p place) *Region {
	none := code{}
	if p.subdivision != none && p.country != none {
		if r := t.subdivisions[[2]code{p.country, p.subdivision}]; r != nil {
			return r
		}
	}
	if p.country != none {
		if r := t.countries[p.country]; r != nil {
			return r
		}
		if c := continentOf[p.country]; c != none {
			p.continent = c // one table decides, so that CDN and database agree
		}
	}
	return t.continents[p.continent]
}

// Find is the region of a request with these headers from that peer (host:port, as
// net/http has it). It never fails.
func (t *Table) Find(peer string, h http.Header) (*Region, Source) { return t.find(peer, h, nil) }

// Explain is Find with its reasons.
func (t *Table) Explain(peer string, h http.Header) (*Region, Explanation) {
	var e Explanation
	r, source := t.find(peer, h, &e)
	e.Region, e.Source = r.Name, source
	return r, e
}

// Header names as net/http has them.
const (
	regionHeader     = "Fulcrum-Region"
	cloudflareHeader = "Cf-Ipcountry"
	cloudFrontHeader = "Cloudfront-Viewer-Country"
	cloudFrontPart   = "Cloudfront-Viewer-Country-Region"
	flyHeader        = "Fly-Region"
	forwardedHeader  = "X-Forwarded-For"
)

// Why a source was passed over.
const (
	unknownName  = "there is no such region"
	notServed    = "no region serves it"
	noCountry    = "it is no country"
	unknownFly   = "it is not known which country that is: name it among a region's areas"
	twice        = "it is there more than once"
	notTrusted   = "it does not come from a trusted proxy"
	notAnAddress = "it is no address"
)

func (t *Table) find(peer string, h http.Header, e *Explanation) (*Region, Source) {
	if name, ok := single(h, regionHeader, ByHeader, e); ok {
		if r := t.names[name]; r != nil {
			e.because(name)
			return r, ByHeader
		}
		e.ignore(ByHeader, name, unknownName)
	}
	if len(t.proxies) == 0 && t.geo == nil && e == nil {
		return t.fallback, ByDefault
	}
	addr, known := parseAddress(peer)
	trusted := known && t.trusts(addr)
	if trusted || e != nil {
		if r, source := t.byCDN(h, trusted, e); r != nil {
			return r, source
		}
	}
	if r := t.byAddress(peer, addr, known, trusted, h, e); r != nil {
		return r, ByAddress
	}
	return t.fallback, ByDefault
}

// single is a header's value; not ok if it is missing or there twice.
func single(h http.Header, name string, s Source, e *Explanation) (string, bool) {
	values := h[name]
	if len(values) > 1 {
		e.ignore(s, values[0], twice)
	}
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// byCDN asks the headers that CDNs set.
func (t *Table) byCDN(h http.Header, trusted bool, e *Explanation) (*Region, Source) {
	for source := ByCloudflare; source <= ByFly; source++ {
		value, ok := single(h, source.header(), source, e)
		switch {
		case !ok:
			continue
		case !trusted:
			e.ignore(source, value, notTrusted)
			continue
		}
		r, why := t.byHint(source, value, h)
		if r != nil {
			e.because(value)
			return r, source
		}
		e.ignore(source, value, why)
	}
	return nil, ByDefault
}

func (t *Table) byHint(source Source, value string, h http.Header) (r *Region, why string) {
	var p place
	if source == ByFly {
		airport, _ := codeOf(value)
		if r := t.fly[airport]; r != nil {
			return r, ""
		}
		var ok bool
		if p, ok = airports[airport]; !ok {
			return nil, unknownFly
		}
	} else {
		var ok bool
		if p.country, ok = countryOf(value); !ok {
			return nil, noCountry
		}
		if parts := h[cloudFrontPart]; source == ByCloudFront && len(parts) == 1 {
			p.subdivision, _ = codeOf(parts[0])
		}
	}
	if r = t.at(p); r == nil {
		return nil, notServed
	}
	return r, ""
}

// byAddress looks the client's address up.
func (t *Table) byAddress(peer string, addr netip.Addr, known, trusted bool, h http.Header, e *Explanation) *Region {
	lines := h[forwardedHeader]
	if !trusted && len(lines) > 0 && e != nil {
		e.ignore(ByForwarded, strings.Join(lines, ", "), notTrusted)
	}
	if !known {
		e.ignore(ByAddress, peer, notAnAddress)
		return nil
	}
	if trusted && len(lines) > 0 {
		var why string
		if addr, why = t.forwarded(addr, lines); why != "" {
			if e != nil {
				e.ignore(ByForwarded, strings.Join(lines, ", "), why)
			}
			return nil
		}
	}
	if e == nil {
		if t.geo == nil {
			return nil
		}
		return t.recall(addr)
	}
	e.Client = addr
	if t.geo == nil {
		return nil
	}
	r, p, why := t.locate(addr)
	value := addr.String() + p.suffix()
	if r == nil {
		e.ignore(ByAddress, value, why)
		return nil
	}
	e.because(value)
	return r
}

// suffix is a place after an address: " (US-CA)".
func (p place) suffix() string {
	switch {
	case p.country == code{} && p.continent == code{}:
		return ""
	case p.country == code{}:
		return " (continent " + p.continent.String() + ")"
	case p.subdivision == code{}:
		return " (" + p.country.String() + ")"
	}
	return " (" + p.country.String() + "-" + p.subdivision.String() + ")"
}

// quoted is a client's text for people and headers: printable, and not long.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
