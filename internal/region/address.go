package region

import (
	"net/netip"
	"strings"
)

// maxAddress is the longest text that is looked at as an address, in bytes: an IPv6
// address with zone and port.
const maxAddress = 80

// parseAddress reads an address as proxies and net/http write it: with or without
// port, brackets and zone. The zone goes, and IPv4 in IPv6 becomes IPv4: they must
// find the same networks.
func parseAddress(text string) (netip.Addr, bool) {
	if len(text) > maxAddress {
		return netip.Addr{}, false
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		host, port, ok := strings.Cut(inner, "]")
		if !ok || port != "" && !isPort(port) || !strings.Contains(host, ":") {
			return netip.Addr{}, false
		}
		text = host
	} else if colon := strings.IndexByte(text, ':'); colon >= 0 && strings.IndexByte(text[colon+1:], ':') < 0 {
		if !isPort(text[colon:]) {
			return netip.Addr{}, false
		}
		text = text[:colon]
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.WithZone("").Unmap(), true
}

// isPort says whether text is a colon and a port. Some proxies leave the digits out.
func isPort(text string) bool {
	if len(text) < 1 || len(text) > 6 || text[0] != ':' {
		return false
	}
	n := 0
	for _, c := range []byte(text[1:]) {
		if c < '0' || c > '9' {
			return false
		}
		n = 10*n + int(c-'0')
	}
	return n <= 65535
}

// maxHops bounds how many addresses of X-Forwarded-For are looked at.
const maxHops = 32

// Why X-Forwarded-For names no client.
const (
	noAddress   = "it holds something that is no address"
	tooManyHops = "more than 32 trusted proxies"
)

// forwarded finds the client behind trusted proxies: the rightmost address that is
// none of them, or the leftmost if all are. why says why there is none; it is empty
// with the peer itself if nothing was forwarded.
func (t *Table) forwarded(peer netip.Addr, lines []string) (client netip.Addr, why string) {
	client = peer
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var element string
			comma := strings.LastIndexByte(rest, ',')
			if more = comma >= 0; more {
				rest, element = rest[:comma], rest[comma+1:]
			} else {
				element = rest
			}
			if hops++; hops > maxHops {
				return netip.Addr{}, tooManyHops
			}
			element = strings.Trim(element, " \t")
			if element == "" { // lists may have empty elements (RFC 9110, section 5.6.1)
				continue
			}
			addr, ok := parseAddress(element)
			if !ok {
				return netip.Addr{}, noAddress
			}
			client = addr
			if !t.trusts(addr) {
				return client, ""
			}
		}
	}
	return client, ""
}

// trusts says whether an address is that of a trusted proxy.
func (t *Table) trusts(a netip.Addr) bool {
	for _, p := range t.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
