package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// ResourceInfo says how one resource is served.
type ResourceInfo struct {
	Name   string
	Path   string         // of a row: /v1/users/{id}
	Key    []string       // what a request gives: "id: an integer"
	Policy fulcrum.Policy // with all defaults filled in
	Cache  string         // what is kept, in words; empty if nothing is
}

// RegionInfo says how one region is served.
type RegionInfo struct {
	Name   string
	Policy fulcrum.Policy // of each resource, with all defaults filled in
	SLO    string         // such as p99=20ms; empty if there is none
	Areas  []string       // that it serves, empty for the default
}

// Backend says how the database is asked, with all defaults filled in that depend on
// its connections.
func (g *Gateway) Backend() fulcrum.BackendConfig { return g.cfg.Backend }

// String is the policy in words.
func (i RegionInfo) String() string {
	text := fmt.Sprintf("%s, batches up to %d", i.Policy.Mode, i.Policy.MaxBatch)
	if i.Policy.Mode != fulcrum.ModeLatency {
		text += ", linger " + i.Policy.Linger.String()
	}
	if i.SLO != "" {
		text += ", SLO " + i.SLO
	}
	return text
}

// Regions says how each region is served, in the order of the configuration.
func (g *Gateway) Regions() []RegionInfo {
	l := g.live.Load()
	all := make([]RegionInfo, 0, len(l.table.Regions()))
	for _, r := range l.table.Regions() {
		all = append(all, l.describe(r))
	}
	return all
}

func (l *live) describe(r *region.Region) RegionInfo {
	info := RegionInfo{Name: r.Name, Policy: l.anyReader(r).Policy(), SLO: r.Policy.SLO.String()}
	for _, a := range r.Areas {
		info.Areas = append(info.Areas, string(a))
	}
	return info
}

// Explain says which region's policy a request with these headers from that peer
// (host:port) gets, and why.
func (g *Gateway) Explain(peer string, h http.Header) (RegionInfo, string) {
	return g.live.Load().explain(peer, h)
}

func (l *live) explain(peer string, h http.Header) (RegionInfo, string) {
	r, why := l.table.Explain(peer, h)
	return l.describe(r), why.String()
}

// Describe says how each resource is served, in the order of the configuration.
func (g *Gateway) Describe() []ResourceInfo {
	l := g.live.Load()
	all := make([]ResourceInfo, 0, len(l.resources))
	for _, r := range g.cfg.Resources {
		res := l.resources[r.Name]
		info := ResourceInfo{Name: r.Name, Path: prefix + r.Name, Policy: res.readers[l.table.Default().Index()].Policy(), Cache: g.caches.describe(g.cfg, r)}
		for i, want := range keyTypes(res.table, r.Key) {
			info.Path += "/{" + r.Key[i] + "}"
			info.Key = append(info.Key, r.Key[i]+": "+want)
		}
		all = append(all, info)
	}
	return all
}

// Parts of keys that are right for some type of column, and one that is for none.
var (
	someParts = []string{"0", "00000000-0000-0000-0000-000000000000", "", "2000-01-01", "true"}
	noPart    = "\xff"
)

// keyTypes finds out what each column of a key wants, by asking with wrong ones: a
// table tells of its first wrong part.
func keyTypes(t store.Table, columns []string) []string {
	types := make([]string, len(columns))
	parts := slices.Repeat([]string{noPart}, len(columns))
	for i, column := range columns {
		types[i] = wanted(t, parts, column)
		for _, part := range someParts {
			if parts[i] = part; wanted(t, parts, column) == "" {
				break
			}
		}
	}
	return types
}

// wanted is what the table says that it wants of a column; empty if it has no
// objection, or one to another column.
func wanted(t store.Table, parts []string, column string) string {
	_, err := t.ParseKey(parts)
	var wrong *store.KeyError
	if !errors.As(err, &wrong) || wrong.Column != column {
		return ""
	}
	want, _, _ := strings.Cut(wrong.Want, ",")
	return want
}

// fit is what the backend gets: room for the largest batch of any policy, and its
// share of the connections.
func (c Config) fit() (reads, commits fulcrum.BackendConfig, err error) {
	b := c.Backend
	b.MaxBatch = max(b.MaxBatch, leastMaxBatch, c.Policy.MaxBatch)
	for _, r := range c.Regions {
		b.MaxBatch = max(b.MaxBatch, r.Policy.MaxBatch)
	}
	commits, taken := c.fitCommits()
	reads, err = fit(b, c.DB.Conns()-taken)
	return reads, commits, err
}

// fit gives the backend its share of the database's connections: every slot has one,
// without which the reserved ones would not be. What is named is never made less.
func fit(b fulcrum.BackendConfig, have int) (fulcrum.BackendConfig, error) {
	if have < 2 && b.Reserved == 0 {
		b.Reserved = -1 // none
	}
	if b.Reserved == 0 {
		b.Reserved = min(defaultReserved, have/3)
		b.Reserved = max(1, b.Reserved)
	}
	free := have - max(0, b.Reserved)
	named := max(b.MaxInFlight, b.MinInFlight, b.InFlight, 1)
	if named > free {
		return b, &FieldError{"Backend", fmt.Sprintf("%d batches in flight + %d reserved need %d connections, the database has %d: lower them or raise the pool",
			named, max(0, b.Reserved), named+max(0, b.Reserved), have)}
	}
	if b.MaxInFlight == 0 {
		b.MaxInFlight = max(named, min(free, mostInFlight))
	}
	if b.InFlight == 0 && b.Tuner != fulcrum.TunerAuto {
		b.InFlight = max(b.MinInFlight, min(defaultInFlight, b.MaxInFlight))
	}
	return b, nil
}

const (
	defaultReserved = 2
	defaultInFlight = 4
	mostInFlight    = 64
	leastMaxBatch   = 1000 // so that a reload may raise those of policies
)
