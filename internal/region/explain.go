package region

import (
	"net/netip"
	"strings"
)

// Source is what a region was found by.
type Source uint8

// The sources, in the order in which they are asked.
const (
	ByHeader     Source = iota // Fulcrum-Region
	ByCloudflare               // CF-IPCountry
	ByCloudFront               // CloudFront-Viewer-Country
	ByFly                      // Fly-Region
	ByForwarded                // X-Forwarded-For; found by it means ByAddress
	ByAddress                  // the client's address
	ByDefault                  // nothing
	Sources                    // how many there are
)

var sourceNames = [Sources]string{"header", "cloudflare", "cloudfront", "fly", "forwarded", "address", "default"}

// String names the source as metrics do.
func (s Source) String() string {
	if s < Sources {
		return sourceNames[s]
	}
	return "unknown"
}

// label names the source for people.
func (s Source) label() string {
	switch s {
	case ByHeader:
		return regionHeader
	case ByCloudflare:
		return "CF-IPCountry"
	case ByCloudFront:
		return "CloudFront-Viewer-Country"
	case ByFly:
		return flyHeader
	case ByForwarded:
		return forwardedHeader
	case ByAddress:
		return "address"
	}
	return Default
}

// header is where a CDN's source stands.
func (s Source) header() string {
	switch s {
	case ByCloudflare:
		return cloudflareHeader
	case ByCloudFront:
		return cloudFrontHeader
	}
	return flyHeader
}

// Explanation says why a request has its region.
type Explanation struct {
	Region  string
	Source  Source
	Value   string     // what the source said, such as DE; empty for the default
	Client  netip.Addr // whose address was looked at; the zero Addr if it came to none
	Ignored []Ignored  // in the order of the sources
}

// Ignored is a source that was passed over.
type Ignored struct {
	Source Source
	Value  string // what it said
	Why    string
}

// because notes what decided. Like ignore, it does nothing on nil.
func (e *Explanation) because(value string) {
	if e != nil {
		e.Value = value
	}
}

func (e *Explanation) ignore(s Source, value, why string) {
	if e != nil {
		e.Ignored = append(e.Ignored, Ignored{s, value, why})
	}
}

// String is the explanation in one line of printable ASCII, which may stand in a
// header:
//
//	region=europe by CF-IPCountry "DE"; ignored Fulcrum-Region "mars": there is no such region
func (e Explanation) String() string {
	var b strings.Builder
	b.WriteString("region=" + e.Region + " by " + e.Source.label())
	if e.Value != "" {
		b.WriteString(" " + quoted(e.Value))
	}
	if e.Source == ByDefault && e.Client.IsValid() {
		b.WriteString(" for address " + quoted(e.Client.String()))
	}
	for _, i := range e.Ignored {
		b.WriteString("; ignored " + i.String())
	}
	return b.String()
}

// String is one line of printable ASCII.
func (i Ignored) String() string { return i.Source.label() + " " + quoted(i.Value) + ": " + i.Why }
