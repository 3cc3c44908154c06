package config

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/cache/shared"
	"github.com/fulcrum-data/fulcrum/store"
)

// Cache says how much of a resource is kept in memory, and for how long. Its Size is the
// gateway's.
type Cache = cache.Config[store.Key, []byte]

// Caches are those of resources, by their names. Resources without one are missing.
type Caches map[string]Cache

// Shared is a Redis that gateways in front of the same database have in common.
type Shared struct {
	URL       Secret // may hold a password; empty: there is none
	Namespace string
	Timeout   time.Duration // of each call
}

// readRedis never shows its value: there may be a password in it.
func readRedis(to *Secret) func(value) {
	const want = "redis://USER:PASSWORD@HOST:6379/0, rediss:// with TLS, or unix:///path/of/redis.sock"
	return func(v value) {
		s, ok := v.text(want)
		if !ok {
			return
		}
		if (shared.LinkConfig{URL: s}).Validate() != nil {
			v.wrong("is no address of a Redis: want %s, percent-encoded where they hold / @ : ? # or %%", want)
			return
		}
		*to = Secret(s)
	}
}

func readNamespace(to *string) func(value) {
	const want = "letters, digits, - and _, such as shop"
	return func(v value) {
		s, ok := v.text(want)
		if ok && (shared.LinkConfig{URL: "redis://localhost", Namespace: s}).Validate() != nil {
			v.wrong("%s: want %s", v.shown(), want)
		}
		*to = s
	}
}

// alone is said where a resource names a Redis of its own.
func alone(v value) { v.wrong("there is one Redis for all resources: say it in cache: at the top") }

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

// readCache reads a cache, or false. common is nil for that of one resource.
func readCache(to func(*Cache), common *Shared) func(value) {
	return func(v value) {
		if v.node.Value == "false" && v.node.ShortTag() == "!!bool" {
			to(nil)
			return
		}
		if !v.is(yaml.MappingNode, "entries or bytes, such as {entries: 20000}, or false") {
			return
		}
		c := &Cache{}
		redis, namespace, timeout := alone, alone, alone
		if common != nil {
			redis, namespace, timeout = readRedis(&common.URL), readNamespace(&common.Namespace), intoDuration(&common.Timeout, time.Millisecond, 10*time.Second)
		}
		v.fields(
			field{name: "entries", read: intoInt(&c.Entries, 1, mostKept)},
			field{name: "bytes", read: intoSize(&c.Bytes, 1<<10, 1<<40)},
			field{name: "ttl", read: intoDuration(&c.TTL, leastKeptFor, mostKeptFor)},
			field{name: "negative_ttl", read: intoSpanOrNone(&c.NegativeTTL, leastKeptFor, mostKeptFor)},
			field{name: "stale_while_revalidate", read: intoSpanOrNone(&c.StaleWhileRevalidate, leastKeptFor, mostKeptFor)},
			field{name: "stale_if_degraded", read: intoSpanOrNone(&c.StaleIfDegraded, leastKeptFor, mostKeptFor)},
			field{name: "redis", read: redis},
			field{name: "namespace", read: namespace},
			field{name: "redis_timeout", read: timeout},
		)
		c.StaleWhileRevalidate, c.StaleIfDegraded = max(0, c.StaleWhileRevalidate), max(0, c.StaleIfDegraded)
		switch {
		case common != nil && common.URL == "" && (common.Namespace != "" || common.Timeout != 0):
			v.wrong("namespace and redis_timeout are of a Redis, and there is none: name it, as redis: redis://…, or leave them out")
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
