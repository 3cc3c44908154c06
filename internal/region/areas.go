package region

import (
	"fmt"
	"strings"
)

// Area is a part of the world: a continent (europe), a country (DE), a subdivision of
// one (US-CA), or one of Fly's regions (fly:iad). It is as ParseArea makes it.
type Area string

// code is a place's code, of two or three capital letters or digits; zero for none.
type code [3]byte

// place is where a request comes from, as far as it is known.
type place struct{ continent, country, subdivision code }

// continents by the names that areas have.
var continents = map[Area]code{
	"africa": {'A', 'F'}, "antarctica": {'A', 'N'}, "asia": {'A', 'S'}, "europe": {'E', 'U'},
	"north-america": {'N', 'A'}, "oceania": {'O', 'C'}, "south-america": {'S', 'A'},
}

// flyPrefix marks one of Fly's regions among areas.
const flyPrefix = "fly:"

// ParseArea reads an area. Case does not matter.
func ParseArea(text string) (Area, error) {
	lower := Area(strings.ToLower(text))
	if _, ok := continents[lower]; ok {
		return lower, nil
	}
	if airport, ok := strings.CutPrefix(string(lower), flyPrefix); ok {
		if c, ok := codeOf(airport); ok && c[2] != 0 {
			return lower, nil
		}
		return "", fmt.Errorf("want one of Fly's regions, such as fly:iad")
	}
	country, subdivision, both := strings.Cut(text, "-")
	c, ok := codeOf(country)
	if !ok || continentOf[c] == (code{}) {
		return "", fmt.Errorf("want a continent (%s), a country such as DE, a subdivision such as US-CA, or one of Fly's regions such as fly:iad",
			"africa, antarctica, asia, europe, north-america, oceania, south-america")
	}
	if !both {
		return Area(c.String()), nil
	}
	s, ok := codeOf(subdivision)
	if !ok {
		return "", fmt.Errorf("want a subdivision as ISO 3166-2 writes it, such as US-CA")
	}
	return Area(c.String() + "-" + s.String()), nil
}

// codeOf reads a code of one to three letters or digits, of any case.
func codeOf(text string) (c code, ok bool) {
	if len(text) < 1 || len(text) > len(c) {
		return code{}, false
	}
	for i := range len(text) {
		b := text[i]
		switch {
		case 'a' <= b && b <= 'z':
			b -= 'a' - 'A'
		case 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		default:
			return code{}, false
		}
		c[i] = b
	}
	return c, true
}

func (c code) String() string { return strings.TrimRight(string(c[:]), "\x00") }

// countryOf is a country's code; not ok if there is no such country.
func countryOf(text string) (code, bool) {
	c, ok := codeOf(text)
	return c, ok && continentOf[c] != code{}
}

// defaultAreas are those of the four example regions: the continent itself and its
// nearest neighbours. West of the Rocky Mountains it is nearer to us-west.
var defaultAreas = map[string][]Area{
	"us-east": {"north-america", "south-america"},
	"us-west": {
		"US-AK", "US-AZ", "US-CA", "US-CO", "US-HI", "US-ID", "US-MT", "US-NM", "US-NV", "US-OR", "US-UT", "US-WA", "US-WY",
		"CA-AB", "CA-BC", "CA-YT",
	},
	"europe": {"europe", "africa"},
	"asia":   {"asia", "oceania"},
}

// DefaultAreas are what a region of that name serves if it names no areas, and no
// other region does; nil for most names.
func DefaultAreas(name string) []Area { return defaultAreas[name] }

// airports are where Fly's regions stand (fly.io/docs/reference/regions). A request
// enters at the nearest one.
var airports = readAirports(`ams:NL arn:SE atl:US-GA bog:CO bom:IN bos:US-MA cdg:FR den:US-CO dfw:US-TX ewr:US-NJ eze:AR fra:DE gdl:MX
		gig:BR gru:BR hkg:HK iad:US-VA jnb:ZA lax:US-CA lhr:GB mad:ES mia:US-FL nrt:JP ord:US-IL otp:RO phx:US-AZ qro:MX scl:CL sea:US-WA sin:SG
		sjc:US-CA syd:AU waw:PL yul:CA-QC yyz:CA-ON`)

func readAirports(list string) map[code]place {
	all := map[code]place{}
	for _, entry := range strings.Fields(list) {
		airport, where, _ := strings.Cut(entry, ":")
		country, subdivision, _ := strings.Cut(where, "-")
		at, _ := codeOf(airport)
		c, _ := codeOf(country)
		s, _ := codeOf(subdivision)
		all[at] = place{country: c, subdivision: s, continent: continentOf[c]}
	}
	return all
}
