package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// ResourceInfo says how one resource is served.
type ResourceInfo struct {
	Name   string
	Path   string         // of a row: /v1/users/{id}
	Key    []string       // what a request gives: "id: an integer"
	Policy fulcrum.Policy // with all defaults filled in
}

// Describe says how each resource is served, in the order of the configuration.
func (g *Gateway) Describe() []ResourceInfo {
	all := make([]ResourceInfo, 0, len(g.resources))
	for _, r := range g.cfg.Resources {
		res := g.resources[r.Name]
		info := ResourceInfo{Name: r.Name, Path: prefix + r.Name, Policy: res.reader.Policy()}
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

// fit gives each resource its share of the database's connections: every slot has
// one, without which the reserved ones would not be. p has its defaults filled in;
// what the configuration names is never made less.
func (c Config) fit(p fulcrum.Policy) (fulcrum.Policy, error) {
	n, have := len(c.Resources), c.DB.Conns()
	need := n * (p.InFlight + max(0, p.Reserved))
	switch {
	case need <= have:
		return p, nil
	case n > have:
		return p, &FieldError{"Policy", fmt.Sprintf("%d resources need at least as many connections, the database has %d: raise the pool", n, have)}
	case c.Policy.InFlight != 0 || c.Policy.Reserved != 0:
		return p, &FieldError{"Policy", fmt.Sprintf("InFlight %d + Reserved %d for each resource need %d connections, the database has %d: lower InFlight or raise the pool",
			p.InFlight, max(0, p.Reserved), need, have)}
	}
	share := have / n
	p.Reserved = min(p.Reserved, share/3)
	p.InFlight = min(p.InFlight, share-p.Reserved)
	if p.Reserved == 0 {
		p.Reserved = -1 // none
	}
	return p, nil
}

// openAll opens every resource; its error has all that is wrong with any.
func (g *Gateway) openAll(ctx context.Context) error {
	var all []error
	for _, r := range g.cfg.Resources {
		res, err := g.open(ctx, r)
		if err != nil {
			all = append(all, err)
			continue
		}
		g.resources[r.Name] = res
	}
	for _, res := range g.resources {
		p, err := g.cfg.fit(res.reader.Policy())
		if err == nil {
			err = res.reader.SetPolicy(p)
		}
		if err != nil {
			return errors.Join(append(all, err)...) // the others would say the same
		}
	}
	return errors.Join(all...)
}
