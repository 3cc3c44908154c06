package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/store"
)

type near = cache.Near[store.Key, []byte]

// tiers keep a resource, in memory and, if tier is not nil, in Redis.
type tiers struct {
	*near
	tier *tier
}

// caches are those of the resources that have one, by name. All regions share them.
type caches map[string]*tiers

// checkCaches says which caches cannot be.
func (c Config) checkCaches() error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(c.Caches)) {
		kept := c.Caches[name]
		kept.Size = sizeOfRow
		err := kept.Validate()
		if !slices.ContainsFunc(c.Resources, func(r store.Resource) bool { return r.Name == name }) {
			err = errors.New("there is no such resource")
		}
		if err != nil {
			all = append(all, fmt.Errorf("gateway: %w", &store.ConfigError{Resource: name, Field: "cache", Problem: err.Error()}))
		}
	}
	if c.Shared != nil {
		if err := c.Shared.Link.Validate(); err != nil {
			all = append(all, &FieldError{"Shared", err.Error()})
		} else if len(c.Caches) == 0 {
			all = append(all, &FieldError{"Shared", "keeps what caches keep, and there is none: name Caches"})
		}
	}
	return errors.Join(all...)
}

func sizeOfRow(key store.Key, row []byte) int { return len(key) + len(row) }

func openCaches(cfg Config) (caches, error) {
	all := caches{}
	for name, of := range cfg.Caches {
		of.Size = nil
		if of.Bytes > 0 {
			of.Size = sizeOfRow
		}
		n, err := cache.New(of)
		if err != nil {
			return nil, &FieldError{"Caches", err.Error()}
		}
		all[name] = &tiers{near: n}
	}
	return all, nil
}

// of is a resource's cache for its Readers: a nil interface if there is none.
func (c caches) of(name string) fulcrum.Cache[store.Key, []byte] {
	if n := c[name]; n != nil {
		return n.near
	}
	return nil
}

// describe says what is kept of a resource, and when all of it is forgotten.
func (c caches) describe(cfg Config, r store.Resource) string {
	n := c[r.Name]
	if n == nil {
		return ""
	}
	of := n.Config()
	text := fmt.Sprintf("%d entries", of.Entries)
	if of.Bytes > 0 {
		text = fmt.Sprintf("%d bytes", of.Bytes)
	}
	text += ", for " + of.TTL.String()
	if n.tier != nil {
		text += ", and in Redis"
	}
	for _, other := range cfg.Resources {
		if other.Writable && sameTable(other.Table, r.Table) && !sameColumns(other.Key, r.Key) {
			text += fmt.Sprintf("; each change of %s empties it, since it does not name %s", other.Name, strings.Join(r.Key, ", "))
		}
	}
	return text
}

// A forgetter is a cache whose rows a resource's changes touch.
type forgetter struct {
	*tiers
	byKey bool // the changes say which
}

// forget has all caches that show rows of a table forget what changes through a resource.
// nil if there is none.
func (c caches) forget(resources []store.Resource, changed store.Resource, table store.Writable) func(*fulcrum.Commit[store.Change, store.Written]) func(bool) {
	exact, _ := table.(store.Exact)
	var touched []forgetter
	for _, r := range resources {
		if n := c[r.Name]; n != nil && sameTable(r.Table, changed.Table) {
			touched = append(touched, forgetter{n, sameColumns(r.Key, changed.Key)})
		}
	}
	if touched == nil {
		return nil
	}
	return func(commit *fulcrum.Commit[store.Change, store.Written]) func(bool) {
		keys := keysOf(commit)
		all := commit.Len() == 0 || exact == nil || !exact.ExactKeys()
		over := make([]func(known bool), len(touched))
		for i, t := range touched {
			over[i] = t.begin(commit, keys, all)
		}
		return func(known bool) {
			for _, f := range over {
				f(known)
			}
		}
	}
}

// sameTable takes tables of the same name in different schemas for one: it is better to
// forget too much.
func sameTable(a, b string) bool { return strings.EqualFold(bare(a), bare(b)) }

// sameColumns says whether two resources name their rows alike.
func sameColumns(a, b []string) bool { return slices.EqualFunc(a, b, strings.EqualFold) }

// bare is a table's name without its schema and quotes.
func bare(table string) string { return strings.Trim(table[strings.LastIndexByte(table, '.')+1:], `"`) }

// keysOf are those that are known before a commit.
func keysOf(commit *fulcrum.Commit[store.Change, store.Written]) []store.Key {
	keys := make([]store.Key, 0, commit.Len())
	for _, change := range commit.Items() {
		if change.Key != "" {
			keys = append(keys, change.Key)
		}
	}
	return keys
}

// begin tells memory first and last, so that nothing from Redis is kept there meanwhile.
func (f forgetter) begin(commit *fulcrum.Commit[store.Change, store.Written], keys []store.Key, all bool) func(known bool) {
	all = all || !f.byKey
	over := f.beginNear(commit, keys, all)
	if f.tier == nil {
		return over
	}
	shared := f.tier.Begin
	if all {
		shared = func(...store.Key) *sharedWriting { return f.tier.BeginAll() }
	}
	w := shared(keys...)
	return func(known bool) {
		w.End(known, madeKeys(commit)...)
		over(known)
	}
}

