package config

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/store"
)

// Cache says how much of a resource is kept in memory, and for how long. Its Size is the
// gateway's.
type Cache = cache.Config[store.Key, []byte]

// Caches are those of resources, by their names. Resources without one are missing.
type Caches map[string]Cache

// caching is what the file says of caches, until it is known of which resources.
type caching struct {
	all  *Cache            // of every resource that says nothing itself
	each map[string]*Cache // of those that do; nil: none
}

const (
	mostKept     = 1 << 30
	mostKeptFor  = 24 * time.Hour
	leastKeptFor = time.Millisecond
)

// readCache reads a cache, or false.
func readCache(to func(*Cache)) func(value) {
	return func(v value) {
		if v.node.Value == "false" && v.node.ShortTag() == "!!bool" {
			to(nil)
			return
		}
		if !v.is(yaml.MappingNode, "entries or bytes, such as {entries: 20000}, or false") {
			return
		}
		c := &Cache{}
		v.fields(
			field{name: "entries", read: intoInt(&c.Entries, 1, mostKept)},
			field{name: "bytes", read: intoSize(&c.Bytes, 1<<10, 1<<40)},
			field{name: "ttl", read: intoDuration(&c.TTL, leastKeptFor, mostKeptFor)},
			field{name: "negative_ttl", read: intoSpanOrNone(&c.NegativeTTL, leastKeptFor, mostKeptFor)},
			field{name: "stale_while_revalidate", read: intoSpanOrNone(&c.StaleWhileRevalidate, leastKeptFor, mostKeptFor)},
			field{name: "stale_if_degraded", read: intoSpanOrNone(&c.StaleIfDegraded, leastKeptFor, mostKeptFor)},
		)
		c.StaleWhileRevalidate, c.StaleIfDegraded = max(0, c.StaleWhileRevalidate), max(0, c.StaleIfDegraded)
		switch {
		case c.Entries == 0 && c.Bytes == 0:
			v.wrong("entries or bytes is missing: say how much of each resource may be kept, or cache: false")
		case c.Entries != 0 && c.Bytes != 0:
			v.wrong("entries and bytes are both there: say one of them")
		case c.TTL != 0 && c.NegativeTTL > c.TTL:
			v.wrong("negative_ttl %s is more than ttl %s", brief(c.NegativeTTL), brief(c.TTL))
		case c.TTL == 0 && c.NegativeTTL > time.Minute:
			v.wrong("negative_ttl %s is more than ttl 1m", brief(c.NegativeTTL))
		}
		to(c)
	}
}

// caches are those of each resource.
func (k caching) caches(resources []store.Resource) Caches {
	var all Caches
	for _, r := range resources {
		own, said := k.each[r.Name]
		if !said {
			own = k.all
		}
		if own == nil {
			continue
		}
		if all == nil {
			all = Caches{}
		}
		all[r.Name] = *own
	}
	return all
}