func (f forgetter) beginNear(commit *fulcrum.Commit[store.Change, store.Written], keys []store.Key, all bool) func(known bool) {
	if all {
		w := f.BeginAll()
		return func(known bool) { w.End(known) }
	}
	w := f.Begin(keys...)
	return func(known bool) { w.End(known, madeKeys(commit)...) }
}

// madeKeys are those that the database made: they may have been asked for before.
func madeKeys(commit *fulcrum.Commit[store.Change, store.Written]) (keys []store.Key) {
	for i, change := range commit.Items() {
		if change.Key != "" {
			continue
		}
		if made, err := commit.Result(i); err == nil && made.Key != "" {
			keys = append(keys, made.Key)
		}
	}
	return keys
}

// freshnessOf reads what Cache-Control says of how fresh a row must be. What it cannot read
// asks for a fresh row, as RFC 9111 advises.
func freshnessOf(h http.Header) (o fulcrum.Option) {
	for _, line := range h["Cache-Control"] {
		for part := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
			switch name {
			case "no-cache", "no-store":
				return fulcrum.Fresh
			case "max-age":
				s, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err != nil {
					return fulcrum.Fresh
				}
				o = fulcrum.MaxStaleness(time.Duration(s) * time.Second)
			}
		}
	}
	return o
}

// Header values that never change.
var yes = []string{"true"}

// tellAge says how old a row is that was kept.
func (x *exchange) tellAge() {
	t := &x.trace
	if !t.Cached {
		return
	}
	h := x.w.Header()
	h["Age"] = []string{strconv.FormatInt(int64(t.Age/time.Second), 10)}
	if t.Stale {
		h["Fulcrum-Stale"] = yes
	}
}

// cacheJSON is what a cache has done since the start, and what it holds.
type cacheJSON struct {
	Hits          uint64  `json:"hits"` // negative and stale ones included
	Negative      uint64  `json:"negative_hits"`
	Stale         uint64  `json:"stale_hits"`
	Misses        uint64  `json:"misses"`
	HitRatio      float64 `json:"hit_ratio"`
	Refused       uint64  `json:"refused_fills"` // a write came between
	Invalidations uint64  `json:"invalidations"`
	Evictions     uint64  `json:"evictions"`
	Entries       int     `json:"entries"`
	Bytes         uint64  `json:"bytes,omitempty"`

	Shared *sharedJSON `json:"shared,omitempty"` // what Redis was asked for
}

// stats are those of a resource's cache; nil if it has none.
func (c caches) stats(name string) *cacheJSON {
	n := c[name]
	if n == nil {
		return nil
	}
	s := n.Stats()
	return &cacheJSON{
		Hits: s.Hits, Negative: s.Negative, Stale: s.Stale, Misses: s.Misses, HitRatio: s.HitRatio(),
		Refused: s.Refused, Invalidations: s.Invalidations, Evictions: s.Evictions, Entries: s.Entries, Bytes: s.Bytes,
		Shared: sharedOf(n.tier),
	}
}

// The metrics of caches.
var (
	cacheRequestsDesc = describe("cache_requests_total", "Requests that asked the cache, by what it had.", "resource", "result")
	cacheWrittenDesc  = describe("cache_invalidations_total", "Keys that were forgotten because they were written.", "resource")
	cacheRefusedDesc  = describe("cache_refused_fills_total", "Rows that were not kept because a write came between.", "resource")
	cacheEvictedDesc  = describe("cache_evictions_total", "Rows that went because the cache was full.", "resource")
	cacheEntriesDesc  = describe("cache_entries", "Rows in the cache, old ones included.", "resource")
	cacheBytesDesc    = describe("cache_bytes", "Their bytes, if the cache is bounded by them.", "resource")
)

var cacheDescs = []*prometheus.Desc{cacheRequestsDesc, cacheWrittenDesc, cacheRefusedDesc, cacheEvictedDesc, cacheEntriesDesc, cacheBytesDesc}

// collect tells the caches' metrics.
func (c caches) collect(out chan<- prometheus.Metric) {
	for name, n := range c {
		s, to := n.Stats(), sink{out, []string{name}}
		to.count(cacheRequestsDesc, s.Hits-min(s.Hits, s.Negative+s.Stale), "hit")
		to.count(cacheRequestsDesc, s.Negative, "negative")
		to.count(cacheRequestsDesc, s.Stale, "stale")
		to.count(cacheRequestsDesc, s.Misses, "miss")
		to.count(cacheWrittenDesc, s.Invalidations)
		to.count(cacheRefusedDesc, s.Refused)
		to.count(cacheEvictedDesc, s.Evictions)
		to.gauge(cacheEntriesDesc, float64(s.Entries))
		if s.Bytes > 0 {
			to.gauge(cacheBytesDesc, float64(s.Bytes))
		}
	}
}
